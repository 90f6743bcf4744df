"""Get-or-compute without a server, a clock or a thread: replies are fed by hand, one step at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any

import pytest

from hustlex.cache import flows
from hustlex.cache import obtain as obtaining
from hustlex.cache.claims import Wanted
from hustlex.cache.codec import ValueCodec
from hustlex.cache.computations import Compute, MakeFlow, SharedResult
from hustlex.cache.ops import Busy, Found, Ours
from hustlex.cache.plan import CachePlan, Entropy
from hustlex.cache.policy import Options, policy
from hustlex.core.op import Batch, Call, Flow, Op, Sleep
from hustlex.core.time import server_clock
from hustlex.errors import ConfigurationError, Full, Misuse, Timeout, Unavailable

ENTRY = "cache:n:1"


class Interrupted(BaseException):
    """As a cancellation or Ctrl-C, without their meaning for the test runner."""


class HandComputation:
    """Records what the flow does to its computation, between the steps it sends."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    def advance(self) -> None:
        self._log.append("advance")

    def close(self) -> None:
        self._log.append("close")


class HandParticipant:
    leading = True

    def __init__(self, make_flow: Flow[SharedResult] | None = None) -> None:
        self.make_flow = make_flow
        self.left = False

    def wait(self, patience_s: float) -> Any:
        raise AssertionError("the test answers instead")

    def leave(self) -> None:
        self.left = True


class HandComputations:
    reads = None

    def __init__(self) -> None:
        self.log: list[str] = []
        self.there: HandParticipant | None = None

    def join(self, entry: str) -> HandParticipant | None:
        return self.there

    def join_or_start(
        self, entry: str, make_flow: MakeFlow, tags: tuple[str, ...] = (), *, background: bool = False
    ) -> HandParticipant:
        self.log += ["background"] * background
        return HandParticipant(make_flow(HandComputation(self.log)))

    def detach(self, entry: str) -> None:
        self.log.append(f"detach {entry}")

    def start_in_background(self, entry: str, make_flow: MakeFlow, tags: tuple[str, ...] = ()) -> None:
        self.log.append("start_in_background")

    def detach_tagged(self, tags: Collection[str]) -> None:
        self.log.append(f"detach {sorted(tags)}")

    def renewing(self, compute: Compute, renews: Sequence[Op[bool]], every_s: float) -> Compute:
        self.log.append(f"keep every {every_s:g} s")
        return compute

    def around(self, entry: str, compute: Compute) -> Compute:
        return compute

    def bulkhead(self, places: int, patience_s: float) -> Callable[[Compute], Compute]:
        def guarded(compute: Compute) -> Compute:
            def behind() -> Any:
                return compute()

            return behind

        return guarded


def ask(compute: Compute, tags: tuple[str, ...] = ()) -> Wanted:
    return Wanted(entry=ENTRY, compute=compute, ttl_ms=60_000, tags=tags)


class Hand:
    """A cache of ints whose flows are driven by hand. now: what the monotonic clock says."""

    def __init__(self, **options: Any) -> None:
        known: Options = {"clearable": False} | options  # type: ignore[assignment]
        limits = policy(ttl=timedelta(minutes=1), **known)
        self.now = 100.0
        self.computations = HandComputations()
        dice = Entropy(token=lambda: "ab" * 8, draw=lambda: 0.5, monotonic=lambda: self.now)
        codec: ValueCodec[int] = ValueCodec(int, limits)
        self.plan = CachePlan("n", codec, limits, self.computations, prefix="", clock=server_clock, entropy=dice)

    @property
    def log(self) -> list[str]:
        return self.computations.log

    def lead(self, compute: Compute = lambda: 1) -> Flow[SharedResult]:
        return obtaining.lead(self.plan, ask(compute), None, HandComputation(self.log))

    def stored(self, value: int) -> bytes:
        codec = self.plan.codec
        return codec.pack(codec.encode(value), 60_000, 1)


def name(step: object) -> str:
    return step.name if isinstance(step, Op) else type(step).__name__


def end(flow: Flow[Any], answer: object) -> Any:
    with pytest.raises(StopIteration) as stop:
        flow.send(answer)
    return stop.value.value


