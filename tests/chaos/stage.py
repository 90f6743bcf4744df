"""Where chaos plays: servers in one of three arrangements, and what its faults may do to them.

``one``: a server that writes each change to disk before it answers, behind a proxy. ``sentinel``: a primary and its
replica under three Sentinels. ``cluster``: three primaries, three replicas. Of the last two a primary is killed only
while nothing is on its way to its replica: what a lagging replica loses is durability's subject, not an account's.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis

from hustlex.drivers.embedded import EmbeddedServer
from hustlex.drivers.embedded_cluster import EmbeddedCluster
from tests.chaos.programs import Program
from tests.support import servers
from tests.support.clusters import ClusterHands
from tests.support.proxy import Proxy
from tests.support.sentinels import SentinelSet, until

_DEBUG = ("--enable-debug-command", "local")
_PATIENCE_S = 60.0
_NODE_TIMEOUT = timedelta(seconds=3)
"""Longer than a crowded machine lets a node wait for its turn: a failover that nobody asked for may lose writes."""


class Stage:
    """One arrangement of running servers. url: for everybody who plays. programs: workers and the API."""

    name = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: list[Program] = []
        self.proxy: Proxy | None = None
        self.over = False
        self.asleep_at, self.demoted_at = math.inf, -math.inf
        """Of the last primary that was replaced while it stood still."""
        self._closing = ExitStack()

    @property
    def url(self) -> str:
        raise NotImplementedError

    def primaries(self) -> list[EmbeddedServer]:
        """Those that take writes now."""
        raise NotImplementedError

    @contextmanager
    def oracle(self) -> Iterator[Any]:
        """redis-py on all of it; see ``patiently``."""
        with redis.Redis.from_url(self.primaries()[0].url) as client:
            yield client

    def healthy(self) -> bool:
        """Whether every server runs and is in step."""
        raise NotImplementedError

    def settle(self) -> None:
        """Wait until it is healthy."""
        until(self.healthy, _PATIENCE_S)

    def close(self) -> None:
        """End programs first, then the servers."""
        for program in self.programs:
            program.stop(signal.SIGKILL)
        self._closing.close()

    def as_of(self, asked: float) -> float:
        """How old what is read may be: who was replaced while it stood still answers so, until it is demoted."""
        return min(asked, self.asleep_at) if asked < self.demoted_at else asked

    # -- hands

    def ask(self, server: EmbeddedServer, *words: Any) -> Any:
        """One command to this server, whatever it is."""
        with redis.Redis.from_url(server.url, socket_timeout=10) as client:
            return client.execute_command(*words)

    @contextmanager
    def standing_still(self, server: EmbeddedServer) -> Iterator[None]:
        """SIGSTOP for as long as the block lasts."""
        pid = server.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def quiesce(self, primary: EmbeddedServer) -> None:
        """Let no more writes in, and wait until its replicas have all there are."""
        self.ask(primary, "CLIENT", "PAUSE", 20_000, "WRITE")
        until(lambda: self._in_step(primary), _PATIENCE_S)

    def _in_step(self, primary: EmbeddedServer) -> bool:
        with redis.Redis.from_url(primary.url) as client:
            said = client.info("replication")
        replicas = [each for name, each in said.items() if name.startswith("slave") and isinstance(each, dict)]
        return bool(replicas) and all(each["offset"] == said["master_repl_offset"] for each in replicas)


class OneServer(Stage):
    """``appendfsync always``: what was acknowledged is on disk."""

    name = "one"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        server = EmbeddedServer(
            append_only=True, appendfsync="always", binary=servers.binary("valkey9"), extra_args=_DEBUG
        )
        self.server = self._closing.enter_context(server)
        self.proxy = self._closing.enter_context(Proxy(server.url))

    @property
    def url(self) -> str:
        assert self.proxy is not None
        return self.proxy.url

    def primaries(self) -> list[EmbeddedServer]:
        return [self.server]

    def healthy(self) -> bool:
        with contextlib.suppress(redis.RedisError), redis.Redis.from_url(self.server.url) as client:
            return bool(client.ping())
        return False


class WatchedPair(Stage):
    """A primary and its replica under three Sentinels."""

    name = "sentinel"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.watched = self._closing.enter_context(
            SentinelSet(servers.binary("valkey9"), folder / "sentinels", down_ms=2_000, extra_args=_DEBUG)
        )

    @property
    def url(self) -> str:
        return self.watched.url

    def primaries(self) -> list[EmbeddedServer]:
        return [self.watched.primary]

    def healthy(self) -> bool:
        return self.watched.healthy()


class SixNodes(Stage):
    """Three primaries, three replicas."""

    name = "cluster"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cluster = self._closing.enter_context(
            EmbeddedCluster(binary=servers.binary("valkey9"), node_timeout=_NODE_TIMEOUT, extra_args=_DEBUG)
        )
        self.hands = ClusterHands(self.cluster)
        self._closing.callback(self.hands.close)
        self._oracle: Any = None

    @property
    def url(self) -> str:
        return self.cluster.url

    def primaries(self) -> list[EmbeddedServer]:
        return self.hands.primaries()

    @contextmanager
    def oracle(self) -> Iterator[Any]:
        if self._oracle is None:  # it asks every node what it can do: once is enough
            self._oracle = servers.oracle(self.cluster)
        yield self._oracle

    def healthy(self) -> bool:
        return self.hands.healthy()


STAGES: dict[str, type[Stage]] = {each.name: each for each in (OneServer, WatchedPair, SixNodes)}


def patiently(ask: Any) -> Any:
    """The answer of a server that may be away for a moment."""
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return ask()
        except (redis.RedisError, AssertionError, RuntimeError, StopIteration):
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
