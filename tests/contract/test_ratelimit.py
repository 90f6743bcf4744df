"""Rate limits on a real server, through the public door, async and blocking."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.ratelimit import Algorithm, Outcome, Penalty, Policy, RateLimit, RateLimitOptions
from hustlex.ratelimit.engine import ops
from hustlex.ratelimit.engine.compiler import NORMAL, CompiledPolicies
from hustlex.ratelimit.types import brief_of
from tests.support import forked
from tests.support.calls import Calls

MINUTE = timedelta(minutes=1)
ALGORITHMS: tuple[Algorithm, ...] = ("strict", "log", "counter", "fixed", "gcra", "leases")
EVERY = pytest.mark.parametrize("algorithm", ALGORITHMS)
RATES = pytest.mark.parametrize("algorithm", ALGORITHMS[:5])
UNHURRIED = RateLimitOptions(timeout=timedelta(seconds=10))


def policy_of(algorithm: Algorithm, limit: int, window: timedelta = MINUTE, **more: Any) -> Policy:
    """At most ``limit`` at once, whatever the algorithm."""
    return Policy("p", limit, window, algorithm, burst=limit if algorithm == "gcra" else None, **more)


async def spend(hx: Any, policy: Policy, times: int, identity: str = "u1", endpoint: str = "/pay") -> int:
    """How many of these concurrent calls pass."""
    calls = (hx.ratelimit.check(policy, identity, endpoint=endpoint) for _ in range(times))
    return sum(decision.allowed for decision in await asyncio.gather(*calls))


@EVERY
async def test_exactly_the_limit_of_concurrent_calls_pass(hx: Any, algorithm: Algorithm) -> None:
    policy = policy_of(algorithm, 100)
    assert await spend(hx, policy, 2_000 if hx_is_async(hx) else 400) == 100
    assert not await hx.ratelimit.check(policy, "u1", endpoint="/pay")


@EVERY
async def test_what_clients_are_told_is_the_state(hx: Any, clock: FixedClock, algorithm: Algorithm) -> None:
    """Allowed, refused, repeated from memory and banned: it is read by a shorter way than the states are."""
    penalty = Penalty(strikes=4, per=MINUTE, ban=5 * MINUTE) if algorithm != "leases" else None
    policy = policy_of(algorithm, 3, penalty=penalty)
    decisions = []
    for _ in range(9):
        decisions.append(await hx.ratelimit.check(policy, "u1", endpoint="/pay"))
        clock.advance(timedelta(milliseconds=150))
    assert len({decision.outcome for decision in decisions}) == (2 if penalty is None else 3)
    for decision in decisions:
        assert [*decision.briefs] == [brief_of(state) for state in decision.per_policy] != []


def hx_is_async(hx: Any) -> bool:
    return getattr(hx, "style", "aio") == "aio"


_CALLER = """
import asyncio, sys
from datetime import timedelta
from hustlex.drivers.aio import Driver
from hustlex.ratelimit import Policy, RateLimit, RateLimitOptions

async def main():
    driver = Driver(sys.argv[1])
    limits = RateLimit(driver, options=RateLimitOptions(timeout=timedelta(seconds=10)))
    for kind in sys.argv[2:]:
        policy = Policy(kind, 100, timedelta(hours=1), kind, burst=100 if kind == "gcra" else None)
        answers = await asyncio.gather(*(limits.check(policy, "u1", endpoint=kind) for _ in range(500)))
        print(sum(answer.allowed for answer in answers))
    await driver.close()

