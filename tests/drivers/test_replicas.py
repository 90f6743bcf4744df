"""Reads from replicas, for who asks for them by URL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hustlex.app import HustleX
from hustlex.core.op import Effect, command
from hustlex.drivers.address import parse_address
from hustlex.drivers.slotmap import SlotRange, reader
from hustlex.errors import ConfigurationError, Error, Misuse
from hustlex.sync import HustleX as BlockingHustleX
from tests.conftest import SECRET
from tests.drivers.conftest import PATIENCE
from tests.drivers.test_cluster import get, increment, put
from tests.support.clusters import ClusterHands
from tests.support.sentinels import SentinelSet, until
from tests.support.street import Street


async def test_replicas_of_a_cluster_answer_reads(street: Street, cluster: ClusterHands, kind: Any) -> None:
    primaries = cluster.primaries()
    replicas = [node for node in cluster.cluster.nodes if node not in primaries]
    keys = [cluster.key_at(node, "read") for node in primaries]
    await street.many([put(key, "v") for key in keys])
    await asyncio.to_thread(until, lambda: all(cluster.ask(node, "DBSIZE") == 1 for node in replicas))
    reading = Street(kind(f"{cluster.url}?read_from=replica", timeout=PATIENCE))
    assert await reading.run(get(keys[0])) == b"v"
    for node in (*primaries, *replicas):
        cluster.ask(node, "CONFIG", "RESETSTAT")
    assert await reading.many([get(key) for key in keys * 3]) == [b"v"] * 9
    assert [await reading.run(get(key)) for key in keys] == [b"v"] * 3
    asked = [_gets(cluster, node) for node in replicas]
    assert (sum(asked), min(asked)) == (12, 4)
    assert [_gets(cluster, node) for node in primaries] == [0, 0, 0]
    await refuses_writes(reading, keys[0])
    await reading.call("close")


def _gets(cluster: ClusterHands, node: Any) -> int:
    return int(cluster.ask(node, "INFO", "commandstats").get("cmdstat_get", {"calls": 0})["calls"])


async def refuses_writes(reading: Street, key: str) -> None:
    for write in (put(key, "x"), increment(key)):
        with pytest.raises(Misuse, match="reads from replicas and writes nothing"):
            await reading.run(write)
    assert await reading.run(get(key)) == b"v"


def test_a_replica_is_kept_while_it_is_one_and_a_primary_answers_where_there_is_none() -> None:
    primary, one, other = ("p", 1), ("a", 2), ("b", 3)
    both = SlotRange(0, 9, primary, (one, other))
    assert {reader(both, None) for _ in range(100)} == {one, other}
    assert {reader(both, other) for _ in range(100)} == {other}
    assert reader(SlotRange(0, 9, primary, (one,)), other) == one
    assert reader(SlotRange(0, 9, primary, ()), other) == primary


async def test_a_replica_that_sentinels_watch_answers_reads(
    kind: Callable[..., Any], watched_pair: SentinelSet
) -> None:
    street = Street(kind(watched_pair.url, timeout=PATIENCE))
    await street.run(put("k", "v"))
    reading = Street(kind(f"{watched_pair.url}&read_from=replica", timeout=PATIENCE))
    until(watched_pair.healthy)
    assert await reading.run(get("k")) == b"v"
    (role, *_) = await reading.run(_role())
    assert role == b"slave"
    await refuses_writes(reading, "k")
    await reading.call("close")
    await street.call("close")
    unknown = Street(kind(f"{watched_pair.url_of('nobody')}&read_from=replica"))
    with pytest.raises(Error, match="watch no server of the name nobody"):
        await unknown.run(get("k"))
    await unknown.call("close")


def _role() -> Any:
    return command("test.role", Effect.READ, "ROLE", decode=list)


@pytest.mark.parametrize("front", [HustleX, BlockingHustleX])
def test_rooms_never_read_from_replicas(front: Any) -> None:
    url = "redis+cluster://localhost?read_from=replica"
    for urls in ({"url": url}, {"url": "redis://localhost", "cache_url": url}):
        with pytest.raises(ConfigurationError, match="reads from replicas, where a right may be older than its end"):
            front(**urls, secret=SECRET)


def test_what_else_is_asked_for_is_one_sentence() -> None:
    assert not parse_address("redis+cluster://h?read_from=primary").replicas
    for query in ("read_from=nearest", "read_from=", "read_from=replica&read_from=primary"):
        with pytest.raises(ConfigurationError, match="neither primary nor replica"):
            parse_address(f"redis+cluster://h?{query}")
    with pytest.raises(ConfigurationError, match="unknown option: read_from"):
        parse_address("redis://h?read_from=replica")
