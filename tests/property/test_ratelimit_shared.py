"""One call for many callers leaves what one call for each would, and answers the same."""

from __future__ import annotations

import random
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import redis

from hustlex._sync.ratelimit import RateLimit
from hustlex.core.time import FixedClock
from hustlex.ratelimit import Algorithm, Decision, Policy, RateLimitOptions
from hustlex.ratelimit.engine import flows, shared
from hustlex.ratelimit.engine.compiler import NORMAL
from hustlex.ratelimit.engine.ops import PendingCheck

WINDOW_MS = 24 * 60 * 60 * 1000
"""Long: keys expire by the server's own clock, whatever ours says, and none may while a busy machine runs the test."""
START_MS = 1_767_225_600_000
PAUSES_MS = (0, 0, 1, 700, 3_000, WINDOW_MS // 3, WINDOW_MS, WINDOW_MS, 3 * WINDOW_MS, -1_000, -WINDOW_MS)
PATIENT = timedelta(seconds=10)
"""These calls are not repeated: on a crowded machine the usual tenth of a second ends some of them."""
MISTAKES_MS = (0, 0, 0, 0, 0, 0, -WINDOW_MS, WINDOW_MS)
"""By how much the process is mistaken about the server's time."""
ALGORITHMS: tuple[Algorithm, ...] = ("counter", "fixed", "strict", "gcra")


def pending(limits: RateLimit, policy: Policy, identity: str, endpoint: str) -> PendingCheck:
    limiter = limits._limiter
    return limiter._pending(limiter.subject(policy, identity, endpoint), 1, NORMAL, keep=True)


def kept(raw: Any, identity: str, endpoint: str) -> dict[bytes, tuple[Any, int]]:
    """By the end of the key: its value, and its life in milliseconds."""
    keys = raw.scan_iter(f"*{{{identity}}}:{endpoint}:*", count=10_000)
    read = {b"hash": raw.hgetall, b"string": raw.get}
    return {key.rpartition(b":")[2]: (read[raw.type(key)](key), raw.pttl(key)) for key in keys}


def concluded(limits: RateLimit, asked: PendingCheck, answer: Any) -> Any:
    """What follows where the answer was that the server's window is another."""
    if isinstance(answer, Decision):
        return None
    again = partial(limits._limiter.again, asked.request)
    return told(limits._driver.follow(flows.aligned(again, limits._limiter.server_time, answer)))


def told(answer: Any) -> Any:
    return (answer.outcome, answer.cost, answer.per_policy) if isinstance(answer, Decision) else answer


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_shared_check_is_judged_as_one_by_one(
    blocking_driver: Any, raw: redis.Redis, algorithm: Algorithm, seed: int
) -> None:
    chosen = random.Random(f"{algorithm} {seed}")
    clock, guess = FixedClock(START_MS + chosen.randrange(WINDOW_MS)), FixedClock()
    limits = RateLimit(blocking_driver, clock=clock, local_clock=guess, options=RateLimitOptions(timeout=PATIENT))
    limit = chosen.randint(1, 25)
    burst = chosen.randint(1, limit) if algorithm == "gcra" else None
    cost = chosen.randint(1, min(3, burst or limit))
    policy = Policy("p", limit, timedelta(milliseconds=WINDOW_MS), algorithm, cost=cost, burst=burst)
    for _ in range(20):
        clock.now_ms += chosen.choice(PAUSES_MS)
        guess.now_ms = clock.now_ms + chosen.choice(MISTAKES_MS)
        # One subject twice: one that was forgotten while its callers waited, and asked about anew.
        asked = [(chosen.randrange(3), chosen.randint(1, 9)) for _ in range(chosen.randint(1, 4))]
        together = {pending(limits, policy, "u1", f"a{at}"): number for at, number in asked}
        apart = [pending(limits, policy, "u1", f"b{at}") for at, number in asked for _ in range(number)]
        at_once = blocking_driver.run(shared.together(together))
        one_by_one = [blocking_driver.run(each.op) for each in apart]
        assert [*map(told, at_once)] == [*map(told, one_by_one)]
        callers = [each for each, number in together.items() for _ in range(number)]
        left_over = [concluded(limits, *each) for each in zip(callers, at_once, strict=True)]
        assert left_over == [concluded(limits, *each) for each in zip(apart, one_by_one, strict=True)]
        for at, _ in asked:
            left, right = kept(raw, "u1", f"a{at}"), kept(raw, "u1", f"b{at}")
            assert {end: value for end, (value, _) in left.items()} == {end: value for end, (value, _) in right.items()}
            assert all(abs(life - right[end][1]) < WINDOW_MS / 2 for end, (_, life) in left.items())
