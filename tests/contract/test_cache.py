"""The cache on a real server, both styles: what is stored, who computes, and what an invalidation promises."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from random import Random
from typing import Any

import msgspec
import pytest
import redis

from hustlex.app import HustleX
from hustlex.cache import MISSING, EntryKey, Hit, Miss
from hustlex.core.time import FixedClock
from hustlex.errors import Misuse
from tests.conftest import PATIENCE
from tests.support.proxy import Proxy

QUARTER = timedelta(minutes=15)
PATIENT = timedelta(seconds=10)
"""A read timeout for tests that count computations: a busy machine must not look like a lost server."""


class User(msgspec.Struct, frozen=True):
    id: int
    name: str


class Origin:
    """Counts computations. close() makes them wait until open(); ``computing`` is set when one has begun."""

    def __init__(self, value: Any = 1) -> None:
        self.value = value
        self.calls = 0
        self.computing = asyncio.Event()
        self._gate = asyncio.Event()
        self._gate.set()

    async def load(self) -> Any:
        self.calls += 1
        value = self.value
        self.computing.set()
        await self._gate.wait()
        if isinstance(value, Exception):
            raise value
        return value

    def close(self) -> None:
        self._gate.clear()
        self.computing.clear()

    def open(self) -> None:
        self._gate.set()


@pytest.fixture(autouse=True)
def every_key_ends(raw: redis.Redis) -> Iterator[None]:
    """T-C34, after each test of this file."""
    yield
    assert [key for key in raw.scan_iter() if raw.pttl(key) == -1] == []


def keys(raw: redis.Redis) -> list[bytes]:
    """All but the stamps of tags."""
    return sorted(key for key in raw.scan_iter() if b"ct:" not in key)


def callers_who_joined(hx: Any) -> list[str]:
    """Grows by the entry's key each time a caller joins a computation that is under way."""
    caches = getattr(hx.cache, "_target", hx.cache)
    joined: list[str] = []

    def spied(verb: Callable[..., Any]) -> Callable[..., Any]:
        def spy(entry: str, *rest: Any, **how: Any) -> Any:
            participant = verb(entry, *rest, **how)
            if participant is not None and not participant.leading:
                joined.append(entry)
            return participant

        return spy

    caches._computations.join = spied(caches._computations.join)
    caches._computations.join_or_start = spied(caches._computations.join_or_start)
    return joined


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.002)


def start(call: Awaitable[Any]) -> asyncio.Future[Any]:
    return asyncio.ensure_future(call)


# -- what is stored


