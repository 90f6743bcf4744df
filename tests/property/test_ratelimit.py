"""Random histories against plain models: every field of every answer, and the guarantees the policies promise."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hustlex._sync.ratelimit import RateLimit
from hustlex.core.time import FixedClock
from hustlex.ratelimit import Algorithm, Decision, Policy

WINDOW_MS = 1_000
START_MS = 1_767_225_600_000

fresh = itertools.count()
unhurried = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
algorithms = st.sampled_from(["counter", "log"])
steps = st.lists(
    st.tuples(st.one_of(st.just(0), st.integers(1, 40), st.integers(1, 1500)), st.integers(1, 4)),
    min_size=1,
    max_size=40,
)


class Model:
    """The specification in plain Python: remembers every admitted unit, waits by trying each millisecond."""

    def __init__(self, limit: int, algorithm: Algorithm) -> None:
        self.limit = limit
        self.algorithm = algorithm
        self.taken: list[int] = []

    def used(self, now: int) -> int:
        if self.algorithm == "log":
            return sum(now - WINDOW_MS < at for at in self.taken)
        number, elapsed = divmod(now, WINDOW_MS)
        previous, current = (sum(at // WINDOW_MS == each for at in self.taken) for each in (number - 1, number))
        return current - (-previous * (WINDOW_MS - elapsed) // WINDOW_MS)

    def wait(self, now: int, goal: int) -> int:
        return next(ms for ms in range(2 * WINDOW_MS + 1) if self.used(now + ms) <= goal)

    def check(self, now: int, cost: int) -> tuple[bool, int, int, int, int]:
        """allowed, remaining, and in ms: retry, more, reset."""
        allowed = self.used(now) + cost <= self.limit
        if allowed:
            self.taken += [now] * cost
        never = cost > self.limit
        retry = 0 if allowed else -1 if never else self.wait(now, self.limit - cost)
        used = self.used(now)
        more = self.wait(now, used - 1) if used else 0
        return allowed, self.limit - used, retry, more, self.wait(now, 0)


def seen(decision: Decision) -> tuple[bool, int, float, float, float]:
    state, ms = decision.per_policy[0], timedelta(milliseconds=1)
    return decision.allowed, state.remaining, state.retry_after / ms, state.more_after / ms, state.reset_after / ms


@unhurried
@given(algorithms, st.integers(1, 7), st.integers(0, WINDOW_MS), steps)
def test_every_answer_is_the_models(
    blocking_driver: Any, algorithm: Algorithm, limit: int, offset: int, history: list[tuple[int, int]]
) -> None:
    clock = FixedClock(START_MS + offset)
    limits = RateLimit(blocking_driver, clock=clock)
    policy, identity = Policy("p", limit, timedelta(milliseconds=WINDOW_MS), algorithm), f"u{next(fresh)}"
    model = Model(limit, algorithm)
    for pause, cost in history:
        clock.now_ms += pause
        peeked = limits.peek(policy, identity, endpoint="e", cost=cost)
        decision = limits.check(policy, identity, endpoint="e", cost=cost)
        assert seen(decision) == model.check(clock.now_ms, cost)
        assert peeked.allowed == decision.allowed
        assert decision.allowed or peeked == decision


@unhurried
@given(algorithms, st.integers(1, 7), st.integers(0, WINDOW_MS), steps)
def test_no_interval_admits_more_than_promised(
    blocking_driver: Any, algorithm: Algorithm, limit: int, offset: int, history: list[tuple[int, int]]
) -> None:
    clock = FixedClock(START_MS + offset)
    limits = RateLimit(blocking_driver, clock=clock)
    policy, identity = Policy("p", limit, timedelta(milliseconds=WINDOW_MS), algorithm), f"u{next(fresh)}"
    taken: list[int] = []
    for pause, cost in history:
        clock.now_ms += pause
        if limits.check(policy, identity, endpoint="e", cost=cost):
            taken += [clock.now_ms] * cost
    for first, last in itertools.combinations(range(len(taken)), 2):
        length = taken[last] - taken[first]
        if length < WINDOW_MS:
            allowance = limit if algorithm == "log" else limit * (1 + (length + 1) / WINDOW_MS)
            assert last - first + 1 <= allowance


@unhurried
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.integers(0, WINDOW_MS), steps)
def test_several_policies_admit_what_each_alone_would(
    blocking_driver: Any, wide: int, narrow: int, exact: int, offset: int, history: list[tuple[int, int]]
) -> None:
    clock = FixedClock(START_MS + offset)
    limits = RateLimit(blocking_driver, clock=clock)
    window, identity = timedelta(milliseconds=WINDOW_MS), f"u{next(fresh)}"
    policies = [
        Policy("wide", wide, window, cost=2),
        Policy("narrow", narrow, window),
        Policy("exact", exact, window, "log"),
    ]
    models = [Model(wide, "counter"), Model(narrow, "counter"), Model(exact, "log")]
    for pause, cost in history:
        clock.now_ms += pause
        costs = [cost * policy.cost for policy in policies]
        refusing = [model.used(clock.now_ms) + each > model.limit for model, each in zip(models, costs, strict=True)]
        decision = limits.check(policies, identity, endpoint="e", cost=cost)
        assert [not state.allowed for state in decision.per_policy] == refusing
        assert decision.allowed is not any(refusing)
        for model, each in zip(models, costs, strict=True):
            model.taken += [clock.now_ms] * (each if decision.allowed else 0)
