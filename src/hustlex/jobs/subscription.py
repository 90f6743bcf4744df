"""Following a job while it runs. Async only: it listens for what others do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from hustlex.core.answer.aio import answering
from hustlex.core.op import Message
from hustlex.jobs import api
from hustlex.jobs.keys import addressed
from hustlex.jobs.ops import result as ops
from hustlex.jobs.options import DEFAULT_QUEUE
from hustlex.jobs.stream import Item, Trail, order
from hustlex.jobs.types import Enqueued
from hustlex.jobs.workflow import StepName

_POLL_S = 1.0


@answering
class Jobs(api.Jobs):
    """The producer's side, and listening to what jobs tell; see ``api.Jobs``."""

    async def follow(
        self, task: str | Enqueued[Any] | StepName, *, queue: str = DEFAULT_QUEUE, since: str = ""
    ) -> AsyncGenerator[Item, None]:
        """What a job tells, from the oldest item kept or from behind ``since``, until it ends.

        task: an id in ``queue``, a handle, or a step.
        Yields Progress, Log and Result as the handler wrote them, and a StateChange when the task moves; the last item
        is one: completed, archived, or gone (None). since: ``position`` of the last item seen, to go on after a break;
        at least the newest 1,000 items are kept, for a day after the last.
        What a Python worker does arrives at once, what others do (Go's workers, operators) within a second.
        Raises NotFound when there is no trace of such a job, Misuse for a bad position, Unavailable when the server
        cannot be reached: go on from the last position then. Close the iterator (``contextlib.aclosing``) when you
        leave before its end.
        """
        trail = Trail(since)
        if isinstance(task, Enqueued | StepName):
            queue, task_id = task.queue, task.id
        else:
            task_id = addressed("task", task)
        async with self._driver.subscribe(ops.stream(queue, task_id)) as bell:
            while True:
                seen = await self._driver.run(ops.glance(queue, task_id, trail.position))
                for item in trail.read(seen):
                    yield item
                if trail.over:
                    return
                if not trail.more:
                    await _rung(bell, trail.position)


async def _rung(bell: AsyncIterator[Message], position: str) -> None:
    """Wait for something newer than this position, or a second."""
    try:
        async with asyncio.timeout(_POLL_S):
            async for message in bell:
                if message.gap or order(message.data.decode("ascii", "replace")) > order(position):
                    return
    except TimeoutError:
        return
