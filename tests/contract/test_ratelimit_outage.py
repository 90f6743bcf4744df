"""When the server is away: what each policy does, how long it takes, and the breaker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.breaker import BreakerOptions
from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import Unavailable
from hustlex.ratelimit import Outcome, Policy, RateLimit, RateLimitOptions, Source
from tests.support.calls import Calls
from tests.support.proxy import Proxy

MINUTE = timedelta(minutes=1)
PAY = {"endpoint": "/pay"}
AWAY = "redis://127.0.0.1:1"
QUICK = timedelta(milliseconds=30)


@asynccontextmanager
async def room(url: str, **options: Any) -> AsyncIterator[tuple[RateLimit, Calls]]:
    """A room, and what its driver was asked."""
    calls = Calls()
    driver = Driver(url, hook=calls)
    try:
        yield RateLimit(driver, options=RateLimitOptions(**{"timeout": QUICK} | options)), calls
    finally:
        await driver.close()


async def outcomes(limits: RateLimit, policy: Policy, times: int) -> list[tuple[str, str]]:
    decisions = [await limits.check(policy, "u1", **PAY) for _ in range(times)]
    return [(decision.outcome.value, decision.source.value) for decision in decisions]


async def test_each_policy_decides_for_itself() -> None:
    async with room(AWAY) as (limits, _):
        closed = await outcomes(limits, Policy("c", 5, MINUTE, on_error="closed"), 2)
        local = await outcomes(limits, Policy("l", 2, MINUTE), 3)
        anywhere = [
            await limits.check(Policy("o", 1, MINUTE, on_error="open"), "u1", endpoint="/gigs") for _ in range(3)
        ]
    assert closed == [("denied_degraded", "fail_closed")] * 2
    assert local == [("allowed_degraded", "local_fallback")] * 2 + [("denied_degraded", "local_fallback")]
    assert {(each.outcome, each.source) for each in anywhere} == {(Outcome.ALLOWED_DEGRADED, Source.FAIL_OPEN)}
    assert all(each.degraded for each in anywhere)


async def test_each_process_gets_its_share() -> None:
    async with room(AWAY, expected_replicas=4) as (limits, _):
        assert [o for o, _ in await outcomes(limits, Policy("p", 10, MINUTE), 4)].count("allowed_degraded") == 3
        assert [o for o, _ in await outcomes(limits, Policy("q", 1, MINUTE), 2)].count("allowed_degraded") == 1


async def test_the_strictest_of_several_policies_decides() -> None:
    async with room(AWAY) as (limits, _):
        wide, shut = Policy("wide", 100, MINUTE), Policy("shut", 100, MINUTE, on_error="closed")
        decision = await limits.check([wide, shut], "u1", **PAY)
        assert (decision.outcome, decision.source, decision.violated) == ("denied_degraded", "fail_closed", ("shut",))
        narrow = Policy("narrow", 2, MINUTE)
        pair = [await limits.check([wide, narrow], "u2", **PAY) for _ in range(3)]
        assert [bool(each) for each in pair] == [True, True, False]
        assert pair[2].per_policy[0].remaining == 98  # refused by one, charged to none


async def test_losing_the_server_is_no_free_refill(faulty: Proxy) -> None:
    async with room(faulty.url, timeout=timedelta(seconds=1)) as (limits, _):
        policy = Policy("p", 10, MINUTE)
        for _ in range(8):
            assert await limits.check(policy, "u1", **PAY)
        faulty.refuse = True
        faulty.cut()
        later = [await limits.check(policy, "u1", **PAY) for _ in range(4)]
    assert [bool(each) for each in later] == [True, True, False, False]
    assert {each.source for each in later} == {Source.LOCAL_FALLBACK}


async def test_an_outage_costs_little_time_and_then_none() -> None:
    async with room(AWAY, timeout=timedelta(milliseconds=100)) as (limits, calls):
        policy = Policy("p", 1_000, MINUTE)
        slowest = []
        for _ in range(5):
            begun = time.perf_counter()
            await limits.check(policy, "u1", **PAY)
            slowest.append(time.perf_counter() - begun)
        assert min(slowest) < 1
        tried = len(calls.sent)
        begun = time.perf_counter()
        for _ in range(500):
            await limits.check(policy, "u1", **PAY)
        assert time.perf_counter() - begun < 10  # waiting for the server each time would take 50
        assert len(calls.sent) <= tried + 3  # a probe a second, no more


async def test_the_breaker_closes_when_the_server_is_back(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    options = {"timeout": timedelta(milliseconds=300), "breaker": BreakerOptions(probe_s=0.02)}
    with EmbeddedServer(tmp_path) as server:
        async with room(server.url, **options) as (limits, _):
            policy = Policy("p", 1_000_000, MINUTE)
            assert await outcomes(limits, policy, 1) == [("allowed", "redis")]
            server.stop()
            async with asyncio.timeout(60):
                while not limits._limiter.fallback.breaker.open:
                    await limits.check(policy, "u1", **PAY)
            assert limits.degraded
            assert (await outcomes(limits, policy, 1))[0] == ("allowed_degraded", "local_fallback")
            server.start()
            async with asyncio.timeout(60):
                while limits._limiter.alert:
                    await limits.check(policy, "u1", **PAY)
                    await asyncio.sleep(0.005)
            assert not limits.degraded
            assert await outcomes(limits, policy, 3) == [("allowed", "redis")] * 3
    told = [each.message.partition(":")[0] for each in caplog.records if each.name == "hustlex.ratelimit"]
    assert told == ["rate limits are judged without the server", "rate limits are judged by the server again"]


async def test_a_held_place_is_kept_and_given_back_on_a_full_server(url: str, raw: redis.Redis) -> None:
    async with room(url, timeout=timedelta(seconds=5)) as (limits, _):
        policy = Policy("seats", 1, timedelta(seconds=30), "leases")
        held = await limits.check(policy, "u1", **PAY)
        raw.config_set("maxmemory", 1)
        try:
            assert await limits.heartbeat(held)
            assert await limits.release(held)
        finally:
            raw.config_set("maxmemory", 0)


async def test_full_memory_and_a_replica_are_answered_as_an_outage(url: str, raw: redis.Redis) -> None:
    async with room(url, timeout=timedelta(seconds=5)) as (limits, _):
        policy, closed = Policy("p", 2, MINUTE), Policy("c", 2, MINUTE, on_error="closed")
        raw.config_set("maxmemory", "1mb")
        try:
            assert [o for o, _ in await outcomes(limits, policy, 3)] == ["allowed_degraded"] * 2 + ["denied_degraded"]
            assert (await outcomes(limits, closed, 1))[0] == ("denied_degraded", "fail_closed")
        finally:
            raw.config_set("maxmemory", "0")


async def test_a_cancelled_check_changes_nothing_here(url: str, raw: redis.Redis) -> None:
    async with room(url, timeout=timedelta(seconds=5)) as (limits, _):
        policy = Policy("p", 5, MINUTE, prefetch=timedelta(milliseconds=250))
        for _ in range(20):
            task = asyncio.create_task(limits.check(policy, "u1", **PAY))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        answers = [await limits.check(policy, "u1", **PAY) for _ in range(6)]
        assert sum(map(bool, answers)) <= 5
        assert limits._limiter.fallback.breaker.quiet


async def test_peek_reset_and_set_limit_say_that_the_server_is_away() -> None:
    driver = Driver(AWAY)
    limits = RateLimit(driver, clock=FixedClock())
    policy = Policy("p", 1, MINUTE, overridable=True)
    for call in (
        limits.peek(policy, "u1", **PAY),
        limits.reset(policy, "u1", **PAY),
        limits.set_limit(policy, "u1", **PAY, limit=3),
    ):
        with pytest.raises(Unavailable):
            await call
    await driver.close()


async def test_a_place_is_counted_here_while_the_server_is_away() -> None:
    async with room(AWAY) as (limits, _):
        policy = Policy("places", 2, timedelta(seconds=30), "leases")
        async with limits.hold(policy, "u1", **PAY) as one, limits.hold(policy, "u1", **PAY) as two:
            assert one and two
            async with limits.hold(policy, "u1", **PAY) as three:
                assert not three
        async with limits.hold(policy, "u1", **PAY) as four:
            assert four.decision.degraded
            assert four


async def test_check_all_is_judged_here_without_the_server() -> None:
    async with room(AWAY) as (limits, _):
        asked = [(Policy("u", 2, MINUTE), "u1", "/pay"), (Policy("i", 5, MINUTE), "ip:1", "/pay")]
        decisions = [await limits.check_all(asked) for _ in range(3)]
        assert [each.outcome for each in decisions] == ["allowed_degraded"] * 2 + ["denied_degraded"]
        assert await limits.refund(decisions[0]) is False
        assert await limits.check_all(asked)


async def test_one_refused_here_costs_the_others_nothing() -> None:
    async with room(AWAY) as (limits, _):
        user = Policy("u", 20, MINUTE)
        asked = [(user, "u1", "/pay"), (Policy("i", 3, MINUTE), "ip:1", "/pay")]
        assert [bool(await limits.check_all(asked)) for _ in range(15)].count(True) == 3
        assert (await limits.check(user, "u1", **PAY)).remaining == 16


@pytest.mark.parametrize("trouble", ["black hole", "slow"])
async def test_a_server_that_does_not_answer_in_time_is_not_waited_for(faulty: Proxy, trouble: str) -> None:
    async with room(faulty.url, timeout=timedelta(milliseconds=100)) as (limits, _):
        policy = Policy("p", 20, MINUTE)
        async with asyncio.timeout(60):
            while (await limits.check(policy, "u1", **PAY)).degraded:
                pass
        faulty.black_hole, faulty.delay_seconds = trouble == "black hole", 1.0 * (trouble == "slow")
        spent = []
        for _ in range(6):
            begun = time.perf_counter()
            decision = await limits.check(policy, "u1", **PAY)
            spent.append(time.perf_counter() - begun)
            assert decision.source is Source.LOCAL_FALLBACK
        assert sorted(spent)[1] < 0.9  # the fastest that asked the server; the last did not ask
        assert limits._limiter.fallback.breaker.open
        faulty.black_hole, faulty.delay_seconds = False, 0.0


async def test_a_call_whose_reply_was_lost_is_answered_all_the_same(faulty: Proxy, raw: redis.Redis) -> None:
    async with room(faulty.url, timeout=timedelta(seconds=5)) as (limits, _):
        strict, log = Policy("s", 3, MINUTE), Policy("l", 3, MINUTE, "log")
        assert await limits.check(strict, "u1", **PAY)
        assert await limits.check(log, "u1", **PAY)
        faulty.lose_reply(containing=b":z")
        assert (await limits.check(log, "u1", **PAY)).source is Source.REDIS  # asked again, under one id
        assert raw.zcard("ratelimit:{u1}:/pay:z") == 2
        faulty.lose_reply(containing=b":b")
        assert (await limits.check(strict, "u1", **PAY)).source is Source.LOCAL_FALLBACK


async def test_a_caller_that_was_forgotten_is_judged_here_from_nothing(faulty: Proxy) -> None:
    async with room(faulty.url, timeout=timedelta(seconds=1)) as (limits, _):
        policy = Policy("p", 3, MINUTE)
        first = [await limits.check(policy, "u1", **PAY) for _ in range(2)]
        faulty.refuse = True
        faulty.cut()
        assert [bool(await limits.check(policy, "u1", **PAY)) for _ in range(2)] == [True, False]
        with pytest.raises(Unavailable):
            await limits.reset(policy, "u1", **PAY)
        assert not await limits.check(policy, "u1", **PAY)  # what this process let through still counts
        faulty.refuse = False
    assert all(first)
