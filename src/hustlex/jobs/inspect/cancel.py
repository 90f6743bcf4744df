"""Cancelling: find the task, forbid it, and tell whoever runs it."""

from __future__ import annotations

from typing import Any

import msgspec

from hustlex.core.op import Batch, Flow, Sleep, do
from hustlex.errors import Conflict, Error
from hustlex.jobs import lookup
from hustlex.jobs.inspect import act
from hustlex.jobs.inspect.types import Cancellation, NeverRuns, Stopping, TooLate
from hustlex.jobs.types import State
from hustlex.jobs.workflow import ops as steps
from hustlex.jobs.workflow.plan import StepName

CANCELED = "canceled"
"""Why a step can never start that was cancelled before."""
_TRIES = 20
_PAUSE_S = 0.05
_ENDED = (State.COMPLETED, State.ARCHIVED, None)


def cancel(task_id: str, queue: str | None, now_ms: int) -> Flow[Cancellation]:
    """queue: None = look in all. Raises Conflict when several have it, or when it is on its way all the time."""
    known = queue if queue is not None else (yield from _find(task_id))
    if known is None:
        waiting = yield from _find_step(task_id)
        return TooLate(task_id, "", None) if waiting is None else (yield from cancel(task_id, waiting, now_ms))
    for _ in range(_TRIES):
        answer = yield from do(act.forbid(known, task_id, now_ms))
        if isinstance(answer, Stopping):
            heard = yield from act.cancel(task_id)
            return msgspec.structs.replace(answer, heard=heard)
        if isinstance(answer, TooLate) and answer.state is None:
            answer = yield from _never_starts(answer)
        if answer is not None:
            return answer
        yield Sleep(_PAUSE_S)
    raise Conflict(f"task {task_id!r} is not where its state says", hint="cancel it again")


def _never_starts(unknown: TooLate) -> Flow[Cancellation | None]:
    """A task that its queue does not know may be a step that waits for others; None: look again, it starts just now."""
    step = StepName(unknown.queue, unknown.id)
    if (yield from do(steps.break_step(step, CANCELED))):
        return NeverRuns(unknown.id, unknown.queue, None)
    (look,) = yield from do(steps.look([step]))
    return None if look.state is not None else unknown


def _find_step(task_id: str) -> Flow[str | None]:
    """The queue of a step that has not started."""
    queues = yield from do(lookup.queues())
    looks = tuple(steps.look([StepName(queue, task_id)]) for queue in queues)
    answers: list[Any] = (yield Batch(looks)) if looks else []
    found = [
        queue
        for queue, answer in zip(queues, answers, strict=True)
        if not isinstance(answer, Error) and answer[0].phase in ("waits", "broken")
    ]
    return found[0] if found else None


def _find(task_id: str) -> Flow[str | None]:
    """The one queue with an unfinished task of this id, else one with a finished one."""
    queues = yield from do(lookup.queues())
    answers: list[Any] = (yield Batch(tuple(lookup.state(queue, task_id) for queue in queues))) if queues else []
    for answer in answers:
        if isinstance(answer, Error):
            raise answer
    found = {queue: state for queue, state in zip(queues, answers, strict=True) if state is not None}
    unfinished = [queue for queue, state in found.items() if state not in _ENDED]
    if len(unfinished) > 1:
        raise Conflict(f"{len(unfinished)} queues have unfinished tasks of this id", hint="name one, with queue=...")
    return next(iter(unfinished or found), None)
