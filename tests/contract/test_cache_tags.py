"""Tags and namespaces by random stamps: an absent stamp never means valid, and no cost grows with the entries."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import redis

from hustlex.app import HustleX
from hustlex.cache import MISSING, Hit, Miss
from hustlex.core.time import FixedClock
from hustlex.errors import Misuse
from tests.conftest import PATIENCE
from tests.contract.test_cache import PATIENT, QUARTER, Origin, every_key_ends, start, until

__all__ = ["every_key_ends"]


class Gig(msgspec.Struct, frozen=True):
    id: int
    owner: str


def gigs_of(hx: Any, **options: Any) -> Any:
    return hx.cache("gig", int, ttl=QUARTER, timeout=PATIENT, **options)


async def test_invalidate_tags_takes_their_entries_and_no_others(hx: Any) -> None:
    gigs, users = gigs_of(hx), hx.cache("user", int, ttl=QUARTER, timeout=PATIENT)
    await gigs.set(1, 1, tags=["org:7", "city:lagos"])
    await gigs.set(2, 2, tags=["org:8"])
    await users.set(1, 3, tags=["org:7"])
    await hx.cache.invalidate_tags("org:7")
    assert [await gigs.get(1), await gigs.get(2), await users.get(1)] == [None, 2, None]
    assert await gigs.get_many([1, 2]) == {2: 2}
    await gigs.set(1, 4, tags=["org:7"])
    assert await gigs.get(1) == 4
    await gigs.invalidate_tags("nobody", "org:8")
    assert [await gigs.get(1), await gigs.get(2)] == [4, None]


async def test_callers_of_one_turn_share_the_reads_of_stamps(url: str, raw: redis.Redis) -> None:
    async with HustleX(url) as hx:
        gigs = gigs_of(hx)
        await gigs.set_many({n: n for n in range(64)})
        before = raw.info("commandstats")["cmdstat_get"]["calls"]
        assert await asyncio.gather(*(gigs.get(n) for n in range(64))) == [*range(64)]
    assert raw.info("commandstats")["cmdstat_get"]["calls"] - before == 65


async def test_clear_takes_one_cache(hx: Any) -> None:
    gigs, users = gigs_of(hx), hx.cache("user", int, ttl=QUARTER, timeout=PATIENT)
    for n in range(20):
        await gigs.set(n, n)
    await users.set(1, 1)
    await gigs.clear()
    assert await gigs.get_many(range(20)) == {}
    assert await users.get(1) == 1
    origin = Origin(5)
    assert [await gigs.get_or_compute(1, origin.load) for _ in range(3)] == [5] * 3
    assert origin.calls == 1
    with pytest.raises(Misuse, match="cannot be cleared"):
        await gigs_of(hx, clearable=False).clear()


async def test_a_lost_stamp_costs_computations_and_nothing_else(hx: Any, raw: redis.Redis) -> None:
    """T-C08: evicted, it is a miss; made anew, the old entries stay dead."""
    gigs = gigs_of(hx)
    origin = Origin(1)
    await gigs.get_or_compute(1, origin.load, tags=["a"])
    await gigs.set(2, 2, tags=["a"])
    raw.delete("ct:a")
    assert await gigs.get(1) is None
    assert await gigs.get_or_compute(1, origin.load, tags=["a"]) == 1
    assert origin.calls == 2
    assert raw.exists("ct:a")
    assert await gigs.get(2) is None
    raw.set("ct:a", b"short", px=60_000)
    assert await gigs.get(1) is None
    assert await gigs.get_or_compute(1, origin.load, tags=["a"]) == 1
    assert await gigs.get(1) == 1


async def test_a_tag_invalidated_while_computing_makes_the_result_worthless(hx: Any) -> None:
    """T-C06."""
    gigs = gigs_of(hx)
    origin = Origin(1)
    origin.close()
    call = start(gigs.get_or_compute(1, origin.load, tags=["a"]))
    await origin.computing.wait()
    await hx.cache.invalidate_tags("a")
    origin.value = 2
    origin.open()
    assert await call == 1
    assert await gigs.get(1) is None
    assert await gigs.get_or_compute(1, origin.load, tags=["a"]) == 2


async def test_who_asks_after_the_invalidation_of_a_tag_gets_the_new_value(hx: Any, raw: redis.Redis) -> None:
    """T-C07b for tags, foreign: this process learns it from the stamps when the computation ends."""
    gigs = gigs_of(hx)
    origin = Origin(1)
    origin.close()
    before = start(gigs.get_or_compute(1, origin.load, tags=["a"]))
    await origin.computing.wait()
    origin.value = 2
    raw.unlink("ct:a")
    after = [start(gigs.get_or_compute(1, origin.load, tags=["a"])) for _ in range(3)]
    await asyncio.sleep(0.05)
    origin.open()
    assert await before == 1
    assert await asyncio.gather(*after) == [2, 2, 2]


async def test_value_tags_hold_although_they_are_known_last(hx: Any) -> None:
    gigs = hx.cache("gig", Gig, ttl=QUARTER, timeout=PATIENT, value_tags=lambda gig: [f"owner:{gig.owner}"])
    origin = Origin(Gig(1, "ada"))
    for _ in range(2):
        assert await gigs.get_or_compute(1, origin.load) == Gig(1, "ada")
    assert origin.calls == 1
    found = await gigs.lookup(1)
    assert isinstance(found, Hit)
    assert found.tags == ("owner:ada",)
    await hx.cache.invalidate_tags("owner:ada")
    assert await gigs.lookup(1) == Miss()
    origin.close()
    call = start(gigs.get_or_compute(1, origin.load))
    await origin.computing.wait()
    await hx.cache.invalidate_tags("owner:ada")  # nobody knows yet that it has this tag
    origin.open()
    assert await call == Gig(1, "ada")
    assert await gigs.get(1, default=MISSING) is MISSING
    await gigs.set(2, Gig(2, "bo"))
    await hx.cache.invalidate_tags("owner:bo")
    assert await gigs.get(2) is None
    many = await gigs.get_or_compute_many([1, 2], _several)
    assert many == await gigs.get_many([1, 2]) == {1: Gig(1, "cy"), 2: Gig(2, "cy")}
    await hx.cache.invalidate_tags("owner:cy")
    assert await gigs.get_many([1, 2]) == {}


async def _several(ids: list[int]) -> dict[int, Gig]:
    return {n: Gig(n, "cy") for n in ids}


async def test_functions_name_tags_by_their_arguments(hx: Any) -> None:
    gigs = gigs_of(hx)
    asked: list[int] = []

    @gigs.cached("gig:{gig}", tags=["org:{org}", "all"])
    async def load(org: str, gig: int = 7) -> int:
        asked.append(gig)
        return gig

    for _ in range(2):
        assert [await load("a:b"), await load(gig=8, org="o" * 300)] == [7, 8]
    assert asked == [7, 8]
    await hx.cache.invalidate_tags("org:a:b")
    assert [await load("a:b"), await load("o" * 300, 8)] == [7, 8]
    await hx.cache.invalidate_tags("org:" + "o" * 300)
    assert [await load("a:b"), await load("o" * 300, 8)] == [7, 8]
    assert asked == [7, 8, 7, 8]
    await hx.cache.invalidate_tags("all")
    assert await load.peek("a:b") == Miss()
    with pytest.raises(Misuse, match="no parameter"):
        gigs.cached("gig:{gig}", tags=["org:{nobody}"])(load.uncached)


async def test_invalidate_tags_soft_makes_stale_and_hard_removes(hx: Any) -> None:
    """T-C11."""
    gigs = gigs_of(hx, stale_ttl=timedelta(minutes=5))
    origin = Origin(1)
    for number, soft in enumerate((gigs.expire, None)):
        await gigs.set(number, 1, tags=["a"])
        if soft is not None:
            await soft(number)
        else:
            await hx.cache.invalidate_tags("a", soft=True)
        found = await gigs.lookup(number)
        assert isinstance(found, Hit)
        assert (found.value, found.state) == (1, "stale")
        origin.value = 2
        assert await gigs.get_or_compute(number, origin.load, tags=["a"]) == 1
        await until(lambda number=number: origin.calls > number)
        assert await _comes(gigs, number, 2)
    await gigs.clear(soft=True)
    assert (await gigs.lookup(0)).state == "stale"
    await gigs.clear()
    assert await gigs.lookup(0) == Miss()
    plain = hx.cache("gig", int, ttl=QUARTER, timeout=PATIENT)
    await plain.set(5, 1)
    await plain.expire(5)
    assert await plain.lookup(5) == Miss()


async def _comes(cache: Any, key: int, value: Any) -> bool:
    async with asyncio.timeout(60):
        while await cache.get(key) != value:
            await asyncio.sleep(0.002)
    return True


async def test_an_entry_from_before_a_tag_was_declared_is_a_miss(hx: Any) -> None:
    await gigs_of(hx, clearable=False).set(1, 1)
    assert await gigs_of(hx).get(1) is None
    await gigs_of(hx).set(1, 1)
    assert await gigs_of(hx, tags=["users"]).get(1) is None


async def test_stamps_outlive_their_entries_and_are_lengthened_only_when_needed(
    hx: Any, raw: redis.Redis, clock: FixedClock
) -> None:
    gigs = gigs_of(hx)
    await gigs.set(1, 1)
    stamp, first = raw.get("ct:*gig"), raw.pttl("ct:*gig")
    assert first > raw.pttl("cache:gig:1")
    raw.pexpire("ct:*gig", 1_500_000)
    await gigs.set(2, 1)
    assert raw.pttl("ct:*gig") <= 1_500_000
    raw.pexpire("ct:*gig", 1_000)
    await gigs.set(3, 1)
    assert raw.pttl("ct:*gig") > 1_500_000
    assert raw.get("ct:*gig") == stamp


async def test_too_many_tags_or_odd_ones_are_refused(hx: Any) -> None:
    gigs = gigs_of(hx)
    with pytest.raises(Misuse, match="cannot have"):
        await gigs.set(1, 1, tags=[str(n) for n in range(17)])
    for bad in ("a::b", "", "a\n"):
        with pytest.raises(Misuse):
            await gigs.set(1, 1, tags=[bad])
    with pytest.raises(Misuse, match='"plain"'):
        gigs_of(hx, tags=["a"], format="plain")
    await gigs.set(1, 1, tags=["*gig"])  # encoded: a tag of a caller is never a namespace
    await hx.cache.invalidate_tags("*gig")
    assert await gigs.get(1) is None
    await gigs.set(1, 1)
    await hx.cache.invalidate_tags("*gig")
    assert await gigs.get(1) == 1


async def test_it_works_across_slots(hx: Any) -> None:
    """T-C19 in part: with ``--server cluster9`` a call whose keys lie in several slots is refused."""
    gigs = gigs_of(hx, stale_ttl=timedelta(minutes=1), tags=["all"])
    assert await gigs.get_or_compute_many([1, 2, 3], _numbers, tags=["a"]) == {1: 1, 2: 2, 3: 3}
    await gigs.expire(1, 2)
    await gigs.delete(3, hold=timedelta(seconds=30))
    await hx.cache.invalidate_tags("a", "all", "c")
    await gigs.clear()
    assert await gigs.get_many([1, 2, 3]) == {}


async def _numbers(ids: list[int]) -> dict[int, int]:
    return {n: n for n in ids}


async def test_two_fronts_agree(url: str) -> None:
    async with HustleX(url, timeout=PATIENCE) as one, HustleX(url, timeout=PATIENCE) as other:
        mine, theirs = gigs_of(one), gigs_of(other)
        await mine.set(1, 1, tags=["a"])
        assert await theirs.get(1) == 1
        await other.cache.invalidate_tags("a")
        assert await mine.get(1) is None
