"""Keeping queues in order: moving what is due, giving back what died, deleting what is over."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Op, Reply
from hustlex.jobs.keys import QueueKeys, due, owners
from hustlex.jobs.lease.record import QueueMeasure

_PEEK = load("hustlex.jobs", "lease/peek")
_FORWARD = load("hustlex.jobs", "lease/forward")
_SWEEP = load("hustlex.jobs", "lease/sweep")
_RECOVER = load("hustlex.jobs", "lease/recover")
_CLAIM = load("hustlex.jobs", "lease/claim")
_MEND = load("hustlex.jobs", "lease/mend")
_RECLAIM = load("hustlex.jobs", "lease/reclaim")


class Outlook(msgspec.Struct, frozen=True, gc=False):
    """What a queue will need next. Scores are Unix seconds, the lowest of their set; -1 = nothing waits."""

    now_ms: int
    scheduled: int
    retry: int
    exact_ms: int
    """When the first task that hustlex scheduled is due, Unix milliseconds."""
    completed: int
    owner: int
    """When the first of our servers that hold tasks here counts as dead."""
    lease: int
    aggregation_set: int
    pending: int
    """How many tasks."""
    unleased: int
    """How many tasks in active have no lease."""
    groups: int
    """How many have tasks that wait for aggregation."""
    measure: QueueMeasure | None = None
    """More of it, when that was asked for."""
    open_steps: bool = False
    """Whether workflows have open steps, in whatever queue, when that was asked for."""

    @property
    def due_ms(self) -> int:
        """When the next scheduled or retried task is due, Unix milliseconds, -1 = none."""
        return min((at for at in (self.scheduled * 1000, self.retry * 1000, self.exact_ms) if at >= 0), default=-1)


class Forwarded(msgspec.Struct, frozen=True, gc=False):
    """moved: 0 to 300. due_ms: when the next task is due, Unix milliseconds, -1 = none; not after now: call again."""

    moved: int
    due_ms: int
    now_ms: int


def peek(queues: Sequence[QueueKeys], now_ms: int, *, measure: bool = False, steps: str = "") -> Op[list[Outlook]]:
    """Look at some queues; in a cluster at one, because each lives in a slot of its own.

    measure: tell more of each. steps: the key of workflows' open steps, "" = they are not looked at.
    """
    keys = [
        key
        for queue in queues
        for key in (
            queue.scheduled,
            queue.retry,
            due(queue),
            queue.completed,
            owners(queue),
            queue.lease,
            queue.aggregation_sets,
            queue.pending,
            queue.active,
            queue.groups,
            queue.processed,
            queue.failed,
        )
    ]
    if steps:
        keys.append(steps)
    return _PEEK.op(tuple(keys), (now_ms, int(measure)), _measured if measure else _outlooks)


def _outlooks(reply: Reply) -> list[Outlook]:
    return [Outlook(*(reply[1], *reply[i : i + 10], None, reply[0] == 1)) for i in range(2, len(reply), 10)]


def _measured(reply: Reply) -> list[Outlook]:
    starts = range(2, len(reply), 14)
    measures = [QueueMeasure(*map(int, reply[i + 10 : i + 14])) for i in starts]
    seen = zip(starts, measures, strict=True)
    return [Outlook(*(reply[1], *reply[i : i + 10], measure, reply[0] == 1)) for i, measure in seen]


def forward(queue: QueueKeys, now_ms: int) -> Op[Forwarded]:
    """Make scheduled and retried tasks that are due pending, 100 of each."""
    keys = (queue.scheduled, queue.retry, due(queue), queue.pending, queue.groups)
    return _FORWARD.op(keys, (now_ms, queue.prefix), lambda reply: Forwarded(reply[1], reply[2], reply[3]))


def sweep(queue: QueueKeys, now_ms: int) -> Op[int]:
    """Delete up to 100 completed tasks whose retention is over; answers how many."""
    return _SWEEP.op((queue.completed,), (now_ms, queue.task_prefix), int)


def recover(queue: QueueKeys, now_ms: int) -> Op[list[bytes]]:
    """Give back the tasks of servers of ours that died; answers their ids. No retry is counted."""
    keys = (queue.active, queue.lease, queue.pending, owners(queue))
    return _RECOVER.op(keys, (now_ms, queue.task_prefix), list)


def claim(queue: QueueKeys, holder: str, now_ms: int) -> Op[list[tuple[bytes, bytes]]]:
    """Take over up to 100 tasks whose lease ended 30 s ago: pairs of id and message, leased to this holder for 30 s."""
    return _CLAIM.op((queue.active, queue.lease), (now_ms, queue.task_prefix, holder), _pairs)


def _pairs(reply: Reply) -> list[tuple[bytes, bytes]]:
    return list(zip(reply[::2], reply[1::2], strict=True))


def mend(queue: QueueKeys, now_ms: int) -> Op[int]:
    """Give tasks in active that have no lease one that has ended; answers how many."""
    return _MEND.op((queue.active, queue.lease), (now_ms, queue.task_prefix), int)


def reclaim(queue: QueueKeys, now_ms: int) -> Op[int]:
    """Put the tasks of stale aggregation sets back into their groups; answers how many sets, 100 at most."""
    return _RECLAIM.op((queue.aggregation_sets, queue.groups), (now_ms, queue.group_prefix), int)
