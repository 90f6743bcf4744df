"""Deletes completed tasks whose retention is over, and puts stale aggregation sets back into their groups."""

from __future__ import annotations

from collections.abc import Sequence

from hustlex.core.op import AsyncDriver
from hustlex.jobs.lease import maintain
from hustlex.worker.clock import WorkerClock
from hustlex.worker.queue_state import QueueState
from hustlex.worker.service import FOREVER, Service

_BATCH = 100


class Janitor(Service):
    """Works on the queues that ``plan`` names."""

    name = "janitor"

    def __init__(self, driver: AsyncDriver, queues: Sequence[QueueState], clock: WorkerClock) -> None:
        super().__init__()
        self._driver = driver
        self._clock = clock
        self._dirty = set(queues)

    def plan(self, queue: QueueState) -> None:
        """This queue has something to clear away."""
        self._dirty.add(queue)
        self.wake()

    async def tick(self) -> float:
        """Clear away what is over."""
        for queue in list(self._dirty):
            for clear in (maintain.sweep, maintain.reclaim):
                while await self._driver.run(clear(queue.keys, self._clock.for_script())) == _BATCH:
                    pass
            self._dirty.discard(queue)
        return FOREVER
