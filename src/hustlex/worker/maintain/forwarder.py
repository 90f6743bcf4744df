"""Makes scheduled and retried tasks pending at the moment they are due."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hustlex.core.op import AsyncDriver
from hustlex.jobs.lease import maintain
from hustlex.worker.clock import WorkerClock
from hustlex.worker.queue_state import QueueState
from hustlex.worker.service import FOREVER, Service

_MARGIN_S = 0.001
"""Wake a little after the due time: the server's clock, not ours, decides whether it has come."""
_PACE_S = 0.004
"""Between two passes, so that tasks which are due one soon after the other are moved together."""


class Forwarder(Service):
    """Sleeps until the next task of any queue is due; ``plan`` tells it what others have scheduled."""

    name = "forwarder"

    def __init__(
        self, driver: AsyncDriver, queues: Sequence[QueueState], clock: WorkerClock, woken: Callable[[], None]
    ) -> None:
        super().__init__()
        self._driver = driver
        self._clock = clock
        self._woken = woken
        self._due: dict[QueueState, int] = dict.fromkeys(queues, 0)

    def plan(self, queue: QueueState, due_ms: int) -> None:
        """The next task of this queue is due at this Unix millisecond; 0 = perhaps now; -1 = none."""
        if due_ms >= 0 and not 0 <= self._due[queue] <= due_ms:
            self._due[queue] = due_ms
            self.wake()

    async def tick(self) -> float:
        """Forward what is due."""
        for queue in self._due:
            due_ms = self._due[queue]
            while 0 <= due_ms <= self._clock.now_ms():
                due_ms = await self._forward(queue)
        now_ms = self._clock.now_ms()
        waits = [due_ms - now_ms for due_ms in self._due.values() if due_ms >= 0]
        return max(_PACE_S, min(waits) / 1000 + _MARGIN_S) if waits else FOREVER

    async def _forward(self, queue: QueueState) -> int:
        """One call; answers when the next task is due if it was due already, else -1."""
        planned = self._due[queue]
        self._due[queue] = -1  # whatever is planned during the call may be later than its answer
        try:
            answer = await self._driver.run(maintain.forward(queue.keys, self._clock.for_script()))
        except BaseException:
            self._due[queue] = planned
            raise
        known_ms = self._due[queue]
        self._due[queue] = min((at for at in (answer.due_ms, known_ms) if at >= 0), default=-1)
        if answer.moved:
            queue.wake()
            self._woken()
        return answer.due_ms if answer.due_ms <= answer.now_ms else -1