def test_order_on_a_miss_is_claim_compute_seal_fill() -> None:
    hand = Hand()
    flow = hand.lead()
    claim = next(flow)
    assert isinstance(claim, Op)
    assert claim.name == "cache.getl"
    assert claim.keys == (ENTRY, "cl:{cache:n:1}")
    assert claim.args == ("t:" + "ab" * 8, 10_000)
    assert claim.timeout_ms == 50
    compute = flow.send(Ours())
    assert isinstance(compute, Call)
    assert hand.log == ["advance", "advance", "keep every 3.33333 s"]
    hand.now += 0.25
    fill = flow.send(compute.function())
    assert hand.log[-1] == "close"
    assert isinstance(fill, Op)
    assert fill.name == "cache.fill"
    token, now_ms, frame, px_ms = fill.args
    assert (token, now_ms, px_ms) == ("t:" + "ab" * 8, 0, 57_000)  # 5 % jitter drawn
    assert int.from_bytes(frame[18:22], "little") == 250  # type: ignore[index,arg-type]
    assert end(flow, True) == SharedResult(1, b"1", proven=True)
    assert hand.plan.counts.snapshot().fill == {"stored": 1}


def test_a_refused_fill_is_not_proven() -> None:
    hand = Hand()
    flow = hand.lead()
    next(flow)
    flow.send(Ours())
    assert name(flow.send(1)) == "cache.fill"
    assert end(flow, False) == SharedResult(1, b"1", proven=False)
    assert hand.plan.counts.snapshot().fill == {"refused": 1}


@pytest.mark.parametrize("error", [Timeout("late"), Full("full", server_code="OOM")])
def test_a_failed_fill_is_swallowed_and_the_lease_given_back(error: Exception) -> None:
    hand = Hand()
    flow = hand.lead()
    next(flow)
    flow.send(Ours())
    assert name(flow.send(1)) == "cache.fill"
    assert name(flow.throw(error)) == "cache.release"
    assert end(flow, True) == SharedResult(1, b"1", proven=False)
    assert hand.plan.counts.snapshot().failures == 1


def test_a_value_found_while_claiming_ends_the_computation_unproven() -> None:
    hand = Hand()
    flow = hand.lead()
    next(flow)
    found = Found(hand.stored(7))
    with pytest.raises(StopIteration) as stop:
        flow.send(found)
    assert stop.value.value == SharedResult(7, b"7", proven=False)
    assert hand.log == ["advance"]


def test_an_unusable_entry_is_taken_over_and_checked_again() -> None:
    hand = Hand()
    flow = hand.lead()
    next(flow)
    take = flow.send(Found(b"\x01not for us"))
    assert isinstance(take, Batch)
    assert take.ops[0].args[:1] == ("SET",)
    release = flow.send([Ours(), hand.stored(7), 1000])
    assert name(release) == "cache.release"
    assert end(flow, True) == SharedResult(7, b"7", proven=False)

    flow = hand.lead()
    next(flow)
    flow.send(Found(b"\x01not for us"))
    assert name(flow.send([Ours(), b"\x01not for us", 1000])) == "Call"


def test_waiting_polls_ever_more_slowly_then_computes_behind_the_bulkhead_without_storing() -> None:
    hand = Hand(wait=timedelta(seconds=2))
    flow = hand.lead()
    next(flow)
    pauses = []
    step: object = flow.send(Busy("t", 9_000))
    while isinstance(step, Sleep):
        pauses.append(step.seconds)
        hand.now += step.seconds
        assert name(flow.send(None)) == "cache.getl"
        step = flow.send(Busy("t", 9_000))
    assert pauses[:3] == pytest.approx([0.010, 0.016, 0.0256])
    assert max(pauses) == 0.25
    assert 2.0 <= sum(pauses) < 2.3
    assert hand.log[-2:] == ["advance", "close"]
    assert isinstance(step, Call)
    assert "behind" in step.function.__qualname__
    assert end(flow, 5) == SharedResult(5, b"5", proven=False)
    assert hand.plan.counts.snapshot().wait["timeout"] == 1


def test_a_poll_comes_when_the_lease_runs_out() -> None:
    hand = Hand()
    flow = hand.lead()
    next(flow)
    assert flow.send(Busy("t", 3)) == Sleep(0.004)


@pytest.mark.parametrize("kind", ["h", "c"])
def test_hold_and_cooldown_compute_at_once_without_storing(kind: str) -> None:
    hand = Hand()
    flow = hand.lead()
    next(flow)
    step = flow.send(Busy(kind, 9_000))
    assert isinstance(step, Call)
    assert "behind" in step.function.__qualname__
    assert end(flow, 5) == SharedResult(5, b"5", proven=False)


def test_a_lost_claim_computes_and_then_gives_back_what_it_may_hold() -> None:
    hand = Hand()
    flow = hand.lead()
    next(flow)
    assert name(flow.throw(Timeout("late"))) == "Call"
    assert name(flow.send(5)) == "cache.release"
    assert end(flow, False) == SharedResult(5, b"5", proven=False)

    flow = hand.lead()
    next(flow)
    assert name(flow.throw(Unavailable("refused"))) == "Call"
    assert end(flow, 5) == SharedResult(5, b"5", proven=False)


