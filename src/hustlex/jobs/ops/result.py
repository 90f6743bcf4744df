"""The result a handler leaves on its task."""

from __future__ import annotations

from hustlex.core.lua import load
from hustlex.core.op import Op, Reply
from hustlex.jobs.keys import queue_keys

_WRITE = load("hustlex.jobs", "write_result")


def write_result(queue: str, task_id: str, data: bytes) -> Op[bool]:
    """Put bytes into the task's ``result``; False when the task is not active (any more)."""
    return _WRITE.op((queue_keys(queue).task(task_id),), (data,), _kept)


def _kept(reply: Reply) -> bool:
    return bool(reply[0] == 1)
