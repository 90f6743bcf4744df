"""A flow whose writes are waited for."""

from __future__ import annotations

from typing import Any, TypeVar

from hustlex.core.durability.level import MEMORY, Committed, Durability
from hustlex.core.op import Batch, Durable, Effect, Flow, Op, Step
from hustlex.errors import Error, NotDurable

T = TypeVar("T")


def committed(flow: Flow[T], durability: Durability) -> Flow[Committed[T]]:
    """The same flow; each of its writes is waited for, and the answer says whether all got as far as they should."""
    if durability.word == MEMORY:
        value = yield from flow
        return Committed(value, True, False, 0, waited=False)
    found: list[Committed[Any]] = []
    try:
        step = flow.send(None)
        while True:
            try:
                answer = _plain(step, (yield _waiting(step, durability)), found)
            except BaseException as error:  # noqa: BLE001 - the flow decides
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration as stop:
        return _whole(stop.value, found)
    finally:
        flow.close()


def _whole(value: T, found: list[Committed[Any]]) -> Committed[T]:
    reached = all(each.reached for each in found)
    local, replicas = all(each.local for each in found), min((each.replicas for each in found), default=0)
    return Committed(value, reached, local, replicas, waited=bool(found))


def _writes(op: Op[Any]) -> bool:
    return op.effect is not Effect.READ


def _waiting(step: Step, durability: Durability) -> Step:
    """The step to take instead: one that waits, when it writes."""
    if isinstance(step, Op) and _writes(step):
        return Durable((step,), durability)
    if isinstance(step, Batch) and any(map(_writes, step.ops)):
        return Durable(step.ops, durability)
    return step


def _plain(step: Step, answer: Any, found: list[Committed[Any]]) -> Any:
    """The answer that the flow expects. Raises what its only operation failed with."""
    if not (isinstance(step, Op) and _writes(step)) and not isinstance(step, Batch):
        return answer
    found += [each for each in answer if isinstance(each, Committed)]
    values = [each.value if isinstance(each, Committed) else each for each in answer]
    if isinstance(step, Batch):
        return values
    if isinstance(values[0], Error):
        raise values[0]
    return values[0]


def not_durable(durability: Durability, found: Committed[Any]) -> NotDurable:
    """The error of a write that did not get as far as it should."""
    lacking = [] if found.local or not durability.local else ["the server's disk has not answered for it"]
    if found.replicas < durability.copies:
        lacking.append(f"{found.replicas} of {durability.copies} replicas have it")
    message = f"done, but not as safe as {durability.word!r}: {' and '.join(lacking)} after {durability.patience_ms} ms"
    hint = "do not repeat it blindly: look at the replicas, hustlex doctor does"
    error = NotDurable(message, hint=hint)
    error.local, error.replicas, error.answer = found.local, found.replicas, found.value
    return error