asyncio.run(main())
"""


def test_exactly_the_limit_passes_over_four_processes(url: str) -> None:
    callers = [
        forked.Popen([sys.executable, "-c", _CALLER, url, *ALGORITHMS], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    admitted = [list(map(int, caller.communicate(timeout=60)[0].split())) for caller in callers]
    assert [sum(column) for column in zip(*admitted, strict=True)] == [100] * len(ALGORITHMS)


async def test_several_policies_are_charged_together_or_not_at_all(hx: Any, raw: redis.Redis) -> None:
    policies = [
        Policy("wide", 50, timedelta(hours=1), "counter"),
        Policy("narrow", 30, MINUTE, "fixed"),
        Policy("exact", 20, MINUTE, "log"),
        Policy("strict", 40, MINUTE),
        Policy("smooth", 60, MINUTE, "gcra", burst=60),
        Policy("places", 25, MINUTE, "leases"),
    ]
    calls = (hx.ratelimit.check(policies, "u1", endpoint="/pay") for _ in range(200))
    decisions = await asyncio.gather(*calls)
    assert sum(decision.allowed for decision in decisions) == 20
    assert {decision.violated for decision in decisions} == {(), ("exact",)}
    counted = {key.rsplit(b".", 1)[-1]: int(raw.get(key)) for key in raw.scan_iter("*:*.*")}
    assert counted == {b"wide": 20, b"narrow": 20}
    assert raw.zcard("ratelimit:{u1}:/pay:z") == raw.zcard("ratelimit:{u1}:/pay:c") == 20
    assert raw.hget("ratelimit:{u1}:/pay:b", "s") == b"20"


async def test_a_counter_is_stored_as_the_seed_says(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    clock.now_ms = 1_795_425_470_000
    await hx.ratelimit.check(Policy("p", 10, MINUTE, "counter", cost=2), "u123", endpoint="/transfers", cost=3)
    assert raw.keys() == [b"ratelimit:{u123}:/transfers:1795425420"]
    assert raw.get("ratelimit:{u123}:/transfers:1795425420") == b"6"


@EVERY
async def test_every_key_expires_by_its_documented_bound(
    hx: Any, raw: redis.Redis, clock: FixedClock, algorithm: Algorithm
) -> None:
    policy = policy_of(algorithm, 3)
    longest = {"counter": 121_000, "strict": 63_000, "gcra": 60_000}.get(algorithm, 61_000)
    for step in (0, 59, 59, 1, -10, 0, 120):
        clock.advance(timedelta(seconds=step))
        await hx.ratelimit.peek(policy, "u1", endpoint="/pay")
        await hx.ratelimit.check(policy, "u1", endpoint="/pay")
        await hx.ratelimit.check(policy, "u2", endpoint="/pay", cost=2)
        await hx.ratelimit.reset(policy, "u3", endpoint="/pay")
        assert all(-1 != raw.pttl(key) <= longest for key in raw.scan_iter())  # -2: it was over just now


@RATES
async def test_a_denied_call_is_charged_nothing(
    hx: Any, raw: redis.Redis, clock: FixedClock, algorithm: Algorithm
) -> None:
    policy = policy_of(algorithm, 5)
    assert await spend(hx, policy, 3) == 3
    before = {key: raw.dump(key) for key in raw.scan_iter()}
    for cost in (3, 5, 6, 1_000_000):
        denied = await hx.ratelimit.check(policy, "u1", endpoint="/pay", cost=cost)
        assert (denied.allowed, denied.remaining, denied.limit, denied.cost) == (False, 2, 5, cost)
        assert denied.outcome is (Outcome.DENIED if cost <= 5 else Outcome.COST_TOO_LARGE)
        assert (denied.retry_after == timedelta(milliseconds=-1)) is (cost > 5)
    assert {key: raw.dump(key) for key in raw.scan_iter()} == before
    last = await hx.ratelimit.check(policy, "u1", endpoint="/pay", cost=2)
    assert (last.allowed, last.remaining, last.outcome) == (True, 0, Outcome.ALLOWED)


@EVERY
async def test_peek_answers_as_check_would_and_writes_nothing(
    hx: Any, raw: redis.Redis, clock: FixedClock, algorithm: Algorithm
) -> None:
    policy = policy_of(algorithm, 3)
    fresh = await hx.ratelimit.peek(policy, "u1", endpoint="/pay")
    assert (fresh.allowed, fresh.remaining, fresh.reset_after) == (True, 3, timedelta(0))
    assert raw.dbsize() == 0
    await spend(hx, policy, 3)
    clock.advance(timedelta(seconds=10))
    before = {key: raw.dump(key) for key in raw.scan_iter()}
    seen = await hx.ratelimit.peek(policy, "u1", endpoint="/pay")
    assert {key: raw.dump(key) for key in raw.scan_iter()} == before
    assert seen == await hx.ratelimit.check(policy, "u1", endpoint="/pay")
    assert not seen


@EVERY
async def test_reset_forgets_one_callers_use_and_no_others(
    hx: Any, raw: redis.Redis, clock: FixedClock, algorithm: Algorithm
) -> None:
    policy = policy_of(algorithm, 2)
    await spend(hx, policy, 2)
    await spend(hx, policy, 2, identity="u2")
    clock.advance(timedelta(seconds=20))
    assert await hx.ratelimit.reset(policy, "u1", endpoint="/pay") is True
    assert await hx.ratelimit.reset(policy, "u1", endpoint="/pay") is False
    assert await spend(hx, policy, 3) == 2
    assert not await hx.ratelimit.check(policy, "u2", endpoint="/pay")


@EVERY
async def test_callers_and_endpoints_are_apart_whatever_they_are_called(
    hx: Any, raw: redis.Redis, algorithm: Algorithm
) -> None:
    policy = policy_of(algorithm, 1)
    hostile = ["a", "a}", "{a}", "a:b", "a b", "x" * 10_000, "x" * 10_001, "é", "%7B", "{"]
    for identity in hostile:
        assert await spend(hx, policy, 2, identity=identity) == 1, identity
        assert await spend(hx, policy, 2, endpoint=identity) == 1, identity
    assert raw.dbsize() == 2 * len(hostile)


@EVERY
@pytest.mark.parametrize(
    "wrong_by",
    [
        timedelta(0),
        timedelta(hours=1),
        -timedelta(hours=1),
        MINUTE,
        -MINUTE,
        timedelta(milliseconds=1),
        -timedelta(days=18_000),
    ],
)
async def test_a_wrong_client_clock_changes_no_decision(
    url: str, clock: FixedClock, algorithm: Algorithm, wrong_by: timedelta
) -> None:
    calls = Calls()
    wrong_ms = wrong_by // timedelta(milliseconds=1)
    driver = Driver(url, hook=calls)
    right = RateLimit(driver, clock=clock, local_clock=clock, options=UNHURRIED)
    wrong = RateLimit(driver, clock=clock, local_clock=lambda: clock() + wrong_ms, options=UNHURRIED)
    policy = policy_of(algorithm, 2)
    for seconds in (0, 30, 29, 30, 31, 14, 1):
        clock.advance(timedelta(seconds=seconds))
        expected = await right.check(policy, "u1", endpoint="/pay")
        assert await wrong.check(policy, "u2", endpoint="/pay") == expected
    await driver.close()
    assert len(calls.sent) <= 2 * 7 + 1


@EVERY
async def test_a_server_clock_set_back_blocks_nobody_for_long(hx: Any, clock: FixedClock, algorithm: Algorithm) -> None:
    policy = policy_of(algorithm, 5)
    clock.advance(timedelta(seconds=2))
    assert await spend(hx, policy, 5) == 5
    clock.advance(timedelta(seconds=-10))
    peeked = await hx.ratelimit.peek(policy, "u1", endpoint="/pay")
    if algorithm in ("counter", "fixed"):  # a window that is lived through again begins anew
        assert peeked.remaining == 5
        assert await spend(hx, policy, 6) == 5
        clock.advance(2 * MINUTE)
        assert await spend(hx, policy, 6) == 5
        return
    denied = await hx.ratelimit.check(policy, "u1", endpoint="/pay")
    assert denied == peeked
    assert timedelta(0) < denied.retry_after <= MINUTE + timedelta(seconds=3 if algorithm == "strict" else 0)
    clock.advance(denied.retry_after - timedelta(milliseconds=1))
    assert not await hx.ratelimit.check(policy, "u1", endpoint="/pay")
    clock.advance(timedelta(milliseconds=1))
    assert await hx.ratelimit.check(policy, "u1", endpoint="/pay")


@EVERY
async def test_the_servers_clock_decides_in_production(driver: Driver, algorithm: Algorithm) -> None:
    limits = RateLimit(driver, options=UNHURRIED)
    policy = policy_of(algorithm, 3, timedelta(hours=1))
    decisions = [await limits.check(policy, "u1", endpoint="/pay") for _ in range(4)]
    assert [decision.remaining for decision in decisions] == [2, 1, 0, 0]
    assert [decision.allowed for decision in decisions] == [True, True, True, False]
    assert timedelta(0) < decisions[3].retry_after <= timedelta(hours=2)


@pytest.mark.parametrize("algorithm", ["log", "leases"])
async def test_a_repeated_request_is_charged_once_even_when_full(
    driver: Driver, raw: redis.Redis, algorithm: Algorithm
) -> None:
    plan = CompiledPolicies((policy_of(algorithm, 1),))
    for request, status in (("one", b"1"), ("one", b"1"), ("another", b"2")):
        asked = ops.CheckRequest(plan, plan.window_at(0), "ratelimit:{u1}:e:", 1, NORMAL, request, 0)
        assert (await driver.run(ops.check(asked, lambda reply: reply, 10_000)))[:1] == status
    assert raw.zcard(raw.keys()[0]) == 1


async def test_a_log_holds_no_more_entries_than_its_limit(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    policy = Policy("p", 3, timedelta(seconds=100), "log")
    for _ in range(20):
        assert await hx.ratelimit.check(policy, "u1", endpoint="/pay")
        assert raw.zcard("ratelimit:{u1}:/pay:z") <= 3
        clock.advance(timedelta(seconds=50))


async def test_the_counters_worst_window_is_one_below_twice_the_limit(hx: Any, clock: FixedClock) -> None:
    policy = policy_of("counter", 10, timedelta(seconds=1000))  # a short one's key may end while a busy server answers
    clock.now_ms += 999_000 - clock.now_ms % 1_000_000
    admitted = await spend(hx, policy, 11)
    for _ in range(999):
        clock.advance(timedelta(seconds=1))
        admitted += bool(await hx.ratelimit.check(policy, "u1", endpoint="/pay"))
    assert admitted == 19
