"""Ending an attempt: what becomes of tasks that a worker holds. Calls may be repeated; they answer a byte per task.

A byte is ``1``: done, or ``0``: this holder has the task no more (acknowledged before, or recovered by somebody).
Then nothing was touched. Rows are flat; at most 1000 tasks in one call. day: today in UTC, ``YYYY-MM-DD``.
"""

from __future__ import annotations

from collections.abc import Sequence

from hustlex.core.lua import load
from hustlex.core.op import Arg, Op
from hustlex.jobs.keys import QueueKeys

_DONE = load("hustlex.jobs", "lease/done")
_ANSWER = load("hustlex.jobs", "lease/answer")
_COMPLETE = load("hustlex.jobs", "lease/complete")
_RETRY = load("hustlex.jobs", "lease/retry")
_ARCHIVE = load("hustlex.jobs", "lease/archive")
_REQUEUE = load("hustlex.jobs", "lease/requeue")


def done(queue: QueueKeys, day: str, rows: Sequence[Arg], now_ms: int) -> Op[bytes]:
    """Delete tasks that succeeded, and free their locks. rows: id, holder, lock ("" = none)."""
    keys = (queue.active, queue.lease, queue.processed, queue.processed_on(day))
    return _DONE.op(keys, (now_ms, queue.task_prefix, *rows), bytes)


def answer(queue: QueueKeys, day: str, rows: Sequence[Arg], now_ms: int) -> Op[bytes]:
    """Acknowledge tasks that returned something. rows: as for ``complete``, retention 0 = not kept; and the result."""
    keys = (queue.active, queue.lease, queue.completed, queue.processed, queue.processed_on(day))
    return _ANSWER.op(keys, (now_ms, queue.task_prefix, *rows), bytes)


def drop(queue: QueueKeys, day: str, rows: Sequence[Arg], now_ms: int) -> Op[bytes]:
    """Delete tasks that must not be tried again and are no failures. rows: as for ``answer``, retention -2; and why."""
    return answer(queue, day, rows, now_ms)


def complete(queue: QueueKeys, day: str, rows: Sequence[Arg], now_ms: int) -> Op[bytes]:
    """Keep tasks that succeeded. rows: id, holder, retention in seconds, message, lock ("" = none)."""
    keys = (queue.active, queue.lease, queue.completed, queue.processed, queue.processed_on(day))
    return _COMPLETE.op(keys, (now_ms, queue.task_prefix, *rows), bytes)


def retry(queue: QueueKeys, day: str, rows: Sequence[Arg], now_ms: int) -> Op[bytes]:
    """Try tasks again later. rows: id, holder, delay in ms, message, 1 or 0: whether it was a failure."""
    return _RETRY.op(
        (queue.active, queue.lease, queue.retry, queue.archived, *_failures(queue, day)),
        (now_ms, queue.task_prefix, *rows),
        bytes,
    )


def archive(
    queue: QueueKeys, day: str, rows: Sequence[Arg], now_ms: int, *, most: int = 9_999, age_s: int = 90 * 86_400
) -> Op[bytes]:
    """Give tasks up. rows: id, holder, message. most, age_s: how many archived tasks are kept, and how long."""
    keys = (queue.active, queue.lease, queue.archived, *_failures(queue, day))
    return _ARCHIVE.op(keys, (now_ms, queue.task_prefix, most, age_s, *rows), bytes)


def _failures(queue: QueueKeys, day: str) -> tuple[str, str, str, str]:
    return queue.processed, queue.processed_on(day), queue.failed, queue.failed_on(day)


def requeue(queue: QueueKeys, rows: Sequence[Arg]) -> Op[bytes]:
    """Give tasks back unchanged, to run next, the last row first. rows: id, holder."""
    return _REQUEUE.op((queue.active, queue.lease, queue.pending), (queue.task_prefix, *rows), bytes)
