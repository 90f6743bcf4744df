"""Changing a scheduled task, and removing a queue."""

from __future__ import annotations

from functools import partial
from typing import cast

from hustlex.core import check
from hustlex.core.lua import load
from hustlex.core.op import Effect, Op, Reply, command
from hustlex.errors import Conflict, Misuse
from hustlex.jobs.checks import judged
from hustlex.jobs.enqueue.options import Options, Start, start_text
from hustlex.jobs.inspect.act import MOST_AT_ONCE, acted
from hustlex.jobs.inspect.ops import missing_task
from hustlex.jobs.keys import QUEUES, addressed, queue_keys

_UPDATE = load("hustlex.jobs", "inspect/update_task")
_RESCHEDULE = load("hustlex.jobs", "inspect/reschedule")
_DELETE_QUEUE = load("hustlex.jobs", "inspect/delete_queue")
_CHANGED = -4


def message(queue: str, task_id: str) -> Op[bytes]:
    """A task as stored. Raises NotFound."""
    key = queue_keys(queue).task(task_id)
    found = partial(_found, queue, task_id)
    return command("jobs.message", Effect.READ, "HGET", key, "msg", keys=(key,), decode=found)


def _found(queue: str, task_id: str, reply: Reply) -> bytes:
    if reply is None:
        raise missing_task(queue, task_id)
    return bytes(reply)


def update(queue: str, task_id: str, was: bytes, becomes: bytes) -> Op[bool]:
    """False: the message is not what it was. Raises NotFound, Conflict (not scheduled)."""
    return _UPDATE.op((queue_keys(queue).task(task_id),), (was, becomes), partial(_updated, queue, task_id))


def _updated(queue: str, task_id: str, reply: Reply) -> bool:
    if reply[0] == _CHANGED:
        return False
    acted(queue, task_id, {-1: "is not scheduled"}, reply)
    return True


def reschedule(queue: str, task_id: str, options: Start, now_ms: int) -> Op[None]:
    """options: process_in or process_at. Raises NotFound, Conflict (neither scheduled nor to be retried), Misuse."""
    start = judged(options)
    if len(start.keys() & Start.__annotations__.keys()) != 1 or len(start) != 1:
        raise Misuse("reschedule needs process_in or process_at")
    q, task_id = queue_keys(queue), addressed("task_id", task_id)
    reasons = {-1: "is neither scheduled nor to be retried"}
    args = (now_ms, task_id, q.prefix, start_text(cast("Options", start)))
    return _RESCHEDULE.op((q.task(task_id),), args, partial(acted, queue, task_id, reasons))


def delete_queue(queue: str, force: bool, now_ms: int) -> Op[int]:
    """Up to 500 tasks away; answers how many are left, 0: the queue is gone. Raises Conflict."""
    q = queue_keys(queue)
    check.flag("force", force)
    keys = (q.paused, q.active, q.groups, q.aggregation_sets)
    return _DELETE_QUEUE.op(keys, (now_ms, q.prefix, int(force), MOST_AT_ONCE), partial(_left, queue))


def _left(queue: str, reply: Reply) -> int:
    if reply[0] == -1:
        raise Conflict(f"queue {queue!r} is not empty", hint="force=True deletes its tasks with it")
    if reply[0] == -2:
        raise Conflict(f"queue {queue!r} has active tasks", hint="stop its workers first")
    return int(reply[1])


def forget_queue(queue: str) -> Op[int]:
    """Take a queue off the list that tools show."""
    return command("jobs.forget_queue", Effect.IDEMPOTENT, "SREM", QUEUES, queue, keys=(QUEUES,), decode=int)
