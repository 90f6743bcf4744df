"""Which queues there are, and where a task is."""

from __future__ import annotations

from hustlex.core import check
from hustlex.core.cursor import strange
from hustlex.core.op import Effect, Op, Reply, command
from hustlex.jobs.keys import QUEUES, queue_keys
from hustlex.jobs.types import State

_LARGEST_PAGE = 1_000
_LONGEST_CURSOR = 20


def queues() -> Op[list[str]]:
    """Every queue that ever got a task, in order."""
    return command("jobs.queues", Effect.READ, "SMEMBERS", QUEUES, keys=(QUEUES,), decode=_names)


def clustered() -> Op[bool]:
    """Whether the server is part of a cluster."""
    return command("jobs.clustered", Effect.READ, "INFO", "cluster", decode=lambda reply: b"cluster_enabled:1" in reply)


def is_known(queue: str) -> Op[bool]:
    """Whether the queue ever got a task."""
    return command("jobs.is_known", Effect.READ, "SISMEMBER", QUEUES, queue, keys=(QUEUES,), decode=bool)


def state(name: str, task_id: str) -> Op[State | None]:
    """Where a task is. None: the queue knows none of this id."""
    key = queue_keys(name).task(task_id)
    return command("jobs.state", Effect.READ, "HGET", key, "state", keys=(key,), decode=_state)


def _state(reply: Reply) -> State | None:
    return State(reply.decode()) if reply else None


def page_size(size: int) -> int:
    """Raises Misuse unless it is 1 to 1000."""
    return check.whole("size", size, 1, _LARGEST_PAGE)


def scan_cursor(cursor: str) -> str:
    """As SSCAN, HSCAN and ZSCAN have it: what stays in the set is on some page, and on two only when the set shrinks to
    a small part of itself meanwhile. Raises Misuse."""
    check.text("cursor", cursor, blank=True)
    digits = cursor.isascii() and cursor.isdecimal() and len(cursor) <= _LONGEST_CURSOR
    if cursor and not (digits and int(cursor) < 2**64):
        raise strange()
    return cursor or "0"


def _names(reply: Reply) -> list[str]:
    """Without blank ones, which no queue can have, whoever wrote them."""
    names = (name.decode("utf-8", "replace") for name in reply)
    return sorted(name for name in names if name.strip())
