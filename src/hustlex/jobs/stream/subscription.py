"""Following a job while it runs: it listens for what others do. See ``Jobs.follow``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Any

from hustlex.core.follower import Ask, Listen
from hustlex.core.follower.aio import listened
from hustlex.core.op import AsyncDriver, Message
from hustlex.jobs.keys import addressed, stream
from hustlex.jobs.stream import ops
from hustlex.jobs.stream.items import order
from hustlex.jobs.stream.trail import Trail
from hustlex.jobs.stream.types import Item
from hustlex.jobs.types import Enqueued
from hustlex.jobs.workflow.plan import StepName

_POLL_S = 1.0


class _JobCursor:
    """Reads a job's stream: each item is announced by its position, and the task is looked at once a second."""

    def __init__(self, queue: str, task_id: str, since: str) -> None:
        self._queue = queue
        self._task_id = task_id
        self._trail = Trail(since)
        self._behind = True
        self.channel = stream(queue, task_id)

    @property
    def over(self) -> bool:
        return self._trail.over

    @property
    def caught_up(self) -> bool:
        return not self._behind

    def step(self) -> Ask[Item] | Listen[Item]:
        if self._behind:
            return Ask(ops.glance(self._queue, self._task_id, self._trail.position), self._read)
        return Listen(self._hear, _POLL_S)

    def _read(self, seen: ops.Glance) -> Iterable[Item]:
        yield from self._trail.read(seen)
        self._behind = self._trail.more

    def _hear(self, message: Message | None) -> Iterable[Item]:
        last = "" if message is None or message.gap else message.data.decode("ascii", "replace")
        self._behind = not last or order(last) > order(self._trail.position)
        return ()

    def lost(self) -> None:
        self._behind = True


def follow(
    driver: AsyncDriver, task: str | Enqueued[Any] | StepName, queue: str, since: str
) -> AsyncGenerator[Item, None]:
    """What a job tells, until it ends."""
    if isinstance(task, Enqueued | StepName):
        cursor = _JobCursor(task.queue, task.id, since)
    else:
        cursor = _JobCursor(queue, addressed("task", task), since)
    return listened(driver, cursor, cursor.channel)
