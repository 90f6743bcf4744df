"""Events on a cluster: each channel is told at one node, in the slot of its history, wherever that is now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from hustlex import HustleX, sync
from hustlex.core.keys import slot
from hustlex.drivers.aio import Driver, Options
from hustlex.errors import Error
from hustlex.events import Events, Gap, Message
from tests.conftest import PATIENCE
from tests.support.blocking import Blocking
from tests.support.clusters import ClusterHands


class Tick(msgspec.Struct, frozen=True):
    number: int


def declared(events: Any, kind: Any = "replay") -> Any:
    options = {} if kind == "live" else {"kind": kind, "size": 1_000}
    return events.channel("ticks:{key}", Tick, **options)


def ticks(driver: Driver) -> Any:
    return declared(Events(driver))


@pytest.fixture(params=["aio", "blocking"])
async def front(request: pytest.FixtureRequest, cluster: ClusterHands) -> AsyncIterator[Any]:
    if request.param == "aio":
        async with HustleX(cluster.url, timeout=PATIENCE) as opened:
            yield opened
    else:
        with sync.HustleX(cluster.url, timeout=PATIENCE) as blocking:
            yield Blocking(blocking)


def key_at(cluster: ClusterHands, node: Any) -> int:
    return next(key for key in range(10_000) if cluster.owner(f"ev:{{ticks:{key}}}") is node)


def listeners(cluster: ClusterHands, key: int) -> list[int]:
    counts = [cluster.ask(each, "PUBSUB", "SHARDNUMSUB", f"ev:{{ticks:{key}}}") for each in cluster.primaries()]
    return [next(iter(count.values())) if isinstance(count, dict) else int(count[1]) for count in counts]


async def heard(messages: Any, count: int) -> list[Any]:
    async with asyncio.timeout(50):
        items = [await anext(messages) for _ in range(count)]
    return [item.data.number if isinstance(item, Message) else item for item in items]


async def kept(channel: Any, number: int, key: int) -> None:
    """Publish until the cluster takes it; with an id, so once."""
    async with asyncio.timeout(50):
        while True:
            try:
                await channel.publish(Tick(number), idem=f"tick {number}", key=key)
                return
            except Error:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", ["live", "replay"])
async def test_a_channel_is_told_at_the_node_of_its_slot_alone(front: Any, cluster: ClusterHands, kind: str) -> None:
    outbound = declared(front.events, kind)
    async with Driver(cluster.url, timeout=PATIENCE) as listening:
        inbound = declared(Events(listening), kind)
        for number, node in enumerate(cluster.primaries()):
            key = key_at(cluster, node)
            async with inbound.subscribe(key=key) as messages:
                assert listeners(cluster, key) == [int(number == each) for each in range(3)]
                assert await front.events.inspector.listeners(f"ticks:{key}") == 1
                await outbound.publish(Tick(number), key=key)
                assert await heard(messages, 1) == [number]


async def test_a_channel_follows_its_slot_and_loses_nothing(cluster: ClusterHands) -> None:
    source, target, _ = cluster.primaries()
    key = key_at(cluster, source)
    moved = slot(f"ev:{{ticks:{key}}}")
    async with Driver(cluster.url, timeout=PATIENCE) as listening, Driver(cluster.url, timeout=PATIENCE) as publishing:
        outbound = ticks(publishing)
        async with ticks(listening).subscribe(key=key) as messages:
            await kept(outbound, 0, key)
            moving = asyncio.create_task(asyncio.to_thread(cluster.move, moved, target))
            try:
                number = 0
                while not moving.done():
                    number += 1
                    await kept(outbound, number, key)
                    await asyncio.sleep(0.005)
                await kept(outbound, number + 1, key)
                assert await heard(messages, number + 2) == [*range(number + 2)]
            finally:
                await moving
                await asyncio.to_thread(cluster.move, moved, source)


async def test_a_dead_primary_loses_nothing_or_says_so(cluster: ClusterHands) -> None:
    """T-E20: what its replica had not heard of yet is gone with it; then a gap comes first."""
    victim = cluster.primaries()[0]
    key = key_at(cluster, victim)
    options = Options(look=0.1, stall=0.5)
    async with (
        Driver(cluster.url, options, timeout=PATIENCE) as listening,
        Driver(cluster.url, timeout=PATIENCE) as publishing,
    ):
        outbound = ticks(publishing)
        async with ticks(listening).subscribe(key=key) as messages:
            for number in range(20):
                await kept(outbound, number, key)
            assert await heard(messages, 20) == [*range(20)]
            with cluster.healed():
                victim.kill()
                await kept(outbound, 20, key)
                await kept(outbound, 21, key)
                seen: list[Any] = []
                while not seen or seen[-1] != 21:
                    seen += await heard(messages, 1)
            gaps = [each for each in seen if isinstance(each, Gap)]
            assert seen == [*gaps, 20, 21]
            assert len(gaps) <= 1
