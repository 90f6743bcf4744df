"""Stale while it is computed anew, stale instead of an error, early refresh, timeouts, many keys, warming, versions."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.app import HustleX
from hustlex.cache import MISSING, Hit, Miss, Warmed
from hustlex.cache.plan import Entropy
from hustlex.core.time import FixedClock
from hustlex.errors import LoadTimeout, Misuse
from tests.conftest import PATIENCE
from tests.contract.test_cache import PATIENT, Origin, every_key_ends, keys, start, until

__all__ = ["every_key_ends"]

MINUTE = timedelta(minutes=1)


def numbers(hx: Any, **options: Any) -> Any:
    return hx.cache("n", int, **{"ttl": MINUTE, "timeout": PATIENT, "jitter": 0} | options)


async def test_a_stale_value_is_served_while_it_is_computed_anew(hx: Any, clock: FixedClock) -> None:
    """T-C09: nobody waits for the computation."""
    cache = numbers(hx, stale_ttl=MINUTE)
    origin = Origin(1)
    assert await cache.get_or_compute(1, origin.load) == 1
    clock.advance(timedelta(seconds=61))
    origin.value = 2
    origin.close()
    assert [await cache.get_or_compute(1, origin.load) for _ in range(5)] == [1] * 5
    await origin.computing.wait()
    found = await cache.lookup(1)
    assert found == Hit(1, timedelta(0), timedelta(seconds=61), "stale")
    assert await cache.get(1) == 1
    origin.open()
    await until(lambda: cache.stats().fill.get("stored") == 2)
    assert await cache.get_or_compute(1, origin.load) == 2
    assert origin.calls == 2
    assert cache.stats().requests["stale"] >= 5
    clock.advance(timedelta(seconds=121))
    assert await cache.lookup(1) == Miss()


async def test_one_process_refreshes_and_the_others_serve(url: str, raw: redis.Redis) -> None:
    async with HustleX(url, timeout=PATIENCE) as one, HustleX(url, timeout=PATIENCE) as other:
        here, there = numbers(one, stale_ttl=MINUTE), numbers(other, stale_ttl=MINUTE)
        origin = Origin(1)
        await here.get_or_compute(1, origin.load)
        await here.expire(1)
        origin.close()
        assert await here.get_or_compute(1, origin.load) == 1
        await origin.computing.wait()
        for _ in range(3):
            assert await there.get_or_compute(1, origin.load) == 1
        assert origin.calls == 2
        origin.value = 2
        origin.open()
        await until(lambda: here.stats().fill.get("stored") == 2)


async def test_an_invalidation_while_refreshing_wins(hx: Any, raw: redis.Redis) -> None:
    cache = numbers(hx, stale_ttl=MINUTE)
    origin = Origin(1)
    await cache.get_or_compute(1, origin.load)
    await cache.expire(1)
    origin.close()
    assert await cache.get_or_compute(1, origin.load) == 1
    await origin.computing.wait()
    await cache.delete(1)
    newer = Origin(2)
    assert await cache.get_or_compute(1, newer.load) == 2
    origin.open()
    await until(lambda: cache.stats().fill.get("refused") == 1)
    assert await cache.get(1) == 2


async def test_a_failing_computation_is_replaced_and_left_alone_for_a_while(
    hx: Any, raw: redis.Redis, clock: FixedClock
) -> None:
    """T-C10."""
    cache = numbers(hx, stale_if_error=timedelta(minutes=10), cooldown=timedelta(seconds=30))
    origin = Origin(1)
    await cache.get_or_compute(1, origin.load)
    clock.advance(timedelta(seconds=61))
    origin.value = ConnectionError("the database is away")
    assert await cache.get(1) is None  # only instead of an error
    assert [await cache.get_or_compute(1, origin.load) for _ in range(10)] == [1] * 10
    assert origin.calls == 2
    assert raw.get("cl:{cache:n:1}") == b"c"
    other = numbers(hx, stale_if_error=timedelta(minutes=10))  # another process knows it from the lease
    assert [await other.get_or_compute(1, origin.load) for _ in range(3)] == [1] * 3
    assert origin.calls == 2
    await cache.delete(1)
    with pytest.raises(ConnectionError):
        await cache.get_or_compute(1, origin.load)
    assert not raw.exists("cl:{cache:n:1}")


async def test_eight_fronts_try_a_failing_computation_once(url: str, clock: FixedClock) -> None:
    """T-C10: for as long as it is left alone; fronts share nothing but the server, as processes do."""
    fronts = [HustleX(url, timeout=PATIENCE, clock=clock) for _ in range(8)]
    caches = [numbers(front, stale_if_error=timedelta(minutes=10), cooldown=MINUTE) for front in fronts]
    origin = Origin(1)
    await caches[0].get_or_compute(1, origin.load)
    clock.advance(timedelta(seconds=61))
    origin.value = ConnectionError("the database is away")
    for _ in range(2):
        calls = [cache.get_or_compute(1, origin.load) for cache in caches for _ in range(5)]
        assert await asyncio.gather(*calls) == [1] * 40
    assert origin.calls == 2
    for front in fronts:
        await front.close()


async def test_an_error_without_a_stale_value_is_raised(hx: Any, clock: FixedClock) -> None:
    cache = numbers(hx, stale_if_error=MINUTE)
    origin = Origin(LookupError("no"))
    with pytest.raises(LookupError):
        await cache.get_or_compute(1, origin.load)
    origin.value = 1
    await cache.get_or_compute(1, origin.load)
    clock.advance(timedelta(minutes=3))
    origin.value = LookupError("no")
    with pytest.raises(LookupError):
        await cache.get_or_compute(1, origin.load)


async def test_a_cached_none_is_never_stale(hx: Any, clock: FixedClock) -> None:
    cache = numbers(hx, stale_ttl=MINUTE)
    await cache.set(1, None)
    clock.advance(timedelta(seconds=31))
    assert await cache.get(1, default=MISSING) is MISSING


async def test_soft_and_hard_timeouts(hx: Any, clock: FixedClock) -> None:
    wait = timedelta(milliseconds=30)
    cache = numbers(hx, stale_if_error=MINUTE, soft_timeout=wait, hard_timeout=5 * wait)
    origin = Origin(1)
    origin.close()
    with pytest.raises(LoadTimeout, match="150 ms"):
        await cache.get_or_compute(1, origin.load)
    origin.open()
    await until(lambda: cache.stats().fill.get("stored") == 1)
    assert await cache.get(1) == 1
    clock.advance(timedelta(seconds=61))
    origin.value = 2
    origin.close()
    assert await cache.get_or_compute(1, origin.load) == 1
    origin.open()
    await until(lambda: cache.stats().fill.get("stored") == 2)
    assert await cache.get(1) == 2
    assert origin.calls == 2


def test_early_refresh_is_drawn_as_the_paper_says() -> None:
    """T-C13: 10,000 draws, within three standard deviations of exp(-left / (early * delta))."""
    import random

    from hustlex.cache.codec import ValueCodec
    from hustlex.cache.frame import EntryFrame
    from hustlex.cache.plan import CachePlan
    from hustlex.cache.policy import policy
    from hustlex.cache.reading import _freshness
    from tests.unit.test_cache_flows import HandComputations

    dice = random.Random(20261129)
    for early in (1.0, 2.0):
        limits = policy(ttl=MINUTE, early=early, clearable=False)
        clock = FixedClock(1_000_000)
        plan = CachePlan(
            "n",
            ValueCodec(int, limits),
            limits,
            HandComputations(),
            prefix="",
            clock=clock,
            entropy=Entropy(draw=dice.random),
        )
        for left, delta in ((100, 400), (400, 400), (2000, 400), (10_000, 400)):
            frame = EntryFrame(1_000_000 - 60_000 + left, 60_000, b"1", delta)
            drawn = sum(_freshness(plan, frame, 0, False)[0] == "early" for _ in range(10_000))
            expected = math.exp(-left / (early * delta))
            assert abs(drawn / 10_000 - expected) <= 3 * math.sqrt(expected * (1 - expected) / 10_000) + 1e-9
        slow = EntryFrame(1_000_000 - 40_000, 60_000, b"1", 600_000)  # ten times its ttl: capped at a quarter of it
        drawn = sum(_freshness(plan, slow, 0, False)[0] == "early" for _ in range(10_000))
        assert abs(drawn / 10_000 - math.exp(-20_000 / 15_000)) < 0.02


async def test_an_early_refresh_runs_behind(hx: Any, clock: FixedClock) -> None:
    cache = numbers(hx, early=100.0)
    origin = Origin(1)
    await cache.get_or_compute(1, origin.load)
    origin.value = 2
    clock.advance(timedelta(milliseconds=59_999))
    async with asyncio.timeout(60):
        while await cache.get_or_compute(1, origin.load) != 2:
            await asyncio.sleep(0)
    assert cache.stats().requests["miss"] == 1
    assert cache.stats().requests["early"] >= 1


# -- many


async def test_get_or_compute_many_computes_in_one_call(hx: Any, raw: redis.Redis) -> None:
    """T-C29."""
    cache = numbers(hx)
    asked: list[list[int]] = []

    async def load(ids: list[int]) -> dict[int, int | None]:
        asked.append(ids)
        return {n: n * n for n in ids if n != 5}

    await cache.set(2, 99)
    expected = {3: 9, 2: 99, 1: 1, 5: None}
    assert await cache.get_or_compute_many([3, 2, 1, 3, 5], load) == expected
    assert asked == [[3, 1, 5]]
    assert await cache.get_or_compute_many([3, 2, 1, 5], load) == expected
    assert len(asked) == 1
    assert list(expected) == list(await cache.get_or_compute_many([3, 2, 1, 5], load))
    assert await cache.get_or_compute_many([], load) == {}
    big = await cache.get_or_compute_many(range(1000, 2000), load, tags=["a"])
    assert big == {n: n * n for n in range(1000, 2000)}
    assert len(asked) == 2
    await hx.cache.invalidate_tags("a")
    assert await cache.get_many(range(1000, 2000)) == {}
    assert not [key for key in raw.scan_iter() if key.startswith(b"cl:")]


async def test_get_or_compute_many_waits_for_what_others_compute(hx: Any) -> None:
    cache = numbers(hx)
    origin, asked = Origin(7), []
    origin.close()
    single = start(cache.get_or_compute(1, origin.load))
    await origin.computing.wait()

    async def load(ids: list[int]) -> dict[int, int]:
        asked.append(ids)
        return {n: n for n in ids}

    both = start(cache.get_or_compute_many([1, 2], load))
    await until(lambda: cache.stats().wait.get("polled"))
    origin.open()
    assert await both == {1: 7, 2: 2}
    assert await single == 7
    assert asked == [[2]]


async def test_get_or_compute_many_raises_what_the_function_raises_and_leaves_nothing(
    hx: Any, raw: redis.Redis
) -> None:
    cache = numbers(hx)

    async def broken(_: list[int]) -> dict[int, int]:
        raise LookupError("no")

    async def odd(_: list[int]) -> Any:
        return [1]

    async def wrong(ids: list[int]) -> Any:
        return dict.fromkeys(ids, "text")

    for load, error in ((broken, LookupError), (odd, Misuse), (wrong, Misuse)):
        with pytest.raises(error):
            await cache.get_or_compute_many([1, 2], load)
        assert keys(raw) == []


async def test_warming_fills_what_is_missing(hx: Any, raw: redis.Redis) -> None:
    cache = numbers(hx)
    asked: list[list[int]] = []

    async def load(ids: list[int]) -> dict[int, int]:
        asked.append(ids)
        return {n: n for n in ids}

    await cache.set(3, 99)
    assert await cache.warm(range(10), load, batch=4) == Warmed(stored=9, present=1, left=0)
    assert asked == [[0, 1, 2], [4, 5, 6, 7], [8, 9]]
    assert await cache.get(3) == 99
    assert await cache.warm(range(10), load) == Warmed(stored=0, present=10, left=0)
    lives = [raw.pttl(f"cache:n:{n}") for n in range(10) if n != 3]
    assert all(29_000 < life <= 60_000 for life in lives)
    assert max(lives) - min(lives) > 1_000


async def test_a_version_never_replaces_a_newer_one(hx: Any) -> None:
    """C-47."""
    cache = numbers(hx)
    assert await cache.set(1, 5, version=5) is True
    assert await cache.set(1, 4, version=4) is False
    assert await cache.get(1) == 5
    assert await cache.set(1, 6, version=6) is True
    assert await cache.set(1, 7, version=2**53) is True
    assert await cache.set(1, 8, version=2**53 - 1) is False
    assert await cache.get(1) == 7
    assert await cache.set(1, 9) is True  # without a version: the last one wins
    assert await cache.get(1) == 9


async def test_a_hold_keeps_everybody_from_storing(hx: Any, raw: redis.Redis) -> None:
    """T-C12."""
    cache = numbers(hx)
    await cache.set(1, 1)
    await cache.delete(1, hold=timedelta(seconds=30))
    assert await cache.get_or_compute(1, Origin(2).load) == 2
    assert keys(raw) == [b"cl:{cache:n:1}"]
    assert 0 < raw.pttl("cl:{cache:n:1}") <= 30_000


async def test_production_knows_ages_without_a_clock(url: str, raw: redis.Redis) -> None:
    """T-C15: ages come from what is left of an entry's life on the server, so no clock of an application counts."""
    async with HustleX(url, timeout=PATIENCE) as front:
        cache = front.cache("n", int, ttl=MINUTE, stale_ttl=MINUTE, timeout=PATIENT, jitter=0)
        origin = Origin(1)
        await cache.get_or_compute(1, origin.load)
        raw.pexpire("cache:n:1", 60_000 + 20_000)
        found = await cache.lookup(1)
        assert isinstance(found, Hit)
        assert found.state == "fresh"
        assert timedelta(seconds=39) < (found.age or timedelta(0)) <= timedelta(seconds=45)
        raw.pexpire("cache:n:1", 50_000)
        origin.value = 2
        assert await cache.get_or_compute(1, origin.load) == 1
        await until(lambda: cache.stats().fill.get("stored") == 2)
        assert await cache.get(1) == 2
