"""Flows of several steps: correcting a wrong guess of the server's window; several callers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from hustlex.core import check
from hustlex.core.check import Id
from hustlex.core.logs import logger
from hustlex.core.op import Batch, Flow, Op, do
from hustlex.core.time import to_ms
from hustlex.errors import Error, Misuse, Unavailable
from hustlex.ratelimit.engine.compiler import Policies
from hustlex.ratelimit.engine.limiter import Limiter
from hustlex.ratelimit.engine.ops import CheckRequest, PendingCheck
from hustlex.ratelimit.engine.receipts import ChargeReceipt
from hustlex.ratelimit.engine.redeem import refund
from hustlex.ratelimit.engine.server_time import ServerTime
from hustlex.ratelimit.types import Decision, Outcome, PolicyState, Source, WrongWindow

T = TypeVar("T")

_TRIES = 3
_log = logger("hustlex.ratelimit")


def aligned(
    make: Callable[[], Op[T | WrongWindow]], server_time: ServerTime, first: WrongWindow | None = None
) -> Flow[T]:
    """Run what ``make`` makes; when the guess was wrong, correct it and repeat. Normally one round trip.

    first: the answer of a run before.
    """
    if first is not None:
        server_time.learn(first.now_ms)
    for _ in range(_TRIES):
        answer = yield from do(make())
        if not isinstance(answer, WrongWindow):
            return answer
        server_time.learn(answer.now_ms)
    raise Unavailable("each reply came more than a window late", hint="the server is overloaded or far away")


def triples(asked: Iterable[tuple[Policies, Id, Id]]) -> list[tuple[Policies, Id, Id]]:
    """What ``check_all`` is asked. Raises Misuse."""
    hint = 'pass a list of policies, identity and endpoint, as [(policy, "u7", "/pay")]'
    check.instance("asked", asked, Iterable, hint=hint)
    found = list(asked)
    for each in found:
        check.instance("what is asked", each, tuple, list, hint=hint)
        if len(each) != 3:
            raise Misuse(f"what is asked has {len(each)} parts", hint=hint)
    return found


def together(limiter: Limiter, calls: Sequence[PendingCheck | Decision]) -> Flow[Decision]:
    """Several callers, each in its own slot, in one write. When one is refused, the others get back what they paid.

    calls: some may have been answered here; when one of these is refused, nothing is pending.
    """
    here = [call for call in calls if isinstance(call, Decision)]
    due = [call for call in calls if isinstance(call, PendingCheck)] if all(here) else []
    answers: list[Any] = (yield Batch(tuple(pending.op for pending in due))) if due else []
    judged: list[Decision] = []
    for pending, answer in zip(due, answers, strict=True):
        if isinstance(answer, WrongWindow):
            answer = yield from _second(limiter, pending.request, answer)
        decision = limiter.failed(pending.request, answer) if isinstance(answer, Error) else answer
        judged.append(limiter.answered(decision) if limiter.alert else decision)
    asked = iter(judged)
    found = [call if isinstance(call, Decision) else next(asked, None) for call in calls]
    decisions = [each for each in found if each is not None]
    merged = merge(decisions)
    if not merged:
        yield from _undo(limiter, [decision for decision in decisions if decision])
    return merged


def _second(limiter: Limiter, request: CheckRequest, first: WrongWindow) -> Flow[Decision | Error]:
    try:
        return (yield from aligned(lambda: limiter.again(request), limiter.server_time, first))
    except Error as error:
        return error


def _undo(limiter: Limiter, paid: Sequence[Decision]) -> Flow[None]:
    """Give back; by id, so that a repeat is harmless. What cannot be given back frees itself with its window."""
    budget_ms = to_ms(limiter.options.timeout)  # the caller is still waiting for its refusal
    due = [replace(op, timeout_ms=budget_ms) for decision in paid for op in refund(limiter, decision)]
    for _ in range(_TRIES):
        if not due:
            return
        answers: list[Any] = yield Batch(tuple(due))
        due = [op for op, answer in zip(due, answers, strict=True) if isinstance(answer, Error)]
    _log.warning("%d refunds were not confirmed", len(due))


def merge(decisions: Sequence[Decision]) -> Decision:
    """One answer of several: refused when one is."""
    refusing = [decision for decision in decisions if not decision]
    order = (Outcome.COST_TOO_LARGE, Outcome.BANNED, Outcome.DENIED, Outcome.DENIED_DEGRADED)
    refusal = min(refusing, key=lambda each: (order.index(each.outcome), -each.retry_after), default=None)
    shown = _tightest(decisions) if refusal is None else refusal
    states = tuple(state for decision in decisions for state in decision.per_policy)
    return Decision(
        not refusing,
        shown.outcome,
        shown.cost,
        shown.source,
        _showing(shown, states),
        parts=() if refusing else tuple(decisions),
    )


def _showing(shown: Decision, states: tuple[PolicyState, ...]) -> ChargeReceipt | None:
    receipt = shown.receipt
    return ChargeReceipt(receipt.request, states) if isinstance(receipt, ChargeReceipt) else None


def _tightest(decisions: Sequence[Decision]) -> Decision:
    """The one whose outcome says most: degraded and shadow-denied before plainly allowed."""
    plain = [each for each in decisions if each.outcome is Outcome.ALLOWED]
    rest = [each for each in decisions if each.source is not Source.EXEMPTION and each not in plain]
    return (rest or plain or list(decisions))[0]
