"""A cluster of embedded servers for development and tests, all on loopback and behind one random password."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from msgspec.structs import replace

from hustlex.core import private
from hustlex.core.keys import SLOTS
from hustlex.core.op import Effect, command
from hustlex.drivers.address import Address
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.drivers.url import parse_url
from hustlex.errors import ConfigurationError, Misuse

if TYPE_CHECKING:
    from hustlex.drivers.blocking import Driver

_BUS = "cluster-port"
"""Where nodes hear each other; by default the server's port plus 10,000, which may be past the last one."""
_READY_S = 60.0
_POLL_S = 0.02
_PATIENCE = timedelta(seconds=10)


class EmbeddedCluster:
    """Primaries with their replicas, started and stopped by this program; ready after about three seconds.

    directory: as ``EmbeddedServer``, with one for each node in it. node_timeout: after so long without an answer the
    others hold a node for dead, and promote its replica. more_ports, extra_args: as ``EmbeddedServer``, for each node.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        primaries: int = 3,
        replicas: int = 1,
        node_timeout: timedelta = timedelta(seconds=2),
        binary: Path | None = None,
        append_only: bool = False,
        more_ports: tuple[str, ...] = (),
        extra_args: tuple[str, ...] = (),
    ) -> None:
        self._given_directory = directory
        self._directory: Path | None = None
        self._primaries = primaries
        self._count = primaries * (1 + replicas)
        self._node_timeout_ms = int(node_timeout.total_seconds() * 1000)
        self._binary = binary
        self._append_only = append_only
        self._more_ports = more_ports
        self._extra_args = extra_args
        self.nodes: list[EmbeddedServer] = []

    def start(self) -> Self:
        """Start the nodes that do not run, and wait until all know that all slots are served.

        Raises ConfigurationError.
        """
        if self.nodes:
            for node in self.nodes:
                node.start()
            return self
        self._directory = self._given_directory or Path(tempfile.mkdtemp(prefix="hustlex-cluster-"))
        self._directory = self._directory.resolve()
        private.directory(self._directory, {"password"})
        password = private.read(self._directory / "password") or secrets.token_urlsafe(24)
        private.write(self._directory / "password", password)
        try:
            for number in range(self._count):
                self.nodes.append(self._node(self._directory / f"node{number}", password).start())
            self._join()
        except BaseException:
            self.stop()
            raise
        return self

    def _node(self, directory: Path, password: str) -> EmbeddedServer:
        private.directory(directory, {"password"})
        private.write(directory / "password", password)
        private.write(directory / "replication.conf", f"masterauth {password}\n")  # not on the command line
        options = {
            "cluster-enabled": "yes",
            "cluster-node-timeout": str(self._node_timeout_ms),
            "cluster-replica-validity-factor": "0",
            "cluster-allow-replica-migration": "no",
            "repl-diskless-sync-delay": "0",
            "repl-ping-replica-period": "1",  # Redis 7 names a replica only once it has heard this
            "include": str(directory / "replication.conf"),
        }
        words = tuple(word for name, value in options.items() for word in (f"--{name}", value))
        return EmbeddedServer(
            directory,
            more_ports=(_BUS, *self._more_ports),
            binary=self._binary,
            append_only=self._append_only,
            extra_args=words + self._extra_args,
        )

    # -- forming the cluster

    def _join(self) -> None:
        with contextlib.ExitStack() as stack:
            drivers = [stack.enter_context(_driver(node)) for node in self.nodes]
            if b"cluster_slots_assigned:0\r" in _ask(drivers[0], "CLUSTER", "INFO"):
                self._form(drivers)
            for driver in drivers:
                _until(partial(self._served, driver), "not all nodes of the cluster came up")

    def _form(self, drivers: list[Driver]) -> None:
        for number in range(self._primaries):
            first, past = (SLOTS * share // self._primaries for share in (number, number + 1))
            _ask(drivers[number], "CLUSTER", "ADDSLOTSRANGE", first, past - 1)
            _ask(drivers[number], "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        ids = [bytes(_ask(driver, "CLUSTER", "MYID")) for driver in drivers]
        for node in self.nodes[1:]:
            _ask(drivers[0], "CLUSTER", "MEET", "127.0.0.1", node.port, node.port_of(_BUS))
        for number, driver in enumerate(drivers):
            _until(partial(_knows, driver, ids), "the nodes did not meet")
            if number >= self._primaries:
                _ask(driver, "CLUSTER", "REPLICATE", ids[number % self._primaries])

    def _served(self, driver: Driver) -> bool:
        """Whether this node knows all slots served, and all replicas in step with their primaries."""
        info = bytes(_ask(driver, "CLUSTER", "INFO"))
        slots = _ask(driver, "CLUSTER", "SLOTS")
        nodes = {(bytes(node[0]), node[1]) for entry in slots for node in entry[2:]}
        link = bytes(_ask(driver, "INFO", "replication"))
        up = b"role:master" in link or b"master_link_status:up" in link
        return b"cluster_state:ok" in info and len(nodes) == self._count and up

    # -- what a test or a program needs

    @property
    def running(self) -> bool:
        """True while all nodes live."""
        return bool(self.nodes) and all(node.running for node in self.nodes)

    @property
    def directory(self) -> Path:
        """Where the nodes' directories are. Raises Misuse before the first start."""
        if self._directory is None:
            raise Misuse("the cluster was not started", hint="call start() first")
        return self._directory

    @property
    def url(self) -> str:
        """``redis+cluster://:<password>@127.0.0.1:<port>,127.0.0.1:<port>,...``"""
        account = self.nodes[0].url.rpartition("@")[0].removeprefix("redis://")
        return f"redis+cluster://{account}@{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}"

    def roles(self) -> Iterator[tuple[EmbeddedServer, bool]]:
        """The nodes that run, each with whether it is a primary now."""
        for node in self.nodes:
            if node.running:
                with _driver(node) as driver:
                    yield node, _ask(driver, "ROLE")[0] == b"master"

    def stop(self) -> None:
        """Stop all nodes; a temporary directory goes. Idempotent."""
        for node in self.nodes:
            node.stop()
        self.nodes = []
        if self._given_directory is None and self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _driver(node: EmbeddedServer) -> Driver:
    """To this node, be it a replica."""
    from hustlex.drivers.blocking import Driver

    return Driver(Address("single", (replace(parse_url(node.url), seed=True),)), timeout=_PATIENCE)


def _ask(driver: Driver, *words: Any) -> Any:
    return driver.run(command("server.arrange", Effect.IDEMPOTENT, *words, decode=lambda reply: reply))


def _knows(driver: Driver, ids: list[bytes]) -> bool:
    nodes = _ask(driver, "CLUSTER", "NODES")
    return all(one in nodes for one in ids)


def _until(true: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _READY_S
    while not true():
        if time.monotonic() > deadline:
            raise ConfigurationError(f"{otherwise} in {_READY_S:g} s")
        time.sleep(_POLL_S)
