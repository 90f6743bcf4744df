"""Listens for cancellations, a bare task id on Asynq's channel, for tasks that were scheduled to run first, and for
whoever stops this worker from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hustlex.core.op import AsyncDriver
from hustlex.jobs.keys import CANCEL, due
from hustlex.worker.attempt_errors import Canceled
from hustlex.worker.clock import WorkerClock
from hustlex.worker.queue_state import QueueState
from hustlex.worker.service import Service


class Subscriber(Service):
    """Best effort, as in Asynq: what is published while the link is broken is missed. For due times the queues are
    looked at then.

    plan: told when a task of a queue is due. stopped: called when a task was told to stop. leave: called when this
    worker is told to stop, on the channel ``ours``.
    """

    name = "subscriber"
    interruptible = True

    def __init__(
        self,
        driver: AsyncDriver,
        queues: Sequence[QueueState],
        clock: WorkerClock,
        plan: Callable[[QueueState, int], None],
        stopped: Callable[[], None],
        ours: str,
        leave: Callable[[], None],
    ) -> None:
        super().__init__()
        self._driver = driver
        self._queues = queues
        self._named = {due(queue.keys): queue for queue in queues}
        self._clock = clock
        self._plan = plan
        self._stopped = stopped
        self._ours = ours
        self._leave = leave

    async def tick(self) -> float:
        """Listen until the subscription ends."""
        async with self._driver.subscribe(CANCEL, self._ours, *self._named) as messages:
            self.recovered()
            self._look()
            async for message in messages:
                if message.gap:
                    self._look()
                elif message.channel == CANCEL:
                    self.cancel(message.data)
                elif message.channel == self._ours:
                    self._leave()
                else:
                    self._plan(self._named[message.channel], int(message.data))
        return 0

    def _look(self) -> None:
        """Something may have been missed."""
        for queue in self._queues:
            self._plan(queue, 0)

    def cancel(self, task_id: bytes) -> None:
        """Cancel this task in every queue where it is held, also when it has not started yet."""
        for queue in self._queues:
            job = queue.held.get(task_id)
            if job is not None:
                job.stop(Canceled(), self._clock.now_ms())
                self._stopped()