@pytest.mark.parametrize("where", ["claim", "compute"])
def test_whatever_ends_a_computation_early_gives_the_lease_back(where: str) -> None:
    hand = Hand()
    flow = hand.lead()
    next(flow)
    if where == "compute":
        flow.send(Ours())
    assert name(flow.throw(Interrupted())) == "cache.release"
    with pytest.raises(Interrupted):
        flow.send(True)


def test_an_abandoned_computation_asks_for_nothing_more() -> None:
    flow = Hand().lead()
    next(flow)
    flow.send(Ours())
    flow.close()


def test_a_result_of_another_type_is_an_error_for_all_and_not_stored() -> None:
    hand = Hand()
    flow = hand.lead()
    next(flow)
    flow.send(Ours())
    assert name(flow.send("text")) == "cache.release"
    with pytest.raises(Misuse, match="not of the cache's type"):
        flow.send(True)


def test_too_big_is_shared_when_the_release_proves_it_but_never_stored() -> None:
    hand = Hand(max_value=32)
    flow = hand.lead()
    next(flow)
    flow.send(Ours())
    assert name(flow.send(123_456)) == "cache.release"
    assert end(flow, True) == SharedResult(123_456, b"123456", proven=True)
    assert hand.plan.counts.snapshot().fill == {"too_big": 1}


# -- the caller's side


def obtain(hand: Hand) -> Flow[Any]:
    return obtaining.obtain(hand.plan, ask(lambda: 1))


def test_a_hit_is_one_read() -> None:
    hand = Hand()
    flow = obtain(hand)
    assert name(next(flow)) == "cache.get"
    assert end(flow, hand.stored(3)) == 3
    assert hand.plan.counts.snapshot().requests == {"fresh": 1}


def test_a_failed_read_computes_once_behind_the_bulkhead() -> None:
    hand = Hand()
    flow = obtain(hand)
    next(flow)
    step = flow.throw(Unavailable("down"))
    assert isinstance(step, Call)
    assert "behind" in step.function.__qualname__
    assert end(flow, 1) == 1
    assert hand.plan.counts.snapshot().requests == {"bypass": 1}


def test_errors_that_would_never_end_are_not_passed_over() -> None:
    flow = obtain(Hand())
    next(flow)
    with pytest.raises(ConfigurationError):
        flow.throw(ConfigurationError("bad URL"))


def test_turned_away_callers_start_over_and_in_the_end_compute_for_themselves() -> None:
    hand = Hand()
    hand.computations.there = participant = HandParticipant()
    participant.leading = False
    flow = obtain(hand)
    assert isinstance(next(flow), Call)
    for _ in range(2):
        assert isinstance(flow.send(None), Call)
    step = flow.send(None)
    assert isinstance(step, Call)
    assert "behind" in step.function.__qualname__
    assert end(flow, 9) == 9


def test_callers_who_join_get_an_object_of_their_own_and_always_leave() -> None:
    hand = Hand()
    hand.computations.there = participant = HandParticipant()
    participant.leading = False
    flow = obtain(hand)
    next(flow)
    assert end(flow, SharedResult("the leader's object", b"4", proven=True)) == 4
    assert participant.left

    hand.computations.there = participant = HandParticipant()
    flow = obtain(hand)
    next(flow)
    with pytest.raises(Interrupted):
        flow.throw(Interrupted())
    assert participant.left


def test_an_invalidation_detaches_before_and_after_and_raises_after_all_were_tried() -> None:
    hand = Hand()
    flow = flows.invalidate(hand.plan, [ENTRY, "cache:n:2"])
    step = next(flow)
    assert isinstance(step, Batch)
    assert [op.args for op in step.ops] == [
        ("UNLINK", ENTRY, "cl:{cache:n:1}"),
        ("UNLINK", "cache:n:2", "cl:{cache:n:2}"),
    ]
    assert len(hand.log) == 2
    with pytest.raises(Unavailable):
        flow.send([Unavailable("down"), 1])
    assert len(hand.log) == 4


def test_jitter_only_shortens_and_none_lives_its_own_time() -> None:
    """T-C14."""
    hand = Hand(jitter=0.2, negative_ttl=timedelta(seconds=30))
    for draw, expected in ((0.0, 60_000), (0.5, 54_000), (1.0, 48_000)):
        held = Entropy(draw=lambda draw=draw: draw)  # type: ignore[misc]
        plan = CachePlan(
            "n", hand.plan.codec, hand.plan.policy, hand.computations, prefix="", clock=server_clock, entropy=held
        )
        assert plan.life_ms(b"1", 60_000) == expected
        assert plan.life_ms(b"null", 60_000) == expected // 2
        assert plan.life_ms(b"null", 10_000) == expected // 6
        assert plan.life_ms(b"1", 1) == 1
