"""A driver that hears which keys change: every change, and every break in hearing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
import redis

from hustlex.core.op import Tracking
from hustlex.drivers.aio import Driver
from hustlex.errors import Refused, Unavailable
from tests.support.proxy import Proxy


class Ear:
    """What a near cache would do with it."""

    def __init__(self, driver: Driver, *prefixes: str) -> None:
        self.heard: asyncio.Queue[Sequence[bytes] | None] = asyncio.Queue()
        self.losses = 0
        self.tracking: Tracking = driver.track(*prefixes, on_keys=self.heard.put_nowait, on_loss=self._lost)

    def _lost(self) -> None:
        self.losses += 1

    async def next(self) -> Sequence[bytes] | None:
        async with asyncio.timeout(60):
            return await self.heard.get()


@pytest.fixture
async def ear(driver: Driver) -> Ear:
    ear = Ear(driver, "near:", "more:")
    assert not ear.tracking.live
    assert await ear.tracking.settled(5)
    return ear


async def test_keys_with_the_prefixes_are_told_whoever_changes_them_and_no_others(ear: Ear, raw: redis.Redis) -> None:
    raw.set("other:1", "x")
    raw.set("near:1", "x")
    assert await ear.next() == [b"near:1"]
    raw.pexpire("more:1", 1)
    raw.rpush("more:2", "x")
    assert await ear.next() == [b"more:2"]
    assert (ear.losses, ear.tracking.epoch) == (0, 0)


async def test_a_key_that_expires_is_told(ear: Ear, raw: redis.Redis) -> None:
    raw.set("near:1", "x", px=1)
    assert await ear.next() == [b"near:1"]
    while raw.exists("near:1"):
        await asyncio.sleep(0.001)
    assert await ear.next() == [b"near:1"]


async def test_an_emptied_server_is_told_as_all_keys(ear: Ear, raw: redis.Redis) -> None:
    raw.set("near:1", "x")
    assert await ear.next() == [b"near:1"]
    raw.flushall()
    assert await ear.next() is None


async def test_a_broken_link_is_a_loss_at_once_and_hearing_begins_again(faulty: Proxy, url: str) -> None:
    async with Driver(faulty.url) as driver:
        ear = Ear(driver)
        assert await ear.tracking.settled(5)
        faulty.refuse = True
        faulty.cut()
        while not ear.losses:
            await asyncio.sleep(0.001)
        assert (ear.losses, ear.tracking.epoch, ear.tracking.live) == (1, 1, False)
        assert not await ear.tracking.settled(0.01)
        faulty.refuse = False
        assert await ear.tracking.settled(5)
        with redis.Redis.from_url(url) as client:
            client.set("near:1", "x")
        assert await ear.next() == [b"near:1"]
        assert ear.losses == 1


async def test_a_server_that_will_not_tell_says_so(driver: Driver) -> None:
    ear = Ear(driver, "near:", "near:one:")  # the server takes no prefix within another
    assert not await ear.tracking.settled(5)
    assert isinstance(ear.tracking.error, Refused)
    assert ear.losses == 0


async def test_closing_ends_hearing_with_a_last_loss(driver: Driver, ear: Ear, raw: redis.Redis) -> None:
    await ear.tracking.close()
    await ear.tracking.close()
    assert (ear.losses, ear.tracking.live, ear.tracking.closed) == (1, False, True)
    other = Ear(driver, "near:")
    assert await other.tracking.settled(5)
    await driver.close()
    assert (other.losses, other.tracking.live) == (1, False)
    with pytest.raises(Unavailable, match="closed"):
        driver.track("near:", on_keys=lambda _: None, on_loss=lambda: None)
    while any(client["name"] == "hustlex" for client in raw.client_list(_type="normal")):
        await asyncio.sleep(0.005)


async def test_calls_and_subscriptions_go_on_beside_it(driver: Driver, ear: Ear, raw: redis.Redis) -> None:
    async with driver.subscribe("near:channel") as messages:
        raw.publish("near:channel", "1")
        assert (await anext(messages)).data == b"1"
    raw.set("near:1", "x")
    assert await ear.next() == [b"near:1"]
