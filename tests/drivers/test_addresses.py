"""Servers that announce other addresses than those where they are reached: names, nothing, a network of their own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from hustlex.core.keys import slot
from hustlex.drivers import aio
from hustlex.drivers.address import parse_address
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.drivers.embedded_cluster import EmbeddedCluster
from hustlex.errors import ConfigurationError
from tests.contract.test_addresses import self_signed
from tests.drivers.conftest import PATIENCE
from tests.drivers.test_cluster import get, put
from tests.support import servers
from tests.support.clusters import ClusterHands
from tests.support.needs import needs
from tests.support.sentinels import SentinelSet
from tests.support.street import Street


async def serves(kind: Callable[..., Any], url: str, keys: list[str]) -> None:
    """Every key, by one call and by many."""
    street = Street(kind(url, timeout=PATIENCE))
    try:
        assert [await street.run(put(key, key)) for key in keys] == [b"OK"] * len(keys)
        assert await street.many([get(key) for key in keys]) == [key.encode() for key in keys]
    finally:
        await street.call("close")


def everywhere(cluster: ClusterHands) -> list[str]:
    return [cluster.key_at(node, "address") for node in cluster.primaries()]


async def test_nodes_that_announce_a_name_are_dialled_by_it(kind: Callable[..., Any], cluster: ClusterHands) -> None:
    with cluster.announced("hostname", "localhost"):
        await serves(kind, cluster.url, everywhere(cluster))


async def test_nodes_that_announce_no_address_are_where_the_others_are(
    kind: Callable[..., Any], cluster: ClusterHands
) -> None:
    with cluster.announced("unknown-endpoint"):
        await serves(kind, cluster.url, everywhere(cluster))


async def test_nodes_behind_another_network_are_reached_by_the_map(
    kind: Callable[..., Any], cluster: ClusterHands
) -> None:
    """Slots, redirections and messages."""
    ports = [node.port for node in cluster.cluster.nodes]
    places = ",".join(f"node.invalid:{port}=127.0.0.1:{port}" for port in ports)
    url = f"{cluster.url}?address_map={places}"
    source, target, _ = cluster.primaries()
    keys = everywhere(cluster)
    with cluster.announced("hostname", "node.invalid"):
        await serves(kind, url, keys)
        street = Street(kind(url, timeout=PATIENCE))
        assert await street.run(get(keys[0])) == keys[0].encode()
        moved = slot(keys[0])
        await asyncio.to_thread(cluster.move, moved, target)
        try:
            assert await street.run(get(keys[0])) == keys[0].encode()
        finally:
            await asyncio.to_thread(cluster.move, moved, source)
            await street.call("close")
        async with aio.Driver(url, timeout=PATIENCE) as driver, driver.subscribe("news") as messages:
            cluster.ask(target, "PUBLISH", "news", "x")
            assert (await anext(messages)).data == b"x"


async def test_a_primary_that_sentinels_name_by_another_address_is_reached_by_the_map(
    kind: Callable[..., Any], watched_pair: SentinelSet
) -> None:
    """The map leads to the other port on purpose: to a replica, which shows that it was followed."""
    primary = watched_pair.primary
    replica = next(server for server in watched_pair.servers if server is not primary)
    url = f"{watched_pair.url}&address_map=127.0.0.1:{primary.port}=localhost:{replica.port}"
    street = Street(kind(url))
    with pytest.raises(Exception, match="READONLY this server is a replica"):
        await street.run(get("k", timeout_ms=400))
    await street.call("close")
    await serves(kind, url.replace(f"localhost:{replica.port}", f"localhost:{primary.port}"), ["k"])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("address_map=", "without a value"),
        ("address_map=a:1", "does not say which address stands for which"),
        ("address_map=a=b:1", "does not say which address stands for which"),
        ("address_map=a:1=b", "does not say which address stands for which"),
        ("address_map=a:1=b:2,", "does not say which address stands for which"),
        ("address_map=a:1=b:99999", "port that is not a number"),
        ("address_map=a:1=b:2&address_map=a:1=b:3", "twice"),
    ],
)
@pytest.mark.parametrize("place", ["redis+cluster://h:1", "redis+sentinel://h:1/main"])
def test_a_map_that_cannot_be_read_is_one_sentence(place: str, query: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        parse_address(f"{place}?{query}")


def test_a_map_holds_names_and_ipv6() -> None:
    address = parse_address("redis+cluster://h:1?address_map=Node.One:1=[fd00::1]:7,[fd00::2]:2=gate:8")
    assert (address.at("node.one", 1).where, address.at("fd00::2", 2).where) == ("[fd00::1]:7", "gate:8")
    assert address.at("elsewhere", 3).where == "elsewhere:3"
    with pytest.raises(ConfigurationError, match="unknown option: address_map"):
        parse_address("redis://h:1?address_map=a:1=b:2")


# -- IPv6


def ipv6() -> bool | None:
    """Whether this machine has it."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return None


