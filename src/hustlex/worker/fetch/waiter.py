"""Watches an empty queue without polling: a blocked connection that any producer's push wakes at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hustlex.core.op import AsyncDriver
from hustlex.errors import Error, Overloaded
from hustlex.jobs.lease.ops import wait_pending
from hustlex.worker.queue_state import QueueState
from hustlex.worker.service import FOREVER, Service, backoff

_BLOCK_S = 60
_TRIAL_S = 1
"""The first wait after a failure, so that health hears soon of its success."""
_LOOK_S = 1.0


class Waiter(Service):
    """Sleeps while the queue is awake; when it falls asleep, waits for its next task and wakes it.

    A paused queue is looked at every second instead, and one that its limits close when they may let a task through,
    because its tasks would end every wait at once. So is one for which no connection for waiting is left.
    """

    interruptible = True
    slowest_retry_s = 1.0

    def __init__(self, driver: AsyncDriver, queue: QueueState, woken: Callable[[], None]) -> None:
        super().__init__()
        self.name = f"waiter {queue.name}"
        self._driver = driver
        self._queue = queue
        self._woken = woken

    async def tick(self) -> float:
        """One wait."""
        if self._queue.awake:
            return FOREVER
        try:
            if self._queue.paused:
                await asyncio.sleep(_LOOK_S)
            elif self._queue.rest_s:
                await asyncio.sleep(self._queue.rest_s)
            else:
                seconds = _TRIAL_S if self.trouble else _BLOCK_S
                if not await self._driver.block(wait_pending(self._queue.keys, seconds), seconds):
                    return 0
        except Overloaded:  # a worker of more queues than the driver has connections for waiting
            await asyncio.sleep(_LOOK_S)
        except Error:
            await asyncio.sleep(backoff(self._failures + 1, self.slowest_retry_s))
            self._report()  # better to look by polling than not at all
            raise
        self._report()
        return FOREVER

    def watch(self) -> None:
        """The queue fell asleep. One that waits already goes on: rung for, it would look in vain before the lease."""
        if self.resting:
            self.wake()

    def _report(self) -> None:
        self._queue.wake()
        self._woken()
