"""This package's cache: hits from Redis and from copies, a cold key in two processes, tags, and the race."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import redis.asyncio

from hustlex import HustleX
from hustlex.cache import Cache

Get = Callable[[int], Awaitable[Any]]
_MINUTE = timedelta(minutes=1)
_PATIENT = timedelta(seconds=5)
_ENTRIES = 100_000


async def connect(url: str, load: Callable[[int], Awaitable[dict[str, Any]]]) -> tuple[Get, Callable[[], Any]]:
    """A cached function of one number."""
    front = HustleX(url)
    users: Cache[dict[str, Any]] = front.cache("user", dict[str, Any], ttl=_MINUTE, timeout=_PATIENT)

    @users.cached("user:{user_id}")
    async def cached(user_id: int) -> dict[str, Any]:
        return await load(user_id)

    return cached, front.close


async def client(url: str) -> tuple[Any, Any, Any]:
    """One process's part in the race: get with a load, delete, close."""
    front = HustleX(url)
    cache = front.cache("race", int, ttl=_MINUTE, timeout=_PATIENT)
    return cache.get_or_compute, cache.delete, front.close


async def extras(url: str) -> dict[str, float]:
    """What only ours has: copies in the process, and tags."""
    async with HustleX(url) as front:
        return await _near(front) | await _tags(front)


async def _near(front: HustleX) -> dict[str, float]:
    cache = front.cache("near", int, ttl=_MINUTE, near=_MINUTE, timeout=_PATIENT)

    @cache.cached("near:{number}")
    async def load(number: int) -> int:
        return number

    while not cache.stats().requests.get("near"):
        await load(1)
        await asyncio.sleep(0.001)
    calls, times, functions = 50_000, [], []
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(calls):
            await cache.get(1)
        times.append((time.perf_counter() - begun) / calls * 1e6)
        begun = time.perf_counter()
        for _ in range(calls):
            await load(1)
        functions.append((time.perf_counter() - begun) / calls * 1e6)
    return {"near_hit_us": min(times), "near_function_us": min(functions)}


async def _tags(front: HustleX) -> dict[str, float]:
    cache = front.cache("tagged", int, ttl=timedelta(minutes=10), timeout=_PATIENT)
    small, big = [f"small{n}" for n in range(12)], [f"big{n}" for n in range(12)]
    await cache.set_many(dict.fromkeys(range(10), 1), tags=small)
    for start in range(0, _ENTRIES, 10_000):
        await cache.set_many(dict.fromkeys(range(1_000 + start, 1_000 + start + 10_000), 1), tags=big)
    costs: dict[str, list[float]] = {"small": [], "big": []}
    for pair in zip(small, big, strict=True):
        for tag in pair:
            begun = time.perf_counter()
            await cache.invalidate_tags(tag)
            costs[tag.rstrip("0123456789")].append(time.perf_counter() - begun)
    middle = {size: statistics.median(times) for size, times in costs.items()}
    return {"tag_cost_ratio": middle["big"] / middle["small"], "tag_big_us": middle["big"] * 1e6}


async def stampede(url: str, callers: int) -> int:
    """A cold key, asked for by all callers of two processes at once: how often it was computed here."""
    computed = 0
    oracle = redis.asyncio.Redis.from_url(url)

    async def load() -> int:
        nonlocal computed
        computed += 1
        await asyncio.sleep(0.5)
        return 1

    async with HustleX(url) as front:
        cache = front.cache("cold", int, ttl=_MINUTE, timeout=_PATIENT)
        await cache.get(0)
        await oracle.incr("ready")
        while int(await oracle.get("ready")) < 2:
            await asyncio.sleep(0.001)
        await asyncio.gather(*(cache.get_or_compute(1, load) for _ in range(callers)))
    await oracle.aclose()
    return computed