@pytest.fixture(scope="module")
def on_ipv6() -> Iterator[EmbeddedServer]:
    """A cluster of one node that announces ``::1``."""
    needs(ipv6(), "IPv6")
    options = ("--bind", "127.0.0.1", "::1", "--cluster-enabled", "yes", "--cluster-announce-ip", "::1")
    binary = servers.binary("valkey9")
    with EmbeddedServer(binary=binary, more_ports=("cluster-port",), extra_args=options) as server:
        with redis.Redis.from_url(server.url) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
                pass
        yield server


async def test_ipv6_in_the_url_and_in_what_a_cluster_announces(
    kind: Callable[..., Any], on_ipv6: EmbeddedServer
) -> None:
    plain = on_ipv6.url.replace("127.0.0.1", "[::1]")
    await serves(kind, plain, ["k"])
    for url in (plain, on_ipv6.url):
        await serves(kind, url.removesuffix("/0").replace("redis://", "redis+cluster://"), ["k"])


# -- TLS


def tls(certificate: Path, key: Path) -> tuple[str, ...]:
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate))
    return (*files, "--tls-auth-clients", "no")


class TlsCluster(EmbeddedCluster):
    """Nodes that speak TLS to their clients and among each other, too."""

    def __init__(self, certificate: Path, key: Path) -> None:
        options = (*tls(certificate, key), "--tls-cluster", "yes")
        super().__init__(binary=servers.binary("redis7"), replicas=0, more_ports=("tls-port",), extra_args=options)


@pytest.fixture(scope="module")
def tls_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its URL. Only Debian's build has TLS."""
    certificate, key = self_signed(tmp_path_factory.mktemp("tls"))
    with TlsCluster(certificate, key) as cluster:
        account = cluster.url.partition("://")[2].rpartition("@")[0]
        yield f"rediss+cluster://{account}@127.0.0.1:{cluster.nodes[0].port_of('tls-port')}?ssl_ca_certs={certificate}"


async def test_a_cluster_by_tls(kind: Callable[..., Any], tls_cluster: str) -> None:
    await serves(kind, tls_cluster, [f"k{number}" for number in range(30)])


async def test_a_cluster_by_tls_whose_certificate_nobody_knows(kind: Callable[..., Any], tls_cluster: str) -> None:
    street = Street(kind(tls_cluster.partition("?")[0]))
    with pytest.raises(ConfigurationError, match="certificate cannot be verified"):
        await street.run(get("k"))
    await street.call("close")
    for _ in range(3):
        await asyncio.sleep(0)  # asyncio closes the socket of a failed TLS handshake in its next turn


class TlsSentinels(SentinelSet):
    """A pair and its Sentinels, all of whom speak TLS to everybody."""

    def __init__(self, directory: Path, certificate: Path, key: Path) -> None:
        super().__init__(servers.binary("redis7"), directory, down_ms=30_000, more_ports=("tls-port",))
        self._tls = (*tls(certificate, key), "--tls-replication", "yes")

    def _node(self, name: str, *words: str, password: str | None = None) -> EmbeddedServer:
        return super()._node(name, *words, *self._tls, password=password)

    def port_of(self, server: EmbeddedServer) -> int:
        return server.port_of("tls-port")


async def test_sentinels_and_their_primary_by_tls(
    kind: Callable[..., Any], tls_sentinels: tuple[SentinelSet, Path]
) -> None:
    watched, certificate = tls_sentinels
    url = watched.url.replace("redis+sentinel", "rediss+sentinel") + f"&ssl_ca_certs={certificate}"
    await serves(kind, url, ["k"])


@pytest.fixture(scope="module")
def tls_sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SentinelSet, Path]]:
    certificate, key = self_signed(tmp_path_factory.mktemp("tls"))
    with TlsSentinels(tmp_path_factory.mktemp("watched"), certificate, key) as watched:
        yield watched, certificate
