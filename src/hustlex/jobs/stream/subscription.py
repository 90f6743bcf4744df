"""Following a job while it runs: it listens for what others do. See ``Jobs.follow``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from hustlex.core.op import AsyncDriver, Message
from hustlex.jobs.keys import addressed
from hustlex.jobs.stream import ops
from hustlex.jobs.stream.flows import Item, Trail, order
from hustlex.jobs.types import Enqueued
from hustlex.jobs.workflow.plan import StepName

_POLL_S = 1.0


async def follow(
    driver: AsyncDriver, task: str | Enqueued[Any] | StepName, queue: str, since: str
) -> AsyncGenerator[Item, None]:
    """What a job tells, until it ends."""
    trail = Trail(since)
    if isinstance(task, Enqueued | StepName):
        queue, task_id = task.queue, task.id
    else:
        task_id = addressed("task", task)
    async with driver.subscribe(ops.stream(queue, task_id)) as bell:
        while True:
            seen = await driver.run(ops.glance(queue, task_id, trail.position))
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