async def test_entries_have_the_seeds_names_and_lives(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    users = hx.cache("user", User, ttl=QUARTER, timeout=PATIENT)
    gigs = hx.cache("gigs", list[str], ttl=timedelta(minutes=5), timeout=PATIENT)
    await users.set(42, User(42, "Ada"))
    await gigs.set(("category", "design"), ["logo"])
    assert keys(raw) == [b"cache:gigs:category:design", b"cache:user:42"]
    assert 0.9 * 900_000 - 1000 <= raw.pttl("cache:user:42") <= 900_000
    assert 0.9 * 300_000 - 1000 <= raw.pttl("cache:gigs:category:design") <= 300_000
    stored = raw.get("cache:user:42")
    assert stored[0] == 1
    assert int.from_bytes(stored[6:14], "little") == clock()
    assert json.loads(stored[30 + 1 + 1 + len(b"*user") + 16 :]) == {"id": 42, "name": "Ada"}


async def test_production_frames_carry_the_servers_clock(url: str, raw: redis.Redis) -> None:
    async with HustleX(url, timeout=PATIENCE) as front:
        users = front.cache("user", int, ttl=QUARTER, timeout=PATIENT)
        await users.set(1, 1)
        await users.get_or_compute(2, Origin().load)
        found = await users.lookup(1)
    seconds, micros = raw.time()
    for key in ("cache:user:1", "cache:user:2"):
        assert abs(int.from_bytes(raw.get(key)[6:14], "little") - (seconds * 1000 + micros // 1000)) < 5000
    assert isinstance(found, Hit)
    assert found.age is not None
    assert timedelta(0) <= found.age < timedelta(seconds=5)


async def test_set_get_delete(hx: Any, raw: redis.Redis) -> None:
    users = hx.cache("user", User, ttl=QUARTER, timeout=PATIENT)
    assert await users.get(1) is None
    assert await users.get(1, default=MISSING) is MISSING
    assert await users.lookup(1) == Miss()
    await users.set(1, User(1, "Ada"))
    assert await users.get(1) == await users.get("1") == User(1, "Ada")
    await users.set("a:{b} c", User(2, "Bo"), ttl=timedelta(seconds=2))
    assert raw.pttl("cache:user:a%3A%7Bb%7D%20c") <= 2000
    await users.delete(1, "a:{b} c", 3)
    assert keys(raw) == []
    assert users.stats().invalidations == 3
    with pytest.raises(Misuse, match="not of the cache's type"):
        await users.set(1, 5)
    with pytest.raises(Misuse):
        await users.set(1, User(1, "x"), ttl=timedelta(0))


async def test_lookup_of_entries_that_end_by_the_clock(hx: Any, clock: FixedClock) -> None:
    users = hx.cache("user", User, ttl=QUARTER, jitter=0, timeout=PATIENT)
    origin = Origin(User(1, "Ada"))
    await users.get_or_compute(1, origin.load)
    clock.advance(timedelta(minutes=14, seconds=59))
    found = await users.lookup(1)
    assert found == Hit(User(1, "Ada"), fresh_for=timedelta(seconds=1), age=timedelta(seconds=899))
    assert "Ada" not in repr(found)
    clock.advance(timedelta(seconds=1))
    assert await users.lookup(1) == Miss()
    await users.get_or_compute(1, origin.load)
    assert origin.calls == 2
    assert await users.get(1) == User(1, "Ada")


async def test_none_is_cached_for_its_own_time(hx: Any, raw: redis.Redis) -> None:
    """T-C27."""
    users = hx.cache("user", User, ttl=QUARTER, negative_ttl=timedelta(seconds=30), timeout=PATIENT)
    origin = Origin(None)
    for _ in range(5):
        assert await users.get_or_compute(1, origin.load) is None
    assert origin.calls == 1
    assert await users.get(1, default=MISSING) is None
    assert 0 < raw.pttl("cache:user:1") <= 30_000
    assert users.stats().requests == {"miss": 1, "negative": 5}
    await users.delete(1)
    assert await users.get(1, default=MISSING) is MISSING


async def test_a_changed_type_is_a_miss_and_is_replaced(hx: Any, raw: redis.Redis) -> None:
    """T-C20."""
    await hx.cache("user", User, ttl=QUARTER, timeout=PATIENT).set(1, User(1, "Ada"))
    after = hx.cache("user", dict[str, int], ttl=QUARTER, timeout=PATIENT)
    assert await after.get(1, default=MISSING) is MISSING
    assert after.stats().reject == {"fingerprint": 1}
    origin = Origin({"id": 1})
    assert await after.get_or_compute(1, origin.load) == {"id": 1}
    assert await after.get_or_compute(1, origin.load) == {"id": 1}
    assert origin.calls == 1
    assert len(keys(raw)) == 1


async def test_garbage_is_a_miss(hx: Any, raw: redis.Redis) -> None:
    users = hx.cache("user", User, ttl=QUARTER, timeout=PATIENT)
    for garbage in (b"", b"\x01", b"\x01" * 40, b'{"id":1,"name":"Ada"}', b"\xff" * 30):
        raw.set("cache:user:1", garbage, px=60_000)
        assert await users.lookup(1) == Miss()
        assert await users.get_or_compute(1, Origin(User(1, "Ada")).load) == User(1, "Ada")
        assert await users.get(1) == User(1, "Ada")
    raw.delete("cache:user:1")
    raw.lpush("cache:user:1", "a list")
    raw.expire("cache:user:1", 60)
    assert await users.get(1) is None
    assert await users.get_or_compute(1, Origin(User(1, "Ada")).load) == User(1, "Ada")
    assert users.stats().failures > 0


async def test_plain_entries_are_bare_json_both_ways(hx: Any, raw: redis.Redis) -> None:
    users = hx.cache("user", User, ttl=QUARTER, format="plain", timeout=PATIENT)
    await users.set(1, User(1, "Ada"))
    assert raw.get("cache:user:1") == b'{"id":1,"name":"Ada"}'
    raw.set("cache:user:2", '{"id": 2, "name": "Bo", "more": true}', ex=60)
    assert await users.get(2) == User(2, "Bo")
    found = await users.lookup(2)
    assert found.age is None
    assert timedelta(seconds=50) < found.fresh_for <= timedelta(seconds=60)
    origin = Origin(None)
    assert await users.get_or_compute(3, origin.load) is None
    assert raw.get("cache:user:3") == b"null"
    assert await users.get(3, default=MISSING) is None
    assert await hx.cache("user", User, ttl=QUARTER, timeout=PATIENT).get(1, default=MISSING) is MISSING


async def test_large_values_are_compressed_and_too_large_ones_served_but_not_stored(hx: Any, raw: redis.Redis) -> None:
    """T-C32."""
    texts = hx.cache("text", str, ttl=QUARTER, timeout=PATIENT)
    words = " ".join(f"gig {n * 7919 % 10_000}" for n in range(2000))
    await texts.set("words", words)
    assert raw.strlen("cache:text:words") < 0.6 * len(words)
    assert await texts.get("words") == words
    noise = Random(7).randbytes(5 << 20).hex()
    origin = Origin(noise)
    joined = callers_who_joined(hx)
    origin.close()
    calls = [start(texts.get_or_compute("big", origin.load)) for _ in range(2)]
    await until(lambda: joined)
    origin.open()
    assert all(result == noise for result in await asyncio.gather(*calls))
    assert origin.calls == 1
    assert raw.keys("*big*") == []
    assert texts.stats().fill == {"too_big": 1}
    with pytest.raises(Misuse, match="over max_value"):
        await texts.set("big", noise)


@pytest.mark.one_server
async def test_get_many_and_set_many(hx: Any, raw: redis.Redis) -> None:
    """T-C28, without a cluster."""
    users = hx.cache("user", int, ttl=QUARTER, timeout=PATIENT)
    await users.set_many({n: n * n for n in range(1, 1001)})
    assert len(keys(raw)) == 1000
    asked = [*range(1000, 0, -1), 7, 7, 2000, "8"]
    before = int(raw.info("stats")["total_commands_processed"])
    found = await users.get_many(asked)
    assert int(raw.info("stats")["total_commands_processed"]) - before <= 1001 + 5
    assert list(found) == [*range(1000, 0, -1), "8"]
    assert found[31] == 961
    assert found["8"] == 64
    assert await users.get_many([]) == {}
    await users.set_many({})
    await users.delete(*range(1, 1001))
    assert keys(raw) == []
    with pytest.raises(Misuse):
        await users.set_many({1: 1, 2: "two"})
    assert keys(raw) == []


# -- who computes


async def test_a_hundred_cold_calls_compute_once(hx: Any, raw: redis.Redis) -> None:
    """T-C01."""
    users = hx.cache("user", int, ttl=QUARTER, timeout=PATIENT)
    origin, joined = Origin(7), callers_who_joined(hx)
    origin.close()
    calls = [start(users.get_or_compute(1, origin.load)) for _ in range(100)]
    await origin.computing.wait()
    await until(lambda: len(joined) >= 50)
    origin.open()
    assert await asyncio.gather(*calls) == [7] * 100
    assert origin.calls == 1
    assert keys(raw) == [b"cache:user:1"]


async def test_nobody_shares_a_mutable_object(hx: Any) -> None:
    """T-C30."""
    lists = hx.cache("list", list[int], ttl=QUARTER, timeout=PATIENT)
    original = [1, 2]
    origin, joined = Origin(original), callers_who_joined(hx)
    origin.close()
    calls = [start(lists.get_or_compute(1, origin.load)) for _ in range(3)]
    await until(lambda: len(joined) == 2)
    origin.open()
    results = await asyncio.gather(*calls)
    assert len({id(result) for result in (*results, original)}) == 4
    for result in results:
        result.append(99)
    assert await lists.get(1) == original == [1, 2]


async def test_errors_reach_every_waiter_and_are_not_cached(hx: Any, raw: redis.Redis) -> None:
    """C-08."""
    users = hx.cache("user", int, ttl=QUARTER, timeout=PATIENT)
    origin, joined = Origin(LookupError("no such row")), callers_who_joined(hx)
    origin.close()
    calls = [start(users.get_or_compute(1, origin.load)) for _ in range(10)]
    await until(lambda: len(joined) == 9)
    origin.open()
    for result in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(result, LookupError)
    assert origin.calls == 1
    assert keys(raw) == []
    origin.value = 5
    assert await users.get_or_compute(1, origin.load) == 5
    assert users.stats().origin == {"error": 1, "ok": 1}


async def test_an_invalidation_during_the_computation_keeps_it_from_being_stored(hx: Any, raw: redis.Redis) -> None:
    """T-C05."""
    users = hx.cache("user", int, ttl=QUARTER, timeout=PATIENT)
    origin = Origin(1)
    origin.close()
    call = start(users.get_or_compute(1, origin.load))
    await origin.computing.wait()
    assert keys(raw) == [b"cl:{cache:user:1}"]
    await users.delete(1)
    origin.open()
    assert await call == 1
    assert keys(raw) == []
    assert users.stats().fill == {"refused": 1}


async def test_a_set_during_the_computation_wins(hx: Any) -> None:
    users = hx.cache("user", int, ttl=QUARTER, timeout=PATIENT)
    origin = Origin(1)
    origin.close()
    call = start(users.get_or_compute(1, origin.load))
    await origin.computing.wait()
    await users.set(1, 2)
    origin.open()
    assert await call == 1
    assert await users.get(1) == 2


async def test_joining_after_a_foreign_invalidation_gives_the_new_value(hx: Any, raw: redis.Redis) -> None:
    """T-C07b, foreign: this process cannot know; the refused fill tells."""
    users = hx.cache("user", int, ttl=QUARTER, timeout=PATIENT)
    origin, joined = Origin(1), callers_who_joined(hx)
    origin.close()
    before = start(users.get_or_compute(1, origin.load))
    await origin.computing.wait()
    origin.value = 2
    raw.unlink("cache:user:1", "cl:{cache:user:1}")
    after = [start(users.get_or_compute(1, origin.load)) for _ in range(3)]
    await until(lambda: len(joined) >= 3)
    origin.open()
    assert await before == 1
    assert await asyncio.gather(*after) == [2, 2, 2]
    assert origin.calls == 2
    assert await users.get(1) == 2


async def test_a_get_after_a_local_invalidation_does_not_wait_for_the_old_computation(hx: Any) -> None:
    """T-C07b, local."""
    users = hx.cache("user", int, ttl=QUARTER, timeout=PATIENT)
    origin, newer = Origin(1), Origin(2)
    origin.close()
    before = start(users.get_or_compute(1, origin.load))
    await origin.computing.wait()
    await users.delete(1)
    assert await users.get_or_compute(1, newer.load) == 2
    assert not before.done()
    origin.open()
    assert await before == 1
    assert await users.get(1) == 2


async def test_somebody_elses_computation_is_waited_for(hx: Any, raw: redis.Redis) -> None:
    users = hx.cache("user", int, ttl=QUARTER, timeout=PATIENT)
    origin = Origin(1)
    raw.set("cl:{cache:user:1}", "t:another", px=60_000)
    call = start(users.get_or_compute(1, origin.load))
    await until(lambda: users.stats().wait.get("polled", 0) > 2)
    stored = hx.cache("user", int, ttl=QUARTER, timeout=PATIENT)
    await stored.set(1, 9)
    assert await call == 9
    assert origin.calls == 0


async def test_waiting_has_an_end(hx: Any, raw: redis.Redis) -> None:
    users = hx.cache("user", int, ttl=QUARTER, timeout=PATIENT, wait=timedelta(milliseconds=50))
    raw.set("cl:{cache:user:1}", "t:another", px=60_000)
    assert await users.get_or_compute(1, Origin(3).load) == 3
    assert raw.get("cl:{cache:user:1}") == b"t:another"
    assert not raw.exists("cache:user:1")
    assert users.stats().wait["timeout"] == 1


async def test_a_held_key_is_computed_and_not_stored(hx: Any, raw: redis.Redis) -> None:
    users = hx.cache("user", int, ttl=QUARTER, timeout=PATIENT)
    raw.set("cl:{cache:user:1}", "h", px=60_000)
    assert await users.get_or_compute(1, Origin(3).load) == 3
    assert keys(raw) == [b"cl:{cache:user:1}"]


async def test_a_long_computation_keeps_its_lease(hx: Any, raw: redis.Redis) -> None:
    """C-34, watched until it was renewed four times, and so lives longer than its length."""
    users = hx.cache("user", int, ttl=QUARTER, timeout=PATIENT, lease=timedelta(seconds=1))
    origin = Origin(1)
    origin.close()
    call = start(users.get_or_compute(1, origin.load))
    await origin.computing.wait()
    mine = raw.get("cl:{cache:user:1}")
    assert mine.startswith(b"t:")
    assert len(mine) == 18
    look = "return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}"
    left, risen = 1_000, 0
    while risen < 4:
        token, now = raw.eval(look, 1, "cl:{cache:user:1}")
        assert token == mine
        left, risen = now, risen + (now > left)
        await asyncio.sleep(0.01)
    origin.open()
    assert await call == 1
    assert keys(raw) == [b"cache:user:1"]


async def test_a_computation_that_asks_for_its_own_key_is_told(hx: Any) -> None:
    users = hx.cache("user", int, ttl=QUARTER, timeout=PATIENT)

    async def load() -> int:
        value: int = await users.get_or_compute(1, load)
        return value

    if getattr(hx, "style", "") == "blocking":
        target = users._target

        def plain() -> int:
            return int(target.get_or_compute(1, plain))

        with pytest.raises(Misuse, match="asks for the same key"):
            await users.get_or_compute(1, plain)
    else:
        with pytest.raises(Misuse, match="asks for the same key"):
            await users.get_or_compute(1, load)


# -- decorated functions


async def test_decorated_functions(hx: Any, raw: redis.Redis) -> None:
    users = hx.cache("user", User, ttl=QUARTER, timeout=PATIENT)
    calls: list[int] = []

    @users.cached("user:{user_id}", ttl=timedelta(seconds=5))
    async def load(user_id: int, trace: str = "") -> User | None:
        calls.append(user_id)
        return User(user_id, f"v{len(calls)}")

    assert await load(1) == await load(user_id=1) == await load(1, trace="x") == User(1, "v1")
    assert calls == [1]
    assert load.__name__ == "load"
    assert load.key(1) == "cache:user:1"
    assert isinstance(load.key(1), EntryKey)
    assert 0 < raw.pttl("cache:user:1") <= 5000
    assert await users.get(1) == await users.get(load.key(1)) == User(1, "v1")
    assert await load.uncached(1) == User(1, "v2")
    assert await load(1) == User(1, "v1")
    await load.invalidate(1)
    assert keys(raw) == []
    assert await load(1) == User(1, "v3")
    assert await load.refresh(1) == await load(1) == User(1, "v4")
    with pytest.raises(TypeError):
        await load()
    with pytest.raises(Misuse):
        await hx.cache("users", User, ttl=QUARTER, timeout=PATIENT).get(load.key(1))


async def test_templates_are_checked_while_decorating(hx: Any) -> None:
    users = hx.cache("user", User, ttl=QUARTER, timeout=PATIENT)
    with pytest.raises(Misuse, match="no parameter"):

        @users.cached("user:{id}")
        async def load(user_id: int) -> User: ...


async def test_methods_leave_self_out_of_the_key(driver: Any, raw: redis.Redis) -> None:
    from hustlex.cache import Caches

    users = Caches(driver, prefix="app.")("user", User, ttl=QUARTER, timeout=PATIENT)

    class Repository:
        def __init__(self, name: str) -> None:
            self.name = name

        @users.cached("user:{user_id}")
        async def find(self, user_id: int) -> User:
            """Read a user."""
            return User(user_id, self.name)

    assert Repository.find.__doc__ == "Read a user."
    one, other = Repository("one"), Repository("other")
    assert await one.find(1) == await other.find(1) == User(1, "one")
    assert one.find.key(1) == "app.cache:user:1"
    assert await other.find.uncached(1) == User(1, "other")
    await one.find.invalidate(1)
    assert await other.find(1) == User(1, "other")
    assert keys(raw) == [b"app.cache:user:1"]


# -- cancellation (tasks only)


async def test_cancelling_one_caller_leaves_the_others_their_result(driver: Any, raw: redis.Redis) -> None:
    """T-C07, for the one who started the computation and for one who joined."""
    from hustlex.cache import Caches

    users = Caches(driver)("user", int, ttl=QUARTER, timeout=PATIENT)
    origin = Origin(1)
    origin.close()
    calls = [start(users.get_or_compute(1, origin.load)) for _ in range(3)]
    await origin.computing.wait()
    calls[0].cancel()
    calls[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls[0]
    origin.open()
    assert await calls[2] == 1
    assert origin.calls == 1
    assert keys(raw) == [b"cache:user:1"]


async def test_a_computation_nobody_waits_for_is_cancelled_and_gives_its_lease_back(
    driver: Any, raw: redis.Redis
) -> None:
    from hustlex.cache import Caches

    users = Caches(driver)("user", int, ttl=QUARTER, timeout=PATIENT)
    origin = Origin(1)
    origin.close()
    calls = [start(users.get_or_compute(1, origin.load)) for _ in range(2)]
    await origin.computing.wait()
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await until(lambda: keys(raw) == [])
    assert await users.get_or_compute(1, Origin(2).load) == 2


async def test_a_caller_that_gives_up_while_claiming_leaves_no_lease(driver: Any, raw: redis.Redis) -> None:
    from hustlex.cache import Caches

    users = Caches(driver)("user", int, ttl=QUARTER, timeout=PATIENT)
    for turns in range(12):
        call = start(users.get_or_compute(1, Origin(1).load))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await until(lambda: keys(raw) == [] or raw.exists("cache:user:1"))
        raw.flushall()


async def test_context_reaches_the_computation(driver: Any) -> None:
    from contextvars import ContextVar

    from hustlex.cache import Caches

    request: ContextVar[int] = ContextVar("request", default=0)
    users = Caches(driver)("user", int, ttl=QUARTER, timeout=PATIENT)

    async def load() -> int:
        return request.get()

    request.set(7)
    assert await users.get_or_compute(1, load) == 7


# -- broken links


async def test_a_lost_claim_costs_no_second_computation(faulty: Proxy, raw: redis.Redis) -> None:
    """The lease names its owner, so asking for it again finds it is ours."""
    async with HustleX(faulty.url, timeout=PATIENCE) as front:
        users = front.cache("user", int, ttl=QUARTER, timeout=PATIENT)
        origin = Origin(1)
        assert await users.get(1) is None
        faulty.lose_reply(containing=b"cl:{cache:user:1}", times=1)
        assert await users.get_or_compute(1, origin.load) == 1
        assert origin.calls == 1
        assert await users.get(1) == 1
        assert keys(raw) == [b"cache:user:1"]


async def test_large_entries_are_read_beside_other_calls(faulty: Proxy) -> None:
    """Once one was read."""
    async with HustleX(faulty.url, timeout=PATIENCE) as front:
        users = front.cache("user", str, ttl=QUARTER, timeout=PATIENCE)
        films = front.cache("film", str, ttl=QUARTER, timeout=PATIENCE)
        await users.set(1, "Ada")
        await films.set(1, "x" * (1 << 19))
        assert len(await films.get(1) or "") == 1 << 19
        with faulty.holding(b"cache:film:1"):
            slow = asyncio.create_task(films.get(1))
            for _ in range(5):
                assert await users.get(1) == "Ada"
            assert not slow.done()
        assert len(await slow or "") == 1 << 19


async def test_a_full_server_still_computes_and_blocks_nobody(hx: Any, raw: redis.Redis) -> None:
    users = hx.cache("user", int, ttl=QUARTER, timeout=PATIENT)
    origin = Origin(1)
    raw.config_set("maxmemory", 1)
    try:
        assert await users.get_or_compute(1, origin.load) == 1
        origin.close()
        raw.config_set("maxmemory", 0)
        call = start(users.get_or_compute(2, origin.load))
        await origin.computing.wait()
        raw.config_set("maxmemory", 1)
        origin.open()
        assert await call == 1
        await users.delete(1)
    finally:
        raw.config_set("maxmemory", 0)
    assert keys(raw) == []
    assert users.stats().fill == {"failed": 1}
