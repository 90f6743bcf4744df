"""Which queues there are, and where a task is."""

from __future__ import annotations

from hustlex.core import check
from hustlex.core.op import Effect, Op, Reply, command
from hustlex.jobs.keys import QUEUES, queue_keys
from hustlex.jobs.types import State

_LAST_PAGE = 10**9
_LARGEST_PAGE = 1_000


def queues() -> Op[list[str]]:
    """Every queue that ever got a task, in order."""
    return command("jobs.queues", Effect.READ, "SMEMBERS", QUEUES, keys=(QUEUES,), decode=_names)


def is_known(queue: str) -> Op[bool]:
    """Whether the queue ever got a task."""
    return command("jobs.is_known", Effect.READ, "SISMEMBER", QUEUES, queue, keys=(QUEUES,), decode=bool)


def state(name: str, task_id: str) -> Op[State | None]:
    """Where a task is. None: the queue knows none of this id."""
    key = queue_keys(name).task(task_id)
    return command("jobs.state", Effect.READ, "HGET", key, "state", keys=(key,), decode=_state)


def _state(reply: Reply) -> State | None:
    return State(reply.decode()) if reply else None


def check_page(page: int, size: int) -> None:
    """Raises Misuse unless page is at least 1 and size 1 to 1000."""
    check.whole("page", page, 1, _LAST_PAGE)
    check.whole("size", size, 1, _LARGEST_PAGE)


def _names(reply: Reply) -> list[str]:
    return sorted(name.decode("utf-8", "replace") for name in reply)
