"""A primary, its replica and three Sentinels that watch them, on loopback, from the embedded server's binary."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import redis

from hustlex.core import private
from hustlex.drivers.embedded import EmbeddedServer

NAME = "main"
SENTINEL_PASSWORD = "what-the-sentinels-want"
_AGAIN_S = 10.0
_READY_S = 30.0


class SentinelSet:
    """url: ``redis+sentinel://...``. down_ms: silence after which a Sentinel thinks a server is down."""

    def __init__(
        self,
        binary: Path,
        directory: Path,
        *,
        down_ms: int = 1_000,
        more_ports: tuple[str, ...] = (),
        extra_args: tuple[str, ...] = (),
    ) -> None:
        self._binary = binary
        self._directory = directory
        self._down_ms = down_ms
        self._more_ports = more_ports
        self._extra_args = extra_args
        self.servers: list[EmbeddedServer] = []
        self.sentinels: list[EmbeddedServer] = []
        self.password = "one-password-for-both"

    def start(self) -> Self:
        try:
            for number in range(2):
                self.servers.append(self._node(f"server{number}", *self._extra_args).start())
            for number in range(3):
                self.sentinels.append(self._node(f"sentinel{number}", "--sentinel", password=SENTINEL_PASSWORD).start())
            self._watch()
        except BaseException:
            self.stop()
            raise
        return self

    def _node(self, name: str, *words: str, password: str | None = None) -> EmbeddedServer:
        directory = self._directory / name
        private.directory(directory, ())
        private.write(directory / "password", (password or self.password))
        if "--sentinel" not in words:
            private.write(directory / "replication.conf", f"masterauth {self.password.replace(' ', '-')}\n")
            words = (*words, "--include", str(directory / "replication.conf"), "--repl-diskless-sync-delay", "0")
        return EmbeddedServer(directory, binary=self._binary, more_ports=self._more_ports, extra_args=words)

    def _watch(self) -> None:
        first, second = self.servers
        with redis.Redis.from_url(second.url) as client:
            client.replicaof("127.0.0.1", self.port_of(first))
        for sentinel in self.sentinels:
            with self._client(sentinel) as client:
                client.execute_command("SENTINEL", "MONITOR", NAME, "127.0.0.1", self.port_of(first), 2)
                settings = {
                    "auth-pass": self.password,
                    "down-after-milliseconds": self._down_ms,
                    "failover-timeout": 1_500,
                }
                for name, value in settings.items():
                    client.execute_command("SENTINEL", "SET", NAME, name, value)
                client.execute_command("SENTINEL", "CONFIG", "SET", "sentinel-pass", SENTINEL_PASSWORD)
            with self._client(sentinel) as client:  # looks at its servers every second, not every ten
                client.execute_command("SENTINEL", "DEBUG", "INFO-PERIOD", 1_000)
        until(lambda: all(self._sees_all(sentinel) for sentinel in self.sentinels))

    def _sees_all(self, sentinel: EmbeddedServer) -> bool:
        with self._client(sentinel) as client:
            (state,) = client.execute_command("SENTINEL", "MASTERS")
            found = _fields(state)
            return found["num-slaves"] == "1" and found["num-other-sentinels"] == "2" and found["flags"] == "master"

    @staticmethod
    def _client(sentinel: EmbeddedServer) -> redis.Redis:
        return redis.Redis.from_url(sentinel.url, decode_responses=True, protocol=3)

    def guests(self, name: str) -> int:
        """Connections of this name, at all Sentinels."""
        found = 0
        for sentinel in self.sentinels:
            with self._client(sentinel) as client:
                found += sum(each["name"] == name for each in client.client_list())
        return found

    def port_of(self, server: EmbeddedServer) -> int:
        """Where clients and the others reach it."""
        return server.port

    @property
    def url(self) -> str:
        return self.url_of(NAME)

    def url_of(self, name: str, *, sentinel_password: str | None = None) -> str:
        account = urlsplit(self.servers[0].url).netloc.rpartition("@")[0]
        hosts = ",".join(f"127.0.0.1:{self.port_of(sentinel)}" for sentinel in self.sentinels)
        secret = sentinel_password or SENTINEL_PASSWORD
        return f"redis+sentinel://{account}@{hosts}/{name}/0?sentinel_password={secret}"

    @property
    def primary(self) -> EmbeddedServer:
        """The one that the Sentinels would name now."""
        for sentinel in self.sentinels:
            with contextlib.suppress(redis.RedisError), self._client(sentinel) as client:
                _, port = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
                return next(server for server in self.servers if self.port_of(server) == int(port))
        raise AssertionError("no Sentinel answers")

    def healthy(self) -> bool:
        """Whether every Sentinel sees a primary with its replica, and they are in step."""
        try:
            with redis.Redis.from_url(self.primary.url, decode_responses=True) as client:
                (replica,) = (value for name, value in client.info("replication").items() if name.startswith("slave"))
                in_step = replica["state"] == "online"
            return in_step and all(self._sees_all(sentinel) for sentinel in self.sentinels)
        except (redis.RedisError, ValueError):
            return False

    def revive(self, dead: EmbeddedServer) -> None:
        """Start it again, as a replica."""
        dead.start()
        self._demote(dead)
        until(self.healthy)

    def _demote(self, server: EmbeddedServer) -> None:
        """What the Sentinels would do after eight more seconds."""
        with redis.Redis.from_url(server.url) as client:
            client.replicaof("127.0.0.1", self.port_of(self.primary))
            client.execute_command("CLIENT", "KILL", "TYPE", "normal")

    def blocked(self) -> int:
        """How many commands wait at the primary."""
        with redis.Redis.from_url(self.primary.url) as client:
            return int(client.info("clients")["blocked_clients"])

    def promote(self) -> None:
        """A failover without a failure. Returns once the Sentinels name the other server, and it is a primary."""
        until(self.healthy)
        before = self.primary
        asked = -_AGAIN_S
        with self._client(self.sentinels[0]) as client:

            def moved() -> bool:
                """Sentinels give one up that takes long, as on a busy machine, and do not begin it anew."""
                nonlocal asked
                if self.primary is not before:
                    return True
                if time.monotonic() - asked > _AGAIN_S and _accepted(client, "SENTINEL", "FAILOVER", NAME):
                    asked = time.monotonic()
                return False

            until(moved, 3 * _READY_S)
        self._demote(before)

    def stop(self) -> None:
        for node in [*self.sentinels, *self.servers]:
            node.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def until(true: Any, seconds: float = _READY_S) -> None:
    """Wait for a condition that servers bring about."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def _accepted(client: redis.Redis, *words: str) -> bool:
    try:
        client.execute_command(*words)
    except redis.ResponseError:
        return False
    return True


def _fields(state: Any) -> dict[str, str]:
    if isinstance(state, dict):
        return {str(name): str(value) for name, value in state.items()}
    return {str(name): str(value) for name, value in zip(state[::2], state[1::2], strict=True)}
