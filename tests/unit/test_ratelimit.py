"""Names, arguments and answers of the rate limit room, without a server."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hustlex.core.breaker import BreakerOptions
from hustlex.core.keys import slot
from hustlex.core.op import Batch, Effect, Op
from hustlex.core.time import server_clock
from hustlex.errors import ConfigurationError, Misuse, Unavailable
from hustlex.ratelimit import Decision, Outcome, Penalty, Policy, RateLimitOptions, caller_of
from hustlex.ratelimit.engine import flows, ops
from hustlex.ratelimit.engine.compiler import NORMAL, CompiledPolicies, key_prefix
from hustlex.ratelimit.engine.limiter import Limiter
from hustlex.ratelimit.engine.memory import SubjectState
from hustlex.ratelimit.engine.ops import PendingCheck
from hustlex.ratelimit.engine.server_time import ServerTime
from hustlex.ratelimit.types import WrongWindow

MINUTE = timedelta(minutes=1)
CALLS = Policy("calls", 10, MINUTE, "counter")
STRICT = Policy("strict", 5, MINUTE, "log")
NOW = 1_795_425_470_000


def names(*policies: Policy, identity: str = "u123", endpoint: str = "/transfers", now: int = NOW) -> tuple[str, ...]:
    return asked(*policies, identity=identity, endpoint=endpoint, now=now).keys


def asked(*policies: Policy, identity: str = "u", endpoint: str = "e", now: int = NOW, cost: int = 1) -> Op[object]:
    plan = CompiledPolicies(policies)
    question = ops.CheckRequest(plan, plan.window_at(now), key_prefix("", identity, endpoint), cost, NORMAL, "id", 0)
    return ops.check(question, lambda reply: reply, 50)


def limiter(**options: object) -> Limiter:
    return Limiter("", server_clock, server_clock, RateLimitOptions(**options))  # type: ignore[arg-type]


def called(*policies: Policy, cost: int = 1, on: Limiter | None = None) -> PendingCheck:
    call = (on or limiter()).check(policies, "u", "e", cost, NORMAL)
    assert isinstance(call, PendingCheck)
    return call


def test_a_counters_keys_are_the_seeds() -> None:
    assert names(CALLS) == (
        "ratelimit:{u123}:/transfers:1795425360",
        "ratelimit:{u123}:/transfers:1795425420",
        "ratelimit:{u123}:/transfers:1795425480",
        "ratelimit:{u123}:/transfers:w",
    )


def test_a_log_is_one_key_and_several_of_a_kind_carry_their_names() -> None:
    assert names(STRICT, CALLS)[0] == "ratelimit:{u123}:/transfers:z"
    assert names(STRICT, Policy("other", 1, MINUTE, "log")) == (
        "ratelimit:{u123}:/transfers:z.strict",
        "ratelimit:{u123}:/transfers:z.other",
    )
    hour = names(CALLS, Policy("hour", 100, timedelta(hours=1), "counter"))
    assert len(set(hour)) == 8
    assert hour[1] == "ratelimit:{u123}:/transfers:1795425420.calls"


def test_each_kind_has_its_letter() -> None:
    kinds = [Policy("a", 9, MINUTE), Policy("b", 9, MINUTE, "gcra", burst=1), Policy("c", 9, MINUTE, "leases")]
    extras = [Policy("d", 9, MINUTE, "fixed", overridable=True, penalty=Penalty())]
    assert [key.rpartition(":")[2] for key in names(*kinds)] == ["b", "g", "c"]
    assert [key.rpartition(":")[2] for key in names(*extras)][3:] == ["w", "n", "pen"]


def test_windows_that_are_not_whole_seconds_have_a_key_each() -> None:
    policy = Policy("odd", 1, timedelta(milliseconds=1001), "counter")
    starts = [names(policy, now=number * 1001)[1] for number in range(5000)]
    assert len(set(starts)) == 5000


def test_the_prefix_stands_in_front() -> None:
    assert key_prefix("shop:", "u", "e") == "shop:ratelimit:{u}:e:"


hostile = st.text(st.sampled_from("ab{}: %~\0é\ud800") | st.characters(exclude_categories=()), min_size=1)


@given(hostile, hostile, hostile, hostile)
@example("a}b", "e", "a", "e")
@example("a:b", "c", "a", "b:c")
@example("u", "e:1795425420", "u", "e")
@example("x" * 10_000, "e", "x" * 9_999, "e")
def test_no_two_callers_share_a_key_and_one_caller_stays_in_one_slot(one: str, at: str, other: str, place: str) -> None:
    first, second = (names(CALLS, STRICT, identity=who, endpoint=where) for who, where in ((one, at), (other, place)))
    assert len({slot(key) for key in first}) == 1
    assert all(len(key) < 250 and key.isascii() and key.isprintable() and " " not in key for key in first)
    assert (one, at) == (other, place) or not set(first) & set(second)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Policy("", 1, MINUTE),
        lambda: Policy('a"b', 1, MINUTE),
        lambda: Policy("x" * 65, 1, MINUTE),
        lambda: Policy("a", 0, MINUTE),
        lambda: Policy("a", 1, MINUTE, cost=0),
        lambda: Policy("a", 1, MINUTE, "sliding"),  # type: ignore[arg-type]
        lambda: Policy("a", 1, timedelta(milliseconds=999), "counter"),
        lambda: Policy("a", 9, MINUTE, burst=3),
        lambda: Policy("a", 9, MINUTE, "gcra", burst=10),
        lambda: Policy("a", 10**6, timedelta(milliseconds=1), "gcra", burst=1),
        lambda: Policy("a", 9, MINUTE, buckets=0),
        lambda: Policy("a", 9, timedelta(milliseconds=5), buckets=6),
        lambda: Policy("a", 9, MINUTE, "log", count_denied=True),
        lambda: Policy("a", 9, MINUTE, on_error="shut"),  # type: ignore[arg-type]
        lambda: Policy("a", 9, MINUTE, reserve={"vip": 1.0}),
        lambda: Policy("a", 9, MINUTE, reserve={"vip": 0.5, "other": 0.5}),
        lambda: Policy("a", 9, MINUTE, "gcra", burst=1, overridable=True),
        lambda: Policy("a", 9, MINUTE, "leases", cost=2),
        lambda: Policy("a", 9, MINUTE, prefetch=timedelta(seconds=1)),
        lambda: Policy("a", 9, MINUTE, "log", prefetch=timedelta(milliseconds=9)),
        lambda: Penalty(0),
        lambda: Penalty(1, timedelta(days=2)),
        lambda: CompiledPolicies((Policy("a", 9, MINUTE, prefetch=timedelta(milliseconds=9)), CALLS)),
        lambda: Policy("a", 1, timedelta(seconds=1, microseconds=1)),
        lambda: Policy("a", 1, timedelta(0), "log"),
        lambda: Policy("a", 1, timedelta(days=367)),
        lambda: Policy("a", 10_001, MINUTE, "log"),
        lambda: Policy("a", 10**9, timedelta(days=365), "counter"),
        lambda: CompiledPolicies(()),
        lambda: CompiledPolicies((CALLS, CALLS)),
        lambda: CompiledPolicies(tuple(Policy(f"p{n}", 1, MINUTE) for n in range(9))),
        lambda: key_prefix("", "", "e"),
        lambda: key_prefix("", "u", ""),
        lambda: limiter().check(CALLS, "u", "e", 0, NORMAL),
        lambda: limiter().check(CALLS, "u", "e", -1, NORMAL),
        lambda: limiter().check(CALLS, "", "e", 1, NORMAL),
    ],
)
def test_what_can_never_work_is_refused_before_anything_is_sent(bad: object) -> None:
    with pytest.raises(Misuse):
        bad()  # type: ignore[operator]


def test_a_check_may_be_repeated_only_when_its_id_protects_it() -> None:
    assert asked(STRICT).effect is Effect.IDEMPOTENT
    assert asked(CALLS).effect is asked(CALLS, STRICT).effect is Effect.ONCE


def test_a_plain_policy_alone_is_judged_by_a_short_script() -> None:
    assert asked(CALLS).name == "ratelimit.check_counter"
    assert asked(Policy("a", 9, MINUTE)).name == "ratelimit.check_strict"
    for policies in (
        (CALLS, STRICT),
        (Policy("a", 9, MINUTE, shadow=True),),
        (Policy("a", 9, MINUTE, overridable=True),),
    ):
        assert asked(*policies).name == "ratelimit.check"


def test_a_callers_usual_call_is_made_once() -> None:
    here = limiter()
    policy = Policy("a", 9, MINUTE)
    first, second = (here.check(policy, "u", "e", 1, NORMAL) for _ in range(2))
    assert first is second
    assert here.check(policy, "u", "e", 2, NORMAL) is not first
    assert here.check(Policy("a", 9, MINUTE), "u", "e", 1, NORMAL) is first


def test_policies_named_in_a_list_may_change() -> None:
    here, policies = limiter(), [Policy("a", 9, MINUTE)]
    first = here.check(policies, "u", "e", 1, NORMAL)
    policies.append(CALLS)
    second = here.check(policies, "u", "e", 1, NORMAL)
    assert isinstance(first, PendingCheck)
    assert isinstance(second, PendingCheck)
    assert (len(first.op.keys), len(second.op.keys)) == (1, 5)


def decoded(pending: PendingCheck, reply: bytes) -> Decision:
    decision = pending.op.decode(reply)
    assert isinstance(decision, Decision)
    return decision


def test_the_decisive_policy_is_the_one_to_wait_longest_for() -> None:
    decision = decoded(called(CALLS, STRICT, cost=2), b"2 60 0 3 10 0 9 5 4 3000000 1000000 9000000")
    assert not decision
    assert decision.outcome is Outcome.DENIED
    assert (decision.policy, decision.limit, decision.remaining, decision.cost) == ("calls", 10, 1, 2)
    assert decision.retry_after == timedelta(seconds=60 + 60 - 53.333) + timedelta(milliseconds=0)
    assert decision.violated == ("calls", "strict")


def test_an_allowed_call_shows_the_tightest_policy() -> None:
    decision = decoded(called(CALLS, STRICT), b"1 60 0 0 10 0 9 5 1 0 1 1")
    assert decision
    assert (decision.policy, decision.remaining, decision.retry_after) == ("calls", 1, timedelta(0))
    assert decision.violated == ()
    assert "allowed" in repr(decision)
    with pytest.raises(TypeError):
        hash(decision)


def test_a_call_that_never_fits_says_so_whatever_else_must_be_waited_for() -> None:
    decision = decoded(called(CALLS, STRICT, cost=7), b"2 60 0 3 10 0 9 5 0 0 0 0")
    assert decision.outcome is Outcome.COST_TOO_LARGE
    assert (decision.policy, decision.retry_after) == ("strict", timedelta(milliseconds=-1))


def test_a_limit_that_opens_is_refused_where_it_must_not() -> None:
    opens = Policy("a", 9, MINUTE, on_error="open")
    assert limiter().check(opens, "u", "GET /gigs", 1, NORMAL)
    assert limiter().check(opens, "u", "/spinning/author", 1, NORMAL)
    for endpoint in ("/auth/otp", "POST /wallet/transfers", "pin", "/v1/payments/{id}", "log-in"):
        with pytest.raises(ConfigurationError):
            limiter().check(opens, "u", endpoint, 1, NORMAL)


def test_a_gcra_of_the_whole_limit_warns() -> None:
    with pytest.warns(UserWarning, match="up to 199 in a window"):
        Policy("a", 100, MINUTE, "gcra")


def test_what_is_reserved_is_kept_from_others() -> None:
    policy = Policy("a", 100, MINUTE, reserve={"critical": 0.2, "vip": 0.1})
    assert [policy.limit_for(tier) for tier in (NORMAL, "critical", "vip")] == [70, 90, 80]


def step_of(flow: object) -> Op[object]:
    step = flow.send(None)  # type: ignore[attr-defined]
    assert isinstance(step, Op)
    return step


def test_a_wrong_guess_is_corrected_once_and_remembered() -> None:
    plan, server_time = CompiledPolicies((CALLS,)), ServerTime(lambda: 1_000)

    def reset() -> Op[bool | WrongWindow]:
        return ops.reset(
            ops.CheckRequest(plan, plan.window_at(server_time.guess()), "ratelimit:{u}:e:", 1, NORMAL, "", 0)
        )

    flow = flows.aligned(reset, server_time)
    assert step_of(flow).keys[1].endswith(":0")
    step = flow.send(WrongWindow(NOW))
    assert isinstance(step, Op)
    assert step.keys[1].endswith(":1795425420")
    with pytest.raises(StopIteration) as end:
        flow.send(True)
    assert end.value.value is True
    assert server_time.guess() == NOW


def test_a_server_that_is_always_a_window_ahead_is_unavailable() -> None:
    flow = flows.aligned(lambda: asked(CALLS), ServerTime(lambda: 0))
    step_of(flow)
    with pytest.raises(Unavailable):
        for later in (1, 2, 3):
            flow.send(WrongWindow(NOW * later))


def test_threads_never_spend_a_unit_twice() -> None:
    def slow_clock() -> float:
        time.sleep(0.002)
        return 0.0

    subject = SubjectState(
        CompiledPolicies((Policy("hot", 9, MINUTE, prefetch=timedelta(milliseconds=250)),)), "", slow_clock
    )
    subject.stock_up(3, b"")
    with ThreadPoolExecutor(8) as threads:
        assert [*threads.map(subject.spend, [1] * 16)].count(True) == 3


def test_threads_that_lose_the_server_at_once_share_one_count() -> None:
    """Each new policy and caller, met by eight threads at once, is plan, made and counted once."""
    shared, interval = limiter(breaker=BreakerOptions(failures=1000, calls=1000)), sys.getswitchinterval()
    policies = [Policy(f"p{n}", 1, MINUTE) for n in range(40)]
    start = threading.Barrier(8, timeout=60)

    def lose(_: int) -> list[Decision]:
        answers = []
        for policy in policies:
            start.wait()
            answers.append(shared.failed(called(policy, on=shared).request, Unavailable("away")))
        return answers

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            answers = [*threads.map(lose, range(8))]
    finally:
        sys.setswitchinterval(interval)
    assert [sum(map(bool, each)) for each in zip(*answers, strict=True)] == [1] * 40


def test_giving_back_keeps_to_the_budget_of_a_check() -> None:
    """The server went away between two answers: the refused caller does not wait seconds for the others' refund."""
    here = limiter()
    paid, lost = called(CALLS, on=here), called(Policy("shut", 1, MINUTE, on_error="closed"), on=here)
    story = flows.together(here, [paid, lost])
    next(story)
    step = story.send([paid.op.decode(b"1 1795425470 0 0 10 0 1"), Unavailable("away")])
    assert isinstance(step, Batch)
    assert [op.timeout_ms for op in step.ops] == [100]


def test_no_users_id_is_another_kind_of_caller() -> None:
    ids: list[Any] = [
        "u1",
        7,
        "a:b",
        "global",
        "ip:203.0.113.7",
        "ip:",
        "user:global",
        "user:u1",
        "key:k",
        "Global",
        "ipv4",
    ]
    users, owners = [caller_of("user", each) for each in ids], [caller_of("key", each) for each in ids]
    assert users[:3] == ["u1", "7", "a:b"]
    for callers in (users, owners):
        assert len(set(callers)) == len(ids)
        assert not {"global", "ip:203.0.113.7", "ip:"} & set(callers)
    with pytest.raises(Misuse):
        caller_of("user", "a\0b")
