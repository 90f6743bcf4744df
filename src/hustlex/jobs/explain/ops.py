"""All that one queue knows of one task."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Op, Reply
from hustlex.jobs.keys import addressed, parked, queue_keys, step_record
from hustlex.jobs.types import State
from hustlex.jobs.wire import TaskMessage, WireError, decode_task
from hustlex.jobs.workflow.plan import StepName, names

_EXPLAIN = load("hustlex.jobs", "explain/explain")
_LOCATE = load("hustlex.jobs", "explain/locate")

DEEP = 1_000
"""How many pending tasks are looked at to find one's place."""
_LONGEST_NUMBER = 30


class TaskFacts(msgspec.Struct, frozen=True):
    """What one queue knows of one task."""

    now_ms: int
    paused: bool
    parked: bool
    state: State | None
    """None = no such task."""
    message: TaskMessage | None
    """None also when it cannot be read."""
    holder: str
    """``<server id>:<number>``."""
    crashes: int
    parked_at: int
    """Unix second since when workers put it off because none knows its type, 0 = they do not."""
    score: float | None
    """Unix second of its next start, or of its lease's end; None = neither."""
    ahead: int
    """Tasks in pending before it, -1 = 1,000 or more."""
    size: int
    """Of its group, when it waits in one."""
    lock_holder: str | None
    """"" = its lock is free; None = it has none."""
    lock_ms: int
    phase: str
    """Of a workflow's step, "" = it is none."""
    why: str
    after: tuple[StepName, ...]
    """The steps before it."""
    got: tuple[bool, ...]
    """Which of them have succeeded."""
    pending_since: float | None
    """Unix second since when it is pending, None = it is not."""

    @property
    def found(self) -> bool:
        """Whether the queue knows anything of the task."""
        return self.state is not None or self.parked or bool(self.phase)


def facts(queue: str, task_id: str, now_ms: int) -> Op[TaskFacts]:
    """Look at one task of one queue. Cost: up to 1,000 pending ids are compared, as many however long the queue is."""
    q, task_id = queue_keys(queue), addressed("task_id", task_id)
    keys = (q.task(task_id), step_record(q, task_id), q.pending, q.lease, q.paused, parked(q))
    return _EXPLAIN.op(keys, (now_ms, task_id, q.prefix, DEEP), _facts)


def locate(queues: Sequence[str], task_id: str) -> Op[list[str]]:
    """Which of these queues know the task; in a cluster one is asked."""
    plain, keys = addressed("task_id", task_id), list[str]()
    for q in map(queue_keys, queues):
        keys += (q.task(plain), step_record(q, plain), parked(q))
    return _LOCATE.op(tuple(keys), (plain,), lambda reply: [queues[number] for number in reply[1:]])


def _facts(reply: Reply) -> TaskFacts:
    _, now_ms, paused, is_parked, state, message, owner, crashes, parked_at, score, ahead, size, *rest = reply
    lock, holder, lock_ms, phase, why, after, got, pending_since = rest
    return TaskFacts(
        now_ms,
        bool(paused),
        bool(is_parked),
        State(_text(state)) if state else None,
        _readable(message),
        _text(owner),
        int(crashes or 0),
        int(parked_at or 0),
        float(score) if score else None,
        int(ahead or 0),
        int(size or 0),
        _text(holder) if lock else None,
        max(0, int(lock_ms or 0)),
        _text(phase),
        _text(why),
        tuple(names(after)),
        tuple(letter == ord("1") for letter in got),
        int(pending_since) / 1e9 if pending_since.isdigit() and len(pending_since) < _LONGEST_NUMBER else None,
    )


def _readable(message: bytes) -> TaskMessage | None:
    try:
        return decode_task(message) if message else None
    except WireError:
        return None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
