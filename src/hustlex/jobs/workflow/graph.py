"""A workflow as it stands: its steps, where each is, and which of them wait for which."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Batch, Flow, Op, Reply
from hustlex.errors import Error, NotFound
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.types import State
from hustlex.jobs.wire import TaskMessage, WireError, decode_task
from hustlex.jobs.workflow.plan import StepName, links, names

_SHOW = load("hustlex.jobs", "workflow/show_steps")

MOST_SHOWN = 200
"""Steps in one look: from a position that is a multiple of it."""
_MOST_QUEUES = 40
_MOST_BYTES = 8_192
"""Of a message; of a larger one type and error are not told."""
_ROW = 9
_LONGEST_POSITION = 4


class StepStatus(enum.StrEnum):
    """Where a step is: as its task, and ORPHANED: its worker died or hangs; it will be recovered.

    WAITING: for steps before it. NEVER: it can never start. LOST: its task was deleted while others waited for it.
    ENDED: it is over, and nothing tells how.
    """

    WAITING = "waiting"
    PENDING = "pending"
    ACTIVE = "active"
    ORPHANED = "orphaned"
    SCHEDULED = "scheduled"
    RETRY = "retry"
    ARCHIVED = "archived"
    COMPLETED = "completed"
    AGGREGATING = "aggregating"
    NEVER = "never"
    LOST = "lost"
    ENDED = "ended"


class WorkflowStep(msgspec.Struct, frozen=True):
    """A step of a workflow at one instant. Its repr hides why: errors may hold personal data."""

    name: StepName
    """Of its task."""
    position: int
    """From 0, in the order of ``Workflow.steps``."""
    status: StepStatus
    """Where it is."""
    type: str
    """Of its task, "" = nothing tells it."""
    why: str
    """Error of its last attempt, or why it can never start; "" = neither."""
    retried: int
    """Attempts repeated because they failed."""
    after: tuple[StepName, ...]
    """The steps it waits for, or did, as far as they are among those shown."""

    def __repr__(self) -> str:
        return f"WorkflowStep({self.name!r}, {self.status.value!r})"


class WorkflowGraph(msgspec.Struct, frozen=True):
    """Steps of a workflow, by position; those that ended and left nothing are missing where nobody waited for them."""

    id: str
    """Of the workflow."""
    steps: tuple[WorkflowStep, ...]
    """By position."""
    beyond: tuple[StepName, ...]
    """Steps linked to these that are not shown: before the first position, or 200 behind it."""


class _StepFound(msgspec.Struct, frozen=True):
    """What a queue has of a step. phase: "" = no record. got: of those before it, who has succeeded."""

    name: StepName
    phase: str = ""
    why: str = ""
    after: tuple[StepName, ...] = ()
    then: tuple[StepName, ...] = ()
    got: tuple[bool, ...] = ()
    state: State | None = None
    over: bool = False
    message: TaskMessage | None = None

    @property
    def released(self) -> bool:
        """Whether all before it have succeeded."""
        return self.phase in ("runs", "over") or (not self.phase and self.state is not None)


def show(queue: str, step_id: str, queues: Collection[str] | None, now_ms: int) -> Flow[WorkflowGraph]:
    """One call in each queue that has steps of it, 40 at most. queues: None = all. Raises NotFound."""
    workflow_id, _, position = step_id.rpartition(":")
    if not (workflow_id and position.isascii() and position.isdecimal() and len(position) <= _LONGEST_POSITION):
        raise _missing(step_id)
    first = int(position) // MOST_SHOWN * MOST_SHOWN
    found = yield from _find(queue, workflow_id, first, queues, now_ms)
    if not any(each.phase for each in found.values()):
        raise _missing(step_id)
    linked = {name for each in found.values() for name in (*each.after, *each.then) if _seen(name, queues)}
    shown = {name for name in linked if first <= _position(name) < first + MOST_SHOWN} | found.keys()
    beyond = tuple(sorted(linked - shown, key=_position))
    return WorkflowGraph(workflow_id, _steps({name: found.get(name, _StepFound(name)) for name in shown}), beyond)


def _missing(step_id: str) -> NotFound:
    return NotFound(f"no workflow with a step {step_id!r} is known", hint="it has ended, or there never was one")


def _find(
    queue: str, workflow_id: str, first: int, queues: Collection[str] | None, now_ms: int
) -> Flow[dict[StepName, _StepFound]]:
    """Links tell of further queues."""
    found: dict[StepName, _StepFound] = {}
    ahead, looked = [queue], set[str]()
    while ahead and len(looked) < _MOST_QUEUES:
        ahead = ahead[: _MOST_QUEUES - len(looked)]
        answers = yield Batch(tuple(_look(name, workflow_id, first, now_ms) for name in ahead))
        for answer in answers:
            if isinstance(answer, Error):
                raise answer
            found.update((each.name, each) for each in answer)
        looked.update(ahead)
        linked = {name for each in found.values() for name in (*each.after, *each.then)}
        ahead = sorted({name.queue for name in linked if _seen(name, queues)} - looked)
    return found


def _seen(name: StepName, queues: Collection[str] | None) -> bool:
    return queues is None or name.queue in queues


def _look(queue: str, workflow_id: str, first: int, now_ms: int) -> Op[list[_StepFound]]:
    q = queue_keys(queue)
    args = (now_ms, q.prefix, workflow_id, first, first + MOST_SHOWN - 1, _MOST_BYTES)
    return _SHOW.op((q.lease,), args, lambda reply: _rows(queue, workflow_id, reply))


def _rows(queue: str, workflow_id: str, reply: Reply) -> list[_StepFound]:
    rows = (reply[n : n + _ROW] for n in range(1, len(reply), _ROW))
    return [
        _StepFound(
            StepName(queue, f"{workflow_id}:{position}"),
            phase.decode(),
            why.decode("utf-8", "replace"),
            tuple(names(after)),
            tuple(StepName(link.queue, link.id) for link in links(then)),
            tuple(letter == ord("1") for letter in got),
            State(state.decode()) if state else None,
            bool(over),
            _readable(message),
        )
        for position, phase, why, after, then, got, state, over, message in rows
    ]


def _readable(message: bytes) -> TaskMessage | None:
    try:
        return decode_task(message) if message else None
    except WireError:
        return None


def _position(name: StepName) -> int:
    return int(name.id.rpartition(":")[2])


def _steps(found: dict[StepName, _StepFound]) -> tuple[WorkflowStep, ...]:
    """By position, each with those before it."""
    after: dict[StepName, set[StepName]] = {name: set() for name in found}
    for each in found.values():
        after[each.name].update(before for before in each.after if before in found)
        for behind in each.then:
            if behind in found:
                after[behind].add(each.name)
    succeeded = set(_succeeded(found, after))
    ordered = sorted(found.values(), key=lambda each: _position(each.name))
    return tuple(
        WorkflowStep(
            each.name,
            _position(each.name),
            _status(each, each.name in succeeded),
            each.message.type if each.message else "",
            each.why or (each.message.error_msg if each.message else ""),
            each.message.retried if each.message else 0,
            tuple(sorted(after[each.name], key=_position)),
        )
        for each in ordered
    )


def _succeeded(found: dict[StepName, _StepFound], after: dict[StepName, set[StepName]]) -> Iterable[StepName]:
    """Steps of whose success those behind them know."""
    for each in found.values():
        if each.released:
            yield from after[each.name]
        else:
            yield from (name for name, got in zip(each.after, each.got, strict=False) if got)


def _status(step: _StepFound, succeeded: bool) -> StepStatus:
    if step.state is not None:
        return StepStatus.ORPHANED if step.over else StepStatus(step.state.value)
    if step.phase == "waits":
        return StepStatus.WAITING
    if step.phase == "broken":
        return StepStatus.NEVER
    if succeeded:
        return StepStatus.COMPLETED
    return StepStatus.LOST if step.phase == "runs" else StepStatus.ENDED
