"""No value outlives an invalidation that returned, whatever runs at the same time: a race, judged by floors.

Each get remembers the origin's version at the last invalidation that had returned before the get began; getting an
older one is a violation. Plain read-miss-load-set fails this test within a second.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
import redis.asyncio

from hustlex.app import HustleX
from hustlex.sync import HustleX as BlockingHustleX

CLIENTS = 6
READERS = 4
KEYS = 5
SECONDS = 5.0

Get = Callable[[int, Callable[[], Awaitable[int]]], Awaitable[int]]


class Race:
    """The origin and the account of what was seen."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.versions = [0] * KEYS
        self.floors = [0] * KEYS
        self.gets = self.invalidations = self.loads = 0
        self.violations: list[str] = []
        self.until = time.monotonic() + SECONDS

    @property
    def running(self) -> bool:
        return time.monotonic() < self.until

    async def read(self, get: Get) -> None:
        while self.running:
            key = self.dice.randrange(KEYS)

            async def load(key: int = key) -> int:
                self.loads += 1
                version = self.versions[key]
                await asyncio.sleep(self.dice.randrange(10) / 1000)
                return version

            floor = self.floors[key]
            seen = await get(key, load)
            self.gets += 1
            if seen < floor:
                self.violations.append(f"key {key}: {seen} after {floor}")
            await asyncio.sleep(0)

    async def write(self, delete: Callable[[int], Awaitable[None]], evict: Callable[[str], Awaitable[None]]) -> None:
        """Change the origin, invalidate; every tenth time also lose some key of the cache, as eviction would."""
        while self.running:
            key = self.dice.randrange(KEYS)
            self.versions[key] += 1
            committed = self.versions[key]
            await delete(key)
            self.floors[key] = max(self.floors[key], committed)
            self.invalidations += 1
            if self.dice.random() < 0.1:
                await evict(self.dice.choice(("cache:n:{}", "cl:{{cache:n:{}}}")).format(self.dice.randrange(KEYS)))
            await asyncio.sleep(self.dice.randrange(6) / 1000)


async def compete(url: str, race: Race, reader: Callable[[Any], Get]) -> None:
    async with AsyncExitStack() as stack:
        fronts = [await stack.enter_async_context(HustleX(url)) for _ in range(CLIENTS)]
        caches = [front.cache("n", int, ttl=timedelta(minutes=1), timeout=timedelta(seconds=2)) for front in fronts]
        loser = redis.asyncio.Redis.from_url(url)
        stack.push_async_callback(loser.aclose)

        async def evict(key: str) -> None:
            await loser.unlink(key)

        writers = [race.write(caches[number].delete, evict) for number in range(2)]
        readers = [race.read(reader(cache)) for cache in caches for _ in range(READERS)]
        await asyncio.gather(*writers, *readers)


@pytest.mark.timeout(450)
async def test_no_get_is_older_than_an_invalidation_that_returned(url: str) -> None:
    """T-C04 with invalidation by key."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    race = Race(seed)
    await compete(url, race, lambda cache: cache.get_or_compute)
    print(f"{race.gets} gets, {race.loads} loads, {race.invalidations} invalidations")
    assert race.violations == []
    assert race.gets > 2000
    assert race.invalidations > 100
    assert race.loads < race.gets / 2


@pytest.mark.timeout(450)
async def test_the_race_finds_the_fault_of_plain_read_load_set(url: str) -> None:
    """The judge is not blind: the usual cache-aside loses this race."""

    def plain(cache: Any) -> Get:
        async def get(key: int, load: Callable[[], Awaitable[int]]) -> int:
            value = await cache.get(key)
            if value is None:
                value = await load()
                await cache.set(key, value)
            return int(value)

        return get

    race = Race(1)
    race.until = time.monotonic() + 1.5
    await compete(url, race, plain)
    assert race.violations


@pytest.mark.timeout(450)
def test_threads_keep_the_same_promise(url: str) -> None:
    """Three processes' worth of blocking fronts, four threads each, for two seconds."""
    versions, floors, violations = [0] * KEYS, [0] * KEYS, []
    counts = {"gets": 0, "loads": 0}
    until = time.monotonic() + 2.0
    fronts = [BlockingHustleX(url) for _ in range(3)]
    caches = [front.cache("n", int, ttl=timedelta(minutes=1), timeout=timedelta(seconds=2)) for front in fronts]

    def read(cache: Any, dice: random.Random) -> None:
        while time.monotonic() < until:
            key = dice.randrange(KEYS)

            def load(key: int = key) -> int:
                counts["loads"] += 1
                version = versions[key]
                time.sleep(dice.randrange(10) / 1000)
                return version

            floor = floors[key]
            seen = cache.get_or_compute(key, load)
            counts["gets"] += 1
            if seen < floor:
                violations.append(f"key {key}: {seen} after {floor}")

    def write(cache: Any, dice: random.Random) -> None:
        while time.monotonic() < until:
            key = dice.randrange(KEYS)
            versions[key] += 1
            committed = versions[key]
            cache.delete(key)
            floors[key] = committed
            time.sleep(dice.randrange(6) / 1000)

    threads = [threading.Thread(target=write, args=(caches[0], random.Random(0)))]
    threads += [
        threading.Thread(target=read, args=(cache, random.Random(n))) for n, cache in enumerate(caches * 4, start=1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for front in fronts:
        front.close()
    assert violations == []
    assert counts["gets"] > 500
