"""A cache on a cluster: copies in the process while slots move and primaries die."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from hustlex import HustleX
from hustlex.core.keys import slot
from tests.conftest import PATIENCE
from tests.contract.test_cache import until as seen
from tests.contract.test_cache_near import kept
from tests.support.clusters import ClusterHands
from tests.support.sentinels import until

MINUTE = timedelta(minutes=1)


async def near(front: HustleX) -> Any:
    """A cache with copies that hears of changes already."""
    cache = front.cache("n", int, ttl=MINUTE, near=MINUTE, timeout=timedelta(seconds=5))
    await seen(lambda: cache._plan.near.watch.live)
    return cache


def key_at(cluster: ClusterHands, node: Any) -> int:
    return next(number for number in range(10_000) if cluster.owner(f"cache:n:{number}") is node)


async def test_a_copy_ends_with_the_move_of_its_slot_and_what_comes_after_is_heard(cluster: ClusterHands) -> None:
    source, target, _ = cluster.primaries()
    key = key_at(cluster, source)
    moved = slot(f"cache:n:{key}")
    async with HustleX(cluster.url, timeout=PATIENCE) as one, HustleX(cluster.url, timeout=PATIENCE) as other:
        mine, theirs = await near(one), await near(other)
        await theirs.set(key, 1)
        assert await kept(mine, key) == 1
        copy = mine._plan.near.held(f"cache:n:{key}")
        await asyncio.to_thread(cluster.move, moved, target)
        try:
            await seen(lambda: not copy.kept)
            await theirs.set(key, 2)
            assert await kept(mine, key) == 2
            again = mine._plan.near.held(f"cache:n:{key}")
            await theirs.delete(key)
            await seen(lambda: not again.kept)
            assert await mine.get(key) is None
        finally:
            await asyncio.to_thread(cluster.move, moved, source)


async def test_a_dead_primary_ends_copies_and_computing_goes_on(cluster: ClusterHands) -> None:
    victim = cluster.primaries()[0]
    key = key_at(cluster, victim)
    computed = 0

    async def load() -> int:
        nonlocal computed
        computed += 1
        return 7

    async with HustleX(cluster.url, timeout=PATIENCE) as one, HustleX(cluster.url, timeout=PATIENCE) as other:
        mine, theirs = await near(one), await near(other)
        await theirs.set(key, 1)
        assert await kept(mine, key) == 1
        copy = mine._plan.near.held(f"cache:n:{key}")
        with cluster.healed():
            victim.kill()
            await seen(lambda: not copy.kept)
            hasty = one.cache("h", int, ttl=MINUTE, timeout=timedelta(milliseconds=50))
            assert await hasty.get_or_compute(key, load) == 7
            assert computed == 1
            await asyncio.to_thread(until, lambda: cluster.owner(f"cache:n:{key}") is not victim)
            await theirs.set(key, 2)
            assert await kept(mine, key) == 2


async def test_copies_are_kept_again_after_a_failover_though_nobody_calls(cluster: ClusterHands) -> None:
    victim = cluster.primaries()[0]
    async with HustleX(cluster.url, timeout=PATIENCE) as one:
        watch = (await near(one))._plan.near.watch
        with cluster.healed():
            victim.kill()
            await seen(lambda: not watch.live)
            await seen(lambda: watch.live)
            assert not one.cache.trouble
