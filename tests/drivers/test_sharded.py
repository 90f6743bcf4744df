"""Sharded channels: told by SPUBLISH and heard at the node of their slot, wherever that is now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from hustlex.core.keys import slot
from hustlex.core.op import Effect, Message, Op, command
from hustlex.drivers.aio import Driver, Options
from hustlex.errors import Denied, Unavailable
from tests.drivers.conftest import PATIENCE
from tests.support.clusters import ClusterHands


def tell(channel: str, text: str) -> Op[int]:
    return command("test.tell", Effect.ONCE, "SPUBLISH", channel, text, keys=(channel,), decode=int)


async def heard(messages: AsyncIterator[Message]) -> str:
    async with asyncio.timeout(20):
        message = await anext(messages)
    return "gap" if message.gap else f"{message.channel} {message.data.decode()}"


@pytest.fixture
async def driver(cluster: ClusterHands) -> AsyncIterator[Driver]:
    async with Driver(cluster.url, timeout=PATIENCE) as driver:
        yield driver


def listeners(cluster: ClusterHands, channel: str) -> list[int]:
    counts = [cluster.ask(node, "PUBSUB", "SHARDNUMSUB", channel) for node in cluster.primaries()]
    return [next(iter(count.values())) if isinstance(count, dict) else int(count[1]) for count in counts]


async def test_each_channel_is_heard_at_its_own_node(driver: Driver, cluster: ClusterHands) -> None:
    channels = [cluster.key_at(node, "channel") for node in cluster.primaries()]
    async with driver.subscribe(*channels, sharded=True) as messages:
        for number, channel in enumerate(channels):
            assert listeners(cluster, channel) == [int(number == each) for each in range(3)]
            assert await driver.run(tell(channel, "x")) == 1
            assert await heard(messages) == f"{channel} x"
        assert not driver.deaf
    for channel in channels:
        while sum(listeners(cluster, channel)):
            await asyncio.sleep(0)


async def test_a_channel_follows_its_slot_and_tells_of_the_gap(driver: Driver, cluster: ClusterHands) -> None:
    source, target, _ = cluster.primaries()
    channel, stays = cluster.key_at(source, "moves"), cluster.key_at(target, "stays")
    async with driver.subscribe(channel, sharded=True) as one, driver.subscribe(stays, sharded=True) as other:
        await asyncio.to_thread(cluster.move, slot(channel), target)
        try:
            assert await heard(one) == "gap"
            assert await driver.run(tell(channel, "after")) == 1
            assert await heard(one) == f"{channel} after"
            await driver.run(tell(stays, "here"))
            assert await heard(other) == f"{stays} here"
        finally:
            await asyncio.to_thread(cluster.move, slot(channel), source)


async def test_a_broken_link_is_a_gap(driver: Driver, cluster: ClusterHands) -> None:
    node = cluster.primaries()[0]
    channel = cluster.key_at(node, "breaks")
    async with driver.subscribe(channel, sharded=True) as messages:
        cluster.ask(node, "CLIENT", "KILL", "TYPE", "pubsub")
        assert await heard(messages) == "gap"
        await driver.run(tell(channel, "again"))
        assert await heard(messages) == f"{channel} again"


async def test_a_single_server_has_sharded_channels_too(url: str) -> None:
    async with Driver(url, timeout=PATIENCE) as driver, driver.subscribe("c", sharded=True) as messages:
        assert await driver.run(tell("c", "x")) == 1
        assert await heard(messages) == "c x"


async def test_what_cannot_be_subscribed_says_why(url: str, raw: redis.Redis) -> None:
    async with Driver("redis://127.0.0.1:1", Options(connect=0.2, command=0.1)) as away:
        with pytest.raises(Unavailable, match="cannot subscribe at 127"):
            async with away.subscribe("c", sharded=True):
                pass
    async with Driver(url.replace("//:", "//:wrong"), timeout=PATIENCE) as stranger:
        with pytest.raises(Denied):
            async with stranger.subscribe("c", sharded=True):
                pass


async def test_closing_ends_open_subscriptions(url: str) -> None:
    driver: Any = Driver(url, timeout=PATIENCE)
    async with driver.subscribe("c", sharded=True) as messages:
        await driver.close()
        with pytest.raises(Unavailable, match="closed"):
            await heard(messages)
