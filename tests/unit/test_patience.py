"""How long a call goes on while its server is being replaced, told the time."""

from __future__ import annotations

import pytest

from hustlex.core.op import Effect, Op, command
from hustlex.drivers.faults import Late, Lost, NotSent, refusal
from hustlex.drivers.patience import FOR_EVER, REMEMBERED_S, Outage, Patience, RepeatBudget


def op(effect: Effect = Effect.READ, timeout_ms: int = 0) -> Op[bytes]:
    return command("test.get", effect, "GET", "k", keys=("k",), decode=bytes, timeout_ms=timeout_ms)


def test_an_outage_begins_with_its_first_failure_and_is_over_after_half_a_minute_without_one() -> None:
    outage = Outage()
    assert [outage.noted(at) for at in (100.0, 101.0, 120.0, 150.0)] == [100.0] * 4
    assert outage.noted(181.0) == 181.0


@pytest.mark.parametrize("failure", [NotSent("refused"), Lost("closed"), refusal("CLUSTERDOWN Hash slot not served")])
def test_a_call_goes_on_until_its_server_is_replaced(failure: Exception) -> None:
    patience = Patience(op(), deadline=101.0, seconds=1.0)
    assert patience.attempt(100.2) == 101.0
    patience.learn(failure, 110.0)  # type: ignore[arg-type]
    assert patience.until == 110.0
    assert patience.attempt(100.9) == 101.9
    assert patience.attempt(109.5) == 110.0


@pytest.mark.parametrize(
    ("call", "failure", "away_since"),
    [
        (op(timeout_ms=50), NotSent("refused"), 110.0),
        (op(), NotSent("refused"), FOR_EVER),
        (op(), NotSent("refused"), 90.0),
        (op(), refusal("BUSY a script is running"), 110.0),
        (op(), Late(), 110.0),
    ],
    ids=["a time of its own", "nobody replaces it", "away for too long", "no failover", "silent"],
)
def test_other_calls_end_at_their_deadline(call: Op[bytes], failure: Exception, away_since: float) -> None:
    patience = Patience(call, deadline=101.0, seconds=1.0)
    patience.learn(failure, away_since)  # type: ignore[arg-type]
    assert patience.until == 101.0
    assert patience.attempt(100.9) == 101.0


def test_a_call_to_a_server_that_answers_nobody_goes_on_unless_it_must_run_once() -> None:
    late = Late()
    late.silent = True
    for effect, goes_on in ((Effect.READ, True), (Effect.IDEMPOTENT, True), (Effect.ONCE, False)):
        patience = Patience(op(effect), deadline=101.0, seconds=1.0)
        patience.learn(late, 150.0)
        assert patience.goes_on(101.0) is goes_on
    assert patience.until == 150.0
    repeatable = Patience(op(Effect.IDEMPOTENT), deadline=101.0, seconds=1.0)
    repeatable.learn(late, 150.0)
    assert repeatable.until == 100.0 + REMEMBERED_S


def test_a_call_ends_for_what_it_was_told_and_not_for_want_of_time() -> None:
    readonly, refused, late = refusal("READONLY You can't write"), NotSent("refused"), NotSent("TimeoutError")
    patience = Patience(op(), deadline=101.0, seconds=1.0)
    assert patience.reason(readonly, 100.4) is readonly
    assert patience.reason(refused, 100.9) is refused
    assert patience.reason(late, 101.0) is refused
    assert Patience(op(), deadline=101.0, seconds=1.0).reason(late, 101.0) is late


def test_what_may_have_run_is_repeated_only_as_long_as_the_server_remembers_it() -> None:
    patience = Patience(op(Effect.IDEMPOTENT), deadline=101.0, seconds=1.0)
    patience.learn(Lost("closed"), 150.0)
    assert patience.until == 100.0 + REMEMBERED_S
    patience.learn(NotSent("refused"), 160.0)
    assert patience.until == 100.0 + REMEMBERED_S


def test_repeats_are_let_through_up_to_a_second_s_worth_and_then_one_by_one() -> None:
    budget = RepeatBudget(per_second=10)
    assert [budget.pause(5.0) for _ in range(10)] == [0.0] * 10
    assert [round(budget.pause(5.0), 3) for _ in range(3)] == [0.1, 0.2, 0.3]
    assert budget.pause(9.0) == 0.0


def test_a_server_is_away_for_long_while_it_is_still_tried() -> None:
    outage = Outage()
    outage.noted(100.0)
    assert not outage.lasts(109.0)
    outage.noted(110.0)
    assert outage.lasts(111.0)
    assert not outage.lasts(120.0)
    outage.over()
    assert not outage.lasts(111.0)
