"""Copies in the process: told of every change, kept only when nothing can have been missed, bounded."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import redis

from hustlex.app import HustleX
from hustlex.cache import Caches
from hustlex.cache.near import NearShelf, NearWatch, immutable
from hustlex.drivers.aio import Driver
from hustlex.drivers.aio.options import Options
from hustlex.errors import Misuse
from hustlex.sync import HustleX as BlockingHustleX
from tests.conftest import PATIENCE
from tests.contract.test_cache import PATIENT, QUARTER, Origin, every_key_ends, until
from tests.support.proxy import Proxy

__all__ = ["every_key_ends"]

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def one(url: str) -> AsyncIterator[HustleX]:
    async with HustleX(url, timeout=PATIENCE) as front:
        yield front


@pytest.fixture
async def other(url: str) -> AsyncIterator[HustleX]:
    async with HustleX(url, timeout=PATIENCE) as front:
        yield front


async def near(front: HustleX, value_type: Any = int, **options: Any) -> Any:
    """A cache that hears of changes already."""
    cache = front.cache("n", value_type, **{"ttl": QUARTER, "timeout": PATIENT, "near": MINUTE} | options)
    plan = cache._plan
    await until(lambda: plan.near.watch.live)
    return cache


def hits(cache: Any) -> int:
    return int(cache.stats().requests.get("near", 0))


async def kept(cache: Any, key: Any) -> Any:
    """Read until it is kept here; what the server tells of older changes may drop it once."""
    async with asyncio.timeout(60):
        before = hits(cache)
        while True:
            value = await cache.get(key)
            if hits(cache) > before:
                return value
            await asyncio.sleep(0.001)


async def test_a_hit_asks_nobody(one: HustleX, raw: redis.Redis) -> None:
    cache = await near(one)
    origin = Origin(7)
    assert await cache.get_or_compute(1, origin.load) == 7
    assert await kept(cache, 1) == 7
    before = int(raw.info("commandstats")["cmdstat_get"]["calls"])
    for _ in range(50):
        assert await cache.get_or_compute(1, origin.load) == 7
    assert int(raw.info("commandstats")["cmdstat_get"]["calls"]) == before
    assert origin.calls == 1


@pytest.mark.parametrize("way", ["set", "delete", "expire", "tag", "soft tag", "clear", "foreign", "flush"])
async def test_every_change_reaches_the_others(one: HustleX, other: HustleX, raw: redis.Redis, way: str) -> None:
    """T-C24, T-C25."""
    here, there = await near(one), await near(other)
    await here.set(1, 1, tags=["a"])
    assert [await kept(here, 1), await kept(there, 1)] == [1, 1]
    changes: dict[str, Callable[[], Any]] = {
        "set": lambda: here.set(1, 2),
        "delete": lambda: here.delete(1),
        "expire": lambda: here.expire(1),
        "tag": lambda: here.invalidate_tags("a"),
        "soft tag": lambda: here.invalidate_tags("a", soft=True),
        "clear": here.clear,
        "foreign": lambda: asyncio.to_thread(raw.delete, "cache:n:1"),
        "flush": lambda: asyncio.to_thread(raw.flushdb),
    }
    await changes[way]()
    expected = 2 if way == "set" else None
    if way not in ("foreign", "flush"):
        assert await here.get(1) == expected  # at once, in the process that changed it
    async with asyncio.timeout(60):
        while [await here.get(1), await there.get(1)] != [expected] * 2:
            await asyncio.sleep(0.001)


async def test_callers_share_only_what_nobody_can_change(one: HustleX) -> None:
    lists = await near(one, list[int])
    await lists.set(1, [1])
    await kept(lists, 1)
    found = [await lists.get(1) for _ in range(2)]
    assert hits(lists) >= 2
    found[0].append(2)
    assert [found[1], await lists.get(1)] == [[1], [1]]

    class Fixed(msgspec.Struct, frozen=True):
        names: tuple[str, ...]

    class Open(msgspec.Struct, frozen=True):
        names: list[str]

    assert [immutable(kind) for kind in (int, str | None, Fixed, tuple[int, str], frozenset[int])] == [True] * 5
    assert [immutable(kind) for kind in (Open, list[int], dict[str, int], Any, set[int], object)] == [False] * 6


async def test_a_read_that_a_change_overtook_is_not_kept(one: HustleX, raw: redis.Redis) -> None:
    """T-C22: the notice may arrive before the reply of a read that came first."""
    cache = await near(one)
    watch = cache._plan.near.watch
    await cache.set(1, 1)
    guard = watch.begin(["cache:n:1"])
    raw.set("cache:n:1", b"x", px=60_000)
    await until(lambda: not guard.clean)
    assert watch.end(guard) is False
    assert watch._pending == {}
    again = watch.begin(["cache:n:1"])
    watch.forget()
    assert watch.end(again) is False


async def test_values_tags_are_kept_and_told_too(one: HustleX, other: HustleX) -> None:
    cache = await near(one, list[int], value_tags=lambda value: [f"t{value[0]}"])
    await cache.set(1, [5])
    assert await kept(cache, 1) == [5]
    await other.cache.invalidate_tags("t5")
    async with asyncio.timeout(60):
        while await cache.get(1) is not None:
            await asyncio.sleep(0.001)


async def test_a_broken_link_drops_everything(url: str, faulty: Proxy) -> None:
    """T-C23 in part: nothing is served from memory until every change is told again."""
    async with HustleX(faulty.url) as front, HustleX(url, timeout=PATIENCE) as other:
        cache, writer = await near(front), other.cache("n", int, ttl=QUARTER, timeout=PATIENT, near=MINUTE)
        await writer.set(1, 1)
        assert await kept(cache, 1) == 1
        faulty.cut()
        await until(lambda: not len(cache._plan.near))
        await writer.set(1, 2)
        async with asyncio.timeout(60):
            while await cache.get(1) != 2:
                await asyncio.sleep(0.002)
        assert await kept(cache, 1) == 2


async def test_a_link_that_dies_in_silence_ends_the_copies(url: str, faulty: Proxy) -> None:
    """T-C23: nobody says that it is gone; the signs of life do, after ``look`` and ``stall``."""
    driver = Driver(faulty.url, Options(look=0.05, stall=0.3))
    async with HustleX(url, timeout=PATIENCE) as other:
        options: dict[str, Any] = {"ttl": QUARTER, "timeout": PATIENT, "near": MINUTE}
        cache, writer = Caches(driver)("n", int, **options), other.cache("n", int, **options)
        await until(lambda: cache._plan.near.watch.live)
        await writer.set(1, 1)
        assert await kept(cache, 1) == 1
        faulty.black_hole = True
        await writer.set(1, 2)
        await until(lambda: not len(cache._plan.near))
        assert hits(cache) > 0
        faulty.black_hole = False
        async with asyncio.timeout(60):
            while await cache.get(1) != 2:
                await asyncio.sleep(0.002)
    await driver.close()


async def test_a_copy_that_nobody_was_told_of_is_found_by_a_proof(one: HustleX) -> None:
    cache = await near(one, near_proof=1.0)
    await cache.set(1, 1)
    shelf = cache._plan.near
    async with asyncio.timeout(60):
        while not cache.stats().near.get("differed"):
            copy = shelf.held("cache:n:1")
            if copy is not None:
                copy.body = b"2"  # as if a notice had been lost
            assert await cache.get(1) == 1
    assert any("out of date" in sentence for sentence in cache.stats().advice())


async def test_proofs_are_counted(one: HustleX, raw: redis.Redis) -> None:
    cache = await near(one, near_proof=0.5)
    await cache.set(1, 1)
    await until(lambda: True)
    async with asyncio.timeout(60):
        while cache.stats().near.get("same", 0) < 3 or hits(cache) < 3:
            assert await cache.get(1) == 1
    assert "differed" not in cache.stats().near


def test_a_blocking_front_has_none(url: str) -> None:
    with BlockingHustleX(url, timeout=PATIENCE) as front, pytest.raises(Misuse, match="near"):
        front.cache("n", int, ttl=QUARTER, near=MINUTE)


class _Live:
    """A watch that always hears."""

    live = True

    def cell(self, key: str) -> Any:
        raise AssertionError(key)


def _hit_rate(find: Callable[[str], Any], keep: Callable[[str], None], trace: list[str]) -> float:
    found = 0
    for key in trace:
        if find(key) is not None:
            found += 1
        else:
            keep(key)
    return found / len(trace)


def test_a_scan_drives_out_nobody() -> None:
    """C-78: on a Zipf trace with one-off scans, at least three points above least recently used."""
    dice = random.Random(20261129)
    weights = [1 / rank for rank in range(1, 3001)]
    trace: list[str] = []
    for scan in range(12):
        trace += [f"k{n}" for n in dice.choices(range(3000), weights, k=2500)]
        trace += [f"scan{scan}-{n}" for n in range(400)]
    shelf: NearShelf[int] = NearShelf(_Live(), entries=200, size=1 << 20, age_s=60, now=lambda: 0.0)  # type: ignore[arg-type]
    ours = _hit_rate(shelf.find, lambda key: shelf.keep(key, 1, b"1", True, 60, ()), trace)
    assert len(shelf) <= 200
    lru: OrderedDict[str, int] = OrderedDict()

    def find(key: str) -> int | None:
        if key in lru:
            lru.move_to_end(key)
        return lru.get(key)

    def keep(key: str) -> None:
        lru[key] = 1
        if len(lru) > 200:
            lru.popitem(last=False)

    assert ours >= _hit_rate(find, keep, trace) + 0.03


def test_bytes_are_bounded_and_copies_end() -> None:
    clock = [0.0]
    shelf: NearShelf[int] = NearShelf(_Live(), entries=10, size=100, age_s=5, now=lambda: clock[0])  # type: ignore[arg-type]
    for n in range(50):
        shelf.keep(str(n), n, b"x" * 30, True, 60, ())
        assert shelf.bytes == 30 * len(shelf) <= 100
    shelf.keep("big", 1, b"x" * 101, True, 60, ())
    assert shelf.find("big") is None
    assert shelf.find("49") is not None
    clock[0] = 5.0
    assert shelf.find("49") is None
    for n in range(1000):  # dropped ones do not pile up in the queues
        shelf.keep("a", n, b"x", True, 60, ())
    assert len(shelf._small) + len(shelf._main) <= 21
    assert isinstance(NearWatch(None, "p."), NearWatch)  # type: ignore[arg-type]
