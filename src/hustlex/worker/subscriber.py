"""Listens for cancellations: a bare task id on Asynq's channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hustlex.core.op import AsyncDriver
from hustlex.jobs.keys import CANCEL
from hustlex.worker.clock import WorkerClock
from hustlex.worker.fates import Canceled
from hustlex.worker.service import Service
from hustlex.worker.source import Source


class Subscriber(Service):
    """Best effort, as in Asynq: what is published while the link is broken is missed."""

    name = "subscriber"
    interruptible = True

    def __init__(
        self, driver: AsyncDriver, sources: Sequence[Source], clock: WorkerClock, stopped: Callable[[], None]
    ) -> None:
        super().__init__()
        self._driver = driver
        self._sources = sources
        self._clock = clock
        self._stopped = stopped

    async def tick(self) -> float:
        """Listen until the subscription ends."""
        async with self._driver.subscribe(CANCEL) as messages:
            self.recovered()
            async for message in messages:
                if not message.gap:
                    self.cancel(message.data)
        return 0

    def cancel(self, task_id: bytes) -> None:
        """Cancel this task in every queue where it is held, also when it has not started yet."""
        for source in self._sources:
            job = source.held.get(task_id)
            if job is not None:
                job.stop(Canceled(), self._clock.now_ms())
                self._stopped()
