"""Names, arguments and answers of the rate limit room, without a server."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hustlex.core.keys import slot
from hustlex.core.op import Effect, Op
from hustlex.errors import Misuse, Unavailable
from hustlex.ratelimit import Outcome, Policy, flows, ops
from hustlex.ratelimit.types import Elsewhere

MINUTE = timedelta(minutes=1)
CALLS = Policy("calls", 10, MINUTE)
STRICT = Policy("strict", 5, MINUTE, "log")
NOW = 1_795_425_470_000


def names(*policies: Policy, identity: str = "u123", endpoint: str = "/transfers") -> tuple[str, ...]:
    return ops.keys(ops.target("", policies, identity, endpoint), NOW)


def test_a_counters_keys_are_the_seeds() -> None:
    assert names(CALLS) == (
        "ratelimit:{u123}:/transfers:1795425360",
        "ratelimit:{u123}:/transfers:1795425420",
        "ratelimit:{u123}:/transfers:1795425480",
    )


def test_a_log_is_one_key_and_several_of_a_kind_carry_their_names() -> None:
    assert names(STRICT, CALLS)[0] == "ratelimit:{u123}:/transfers:z"
    assert names(STRICT, Policy("other", 1, MINUTE, "log")) == (
        "ratelimit:{u123}:/transfers:z.strict",
        "ratelimit:{u123}:/transfers:z.other",
    )
    hour = names(CALLS, Policy("hour", 100, timedelta(hours=1)))
    assert len(set(hour)) == 6
    assert hour[1] == "ratelimit:{u123}:/transfers:1795425420.calls"


def test_windows_that_are_not_whole_seconds_have_a_key_each() -> None:
    policy = Policy("odd", 1, timedelta(milliseconds=1001))
    starts = [ops.keys(ops.target("", policy, "u", "e"), number * 1001)[1] for number in range(5000)]
    assert len(set(starts)) == 5000


def test_the_prefix_stands_in_front() -> None:
    assert ops.keys(ops.target("shop:", STRICT, "u", "e"), NOW) == ("shop:ratelimit:{u}:e:z",)


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
        lambda: Policy("a", 1, MINUTE, "gcra"),  # type: ignore[arg-type]
        lambda: Policy("a", 1, timedelta(milliseconds=999)),
        lambda: Policy("a", 1, timedelta(seconds=1, microseconds=1)),
        lambda: Policy("a", 1, timedelta(0), "log"),
        lambda: Policy("a", 1, timedelta(days=367)),
        lambda: Policy("a", 10_001, MINUTE, "log"),
        lambda: Policy("a", 10**9, timedelta(days=365)),
        lambda: ops.target("", [], "u", "e"),
        lambda: ops.target("", [CALLS, CALLS], "u", "e"),
        lambda: ops.target("", [Policy(f"p{n}", 1, MINUTE) for n in range(9)], "u", "e"),
        lambda: ops.target("", CALLS, "", "e"),
        lambda: ops.target("", CALLS, "u", ""),
        lambda: ops.check(ops.target("", CALLS, "u", "e"), 0, "id", 0, NOW),
        lambda: ops.peek(ops.target("", CALLS, "u", "e"), -1, 0, NOW),
    ],
)
def test_what_can_never_work_is_refused_before_anything_is_sent(bad: object) -> None:
    with pytest.raises(Misuse):
        bad()  # type: ignore[operator]


def test_a_check_may_be_repeated_only_when_its_id_protects_it() -> None:
    def effect(*policies: Policy) -> Effect:
        return ops.check(ops.target("", policies, "u", "e"), 1, "id", 0, NOW).effect

    assert effect(STRICT) is Effect.IDEMPOTENT
    assert effect(CALLS) is effect(CALLS, STRICT) is Effect.ONCE


def test_the_decisive_policy_is_the_one_to_wait_longest_for() -> None:
    op = ops.check(ops.target("", [CALLS, STRICT], "u", "e"), 2, "id", 0, NOW)
    decision = op.decode([2, 9, 1_000_000, 500_000, 2_000_000, 4, 3_000_000, 1_000_000, 9_000_000])
    assert not decision
    assert decision.outcome is Outcome.DENIED
    assert (decision.policy, decision.limit, decision.remaining, decision.cost) == ("strict", 5, 1, 2)
    assert decision.retry_after == timedelta(seconds=3)
    assert decision.reset_after == timedelta(seconds=9)
    assert decision.violated == ("calls", "strict")


def test_an_allowed_call_shows_the_tightest_policy() -> None:
    decision = ops.check(ops.target("", [CALLS, STRICT], "u", "e"), 1, "id", 0, NOW).decode([1, 9, 0, 1, 1, 1, 0, 1, 1])
    assert decision
    assert (decision.policy, decision.remaining, decision.retry_after) == ("calls", 1, timedelta(0))
    assert decision.violated == ()


def test_a_call_that_never_fits_says_so_whatever_else_must_be_waited_for() -> None:
    op = ops.check(ops.target("", [CALLS, STRICT], "u", "e"), 7, "id", 0, NOW)
    decision = op.decode([2, 9, 5_000_000, 1, 1, 0, -1, 0, 0])
    assert decision.outcome is Outcome.COST_TOO_LARGE
    assert (decision.policy, decision.retry_after) == ("strict", timedelta(milliseconds=-1))


def asked(flow: object) -> Op[object]:
    step = flow.send(None)  # type: ignore[attr-defined]
    assert isinstance(step, Op)
    return step


def test_a_wrong_guess_is_corrected_once_and_remembered() -> None:
    belief = flows.ServerTime(lambda: 1_000)
    flow = flows.aligned(lambda guess: ops.reset(ops.target("", CALLS, "u", "e"), 0, guess), belief)
    assert asked(flow).keys[1].endswith(":0")
    step = flow.send(Elsewhere(NOW))
    assert isinstance(step, Op)
    assert step.keys[1].endswith(":1795425420")
    with pytest.raises(StopIteration) as end:
        flow.send(True)
    assert end.value.value is True
    assert belief.guess() == NOW


def test_a_server_that_is_always_a_window_ahead_is_unavailable() -> None:
    belief = flows.ServerTime(lambda: 0)
    flow = flows.aligned(lambda guess: ops.reset(ops.target("", CALLS, "u", "e"), 0, guess), belief)
    asked(flow)
    with pytest.raises(Unavailable):
        for later in (1, 2, 3):
            flow.send(Elsewhere(NOW * later))
