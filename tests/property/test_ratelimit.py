"""Random and adversarial histories: every field of every answer against plain models, and the guarantee sheets."""

from __future__ import annotations

import itertools
import math
import random
import warnings
from bisect import bisect_left
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hustlex._sync.ratelimit import RateLimit
from hustlex.core.time import FixedClock
from hustlex.ratelimit import Algorithm, Decision, Policy, RateLimitOptions, Source, bound, sheet
from tests.support.depth import examples

MS = timedelta(milliseconds=1)
SLOWER = 100
"""Records live by the server's clock: on a busy machine an example takes more than a second."""
WINDOW_MS = 1_000 * SLOWER
START_MS = 1_767_225_600_000
BUCKETS = 7
ALGORITHMS: tuple[Algorithm, ...] = ("strict", "log", "counter", "fixed", "gcra", "leases")
PATIENT = RateLimitOptions(timeout=timedelta(seconds=10), local_deny=False)

fresh = itertools.count()
unhurried = settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
algorithms = st.sampled_from(ALGORITHMS)
moments = st.integers(1, 1_500).map(SLOWER.__mul__)
offsets = st.integers(0, 1_000).map(SLOWER.__mul__)
steps = st.lists(
    st.tuples(st.one_of(st.just(0), st.integers(1, 40), moments), st.integers(1, 4)),
    min_size=1,
    max_size=40,
)


def policy_of(algorithm: Algorithm, limit: int, window_ms: int = WINDOW_MS, name: str = "p", **more: Any) -> Policy:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Policy(name, limit, window_ms * MS, algorithm, buckets=BUCKETS, **more)


class Model:
    """The specification in plain Python: remembers every admitted unit; less and less of them count."""

    def __init__(self, limit: int, algorithm: Algorithm, window_ms: int = WINDOW_MS) -> None:
        self.limit, self.algorithm, self.window = limit, algorithm, window_ms
        self.taken: list[int] = []
        self.paid_us = 0
        self.unit_us = math.ceil(window_ms * 1000 / limit)

    def used(self, now: int) -> int:
        if self.algorithm in ("log", "leases"):
            return sum(now - self.window < at for at in self.taken)
        if self.algorithm == "strict":
            width = math.ceil(self.window / BUCKETS)
            return sum(at // width >= now // width - math.ceil(self.window / width) for at in self.taken)
        if self.algorithm == "gcra":
            return self.limit - (self.limit * self.unit_us - max(0, self.paid_us - now * 1000)) // self.unit_us
        number, elapsed = divmod(now, self.window)
        previous, current = (sum(at // self.window == each for at in self.taken) for each in (number - 1, number))
        return current - (-previous * (self.window - elapsed) // self.window if self.algorithm == "counter" else 0)

    def wait(self, now: int, goal: int) -> int:
        return bisect_left(range(3 * self.window), -goal, key=lambda ms: -self.used(now + ms))

    def charge(self, now: int, cost: int) -> None:
        self.taken += [now] * cost
        self.paid_us = max(self.paid_us, now * 1000) + cost * self.unit_us

    def check(self, now: int, cost: int) -> tuple[bool, int, int, int, int]:
        """allowed, remaining, and in ms: retry, more, reset."""
        cost = 1 if self.algorithm == "leases" else cost
        allowed = self.used(now) + cost <= self.limit
        if allowed:
            self.charge(now, cost)
        never = cost > self.limit
        retry = 0 if allowed else -1 if never else self.wait(now, self.limit - cost)
        used = self.used(now)
        more = self.wait(now, used - 1) if used else 0
        return allowed, self.limit - used, retry, more, self.wait(now, 0)


def seen(decision: Decision) -> tuple[bool, int, int, int, int]:
    state = decision.per_policy[0]
    waits = (math.ceil(wait / MS) for wait in (state.retry_after, state.more_after, state.reset_after))
    return (decision.allowed, state.remaining, *waits)  # type: ignore[return-value]


@unhurried
@given(algorithms, st.integers(1, 7), offsets, steps)
def test_every_answer_is_the_models(
    blocking_driver: Any, algorithm: Algorithm, limit: int, offset: int, history: list[tuple[int, int]]
) -> None:
    clock = FixedClock(START_MS + offset)
    limits = RateLimit(blocking_driver, clock=clock, options=PATIENT)
    policy, identity = policy_of(algorithm, limit), f"u{next(fresh)}"
    model = Model(limit, algorithm)
    for pause, cost in history:
        clock.now_ms += pause
        peeked = limits.peek(policy, identity, endpoint="e", cost=cost)
        decision = limits.check(policy, identity, endpoint="e", cost=cost)
        assert seen(decision) == model.check(clock.now_ms, cost)
        assert peeked.allowed == decision.allowed
        assert decision.allowed or peeked == decision


@unhurried
@given(algorithms, st.integers(1, 7), offsets, steps)
def test_the_short_scripts_and_the_general_one_agree(
    blocking_driver: Any, algorithm: Algorithm, limit: int, offset: int, history: list[tuple[int, int]]
) -> None:
    clock = FixedClock(START_MS + offset)
    limits = RateLimit(blocking_driver, clock=clock, options=PATIENT)
    alone, beside = policy_of(algorithm, limit), Policy("wide", 10_000, timedelta(hours=1), "log")
    identity = f"u{next(fresh)}"
    for pause, cost in history:
        clock.now_ms += pause
        short = limits.check(alone, identity, endpoint="short", cost=cost)
        general = limits.check((alone, beside), identity, endpoint="general", cost=cost)
        assert short.per_policy[0] == general.per_policy[0]
        assert short.allowed == general.allowed


@unhurried
@given(st.lists(st.integers(1, 5), min_size=6, max_size=6), offsets, steps)
def test_several_policies_admit_what_each_alone_would(
    blocking_driver: Any, limit_list: list[int], offset: int, history: list[tuple[int, int]]
) -> None:
    clock = FixedClock(START_MS + offset)
    limits = RateLimit(blocking_driver, clock=clock, options=PATIENT)
    pairs = list(zip(ALGORITHMS, limit_list, strict=True))
    policies = tuple(policy_of(kind, limit, name=kind) for kind, limit in pairs)
    models = [Model(limit, kind) for kind, limit in pairs]
    identity = f"u{next(fresh)}"
    for pause, cost in history:
        clock.now_ms += pause
        costs = [1 if kind == "leases" else cost for kind in ALGORITHMS]
        refusing = [model.used(clock.now_ms) + each > model.limit for model, each in zip(models, costs, strict=True)]
        decision = limits.check(policies, identity, endpoint="e", cost=cost)
        assert [not state.allowed for state in decision.per_policy] == refusing
        assert decision.allowed is not any(refusing)
        for model, each in zip(models, costs, strict=True):
            if decision.allowed:
                model.charge(clock.now_ms, each)


@unhurried
@given(algorithms, st.integers(1, 7), offsets, steps, st.integers(0, 2**40))
def test_refunds_leave_what_was_never_taken(
    blocking_driver: Any, algorithm: Algorithm, limit: int, offset: int, history: list[tuple[int, int]], undone: int
) -> None:
    """At one moment a refund undoes its check exactly: who takes and gives back is as who never came."""
    clock = FixedClock(START_MS + offset)
    limits = RateLimit(blocking_driver, clock=clock, options=PATIENT)
    policy, one, other = policy_of(algorithm, limit), f"u{next(fresh)}", f"u{next(fresh)}"
    for step, (pause, cost) in enumerate(history):
        clock.now_ms += pause
        decision = limits.check(policy, one, endpoint="e", cost=cost)
        if decision and undone >> step & 1:
            assert limits.refund(decision)
            assert not limits.refund(decision)
        else:
            limits.check(policy, other, endpoint="e", cost=cost)
        mine, theirs = (limits.peek(policy, who, endpoint="e") for who in (one, other))
        assert (mine.allowed, mine.remaining) == (theirs.allowed, theirs.remaining)


# -- guarantee sheets: hours of simulated time on the real scripts

HOURS = 2
LIMIT = 6
MINUTE_MS = 60_000


def arrivals(kind: str, seed: int) -> Any:
    """Pauses in milliseconds, given the last decision."""
    chance = random.Random(seed)
    if kind == "greedy":  # as soon as it is let through again, all it can
        while True:
            yield lambda decision: max(0, math.ceil(decision.retry_after / MS))
    if kind == "random":
        while True:
            pause = int(chance.expovariate(1 / 4_000))
            yield lambda _, pause=pause: pause
    while True:  # bursts at the end of a window, then a trickle
        for _ in range(LIMIT + 1):
            yield lambda _: 0
        for _ in range(30):
            yield lambda _: 1_000
        gap = chance.choice([MINUTE_MS, 2 * MINUTE_MS]) - 30_000
        yield lambda _, gap=gap: gap


def worst(taken: list[int], length_ms: int) -> int:
    """The most units in any half-open interval of this length."""
    most = begin = 0
    for end, at in enumerate(taken):
        while taken[begin] <= at - length_ms:
            begin += 1
        most = max(most, end - begin + 1)
    return most


@pytest.mark.parametrize("algorithm", ALGORITHMS[:5])
@pytest.mark.parametrize("kind", ["greedy", "random", "bursts"])
def test_hours_of_calls_stay_within_the_sheet(blocking_driver: Any, algorithm: Algorithm, kind: str) -> None:
    clock = FixedClock(START_MS + MINUTE_MS - 1)
    limits = RateLimit(blocking_driver, clock=clock, options=PATIENT)
    policy, model = policy_of(algorithm, LIMIT, MINUTE_MS), Model(LIMIT, algorithm, MINUTE_MS)
    taken: list[int] = []
    pauses, chance = arrivals(kind, 7), random.Random(11)
    decision = limits.peek(policy, kind, endpoint="e")
    for _ in range(1_200):
        clock.now_ms += next(pauses)(decision)
        if clock.now_ms > START_MS + HOURS * 60 * MINUTE_MS:
            break
        cost = chance.choice([1, 1, 1, 2])
        decision = limits.check(policy, kind, endpoint="e", cost=cost)
        assert decision.allowed == (model.used(clock.now_ms) + cost <= LIMIT)
        if decision:
            model.charge(clock.now_ms, cost)
            taken += [clock.now_ms] * cost
        model.taken = model.taken[-3 * LIMIT :]
    assert len(taken) >= LIMIT
    for length_ms in (1, 500, 7_000, 30_000, 59_999, MINUTE_MS, MINUTE_MS + 1, 150_000, 10 * MINUTE_MS):
        promised = bound(policy, length_ms * MS)
        assert promised is not None
        assert worst(taken, length_ms) <= promised, length_ms


def admitted(limits: RateLimit, policy: Policy, clock: FixedClock, times: list[int]) -> list[int]:
    """Those moments (ms after the start) at which one call passes."""
    taken = []
    for at in times:
        clock.now_ms = START_MS + at
        if limits.check(policy, f"u{policy.name}{policy.algorithm}", endpoint="e"):
            taken.append(at)
    return taken


@pytest.mark.parametrize(
    ("algorithm", "attack"),
    [
        ("strict", [0] * 20),
        ("log", [999] * 20 + list(range(1_000, 1_998))),
        ("counter", [999] * 20 + list(range(1_000, 1_999))),
        ("fixed", [999] * 20 + [1_000] * 20),
        ("gcra", [0] * 20 + list(range(1, 1_000))),
    ],
)
def test_the_sheets_worst_case_is_reached(blocking_driver: Any, algorithm: Algorithm, attack: list[int]) -> None:
    clock = FixedClock(START_MS)
    limits = RateLimit(blocking_driver, clock=clock, options=PATIENT)
    policy = policy_of(algorithm, 10)
    taken = admitted(limits, policy, clock, [at * SLOWER for at in attack])
    most = worst(taken, WINDOW_MS)
    assert most == sheet(policy).worst == {"counter": 19, "fixed": 20, "gcra": 19}.get(algorithm, 10)


@pytest.mark.parametrize("buckets", [10, 20, 60])
def test_strict_buckets_sustain_what_they_promise(blocking_driver: Any, buckets: int) -> None:
    clock, chance = FixedClock(START_MS), random.Random(3)
    limits = RateLimit(blocking_driver, clock=clock, options=PATIENT)
    policy = Policy("p", 20, timedelta(minutes=1), buckets=buckets)
    passed, now = 0, 0.0
    while now < 15 * MINUTE_MS:  # five times the limit
        now += chance.expovariate(20 * 5 / MINUTE_MS)
        clock.now_ms = START_MS + int(now)
        passed += bool(limits.check(policy, f"u{buckets}", endpoint="e"))
    assert sheet(policy).sustains == round(buckets / (buckets + 1), 3)
    assert passed / (15 * 20) >= buckets / (buckets + 1) - 0.01


@pytest.mark.parametrize("algorithm", ["strict", "counter", "fixed", "gcra"])
def test_units_taken_in_advance_shift_by_no_more_than_the_hold(blocking_driver: Any, algorithm: Algorithm) -> None:
    """Two processes with stock of their own, bursts and pauses: every interval stays within the sheet."""
    clock, chance = FixedClock(START_MS), random.Random(5)
    rooms = [RateLimit(blocking_driver, clock=clock, options=PATIENT) for _ in range(2)]
    policy = policy_of(algorithm, 60, MINUTE_MS, prefetch=timedelta(milliseconds=250))
    taken: list[int] = []
    advance = 0
    for _ in range(3_000):
        clock.now_ms += chance.choice([0, 0, 1, 1, 3, 10, 40, 400]) + (chance.random() < 0.01) * 30_000
        decision = chance.choice(rooms).check(policy, "global", endpoint="e")
        taken += [clock.now_ms] * decision.allowed
        advance += decision.source is Source.PREFETCH
        assert decision.allowed == (decision.violated == ())
    assert advance > 20
    for length_ms in (1, 100, 1_000, 30_000, MINUTE_MS, 3 * MINUTE_MS):
        promised = bound(policy, length_ms * MS)
        assert promised is not None
        assert worst(taken, length_ms) <= promised, length_ms
