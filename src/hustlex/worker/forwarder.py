"""Makes scheduled and retried tasks pending at the moment they are due."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hustlex.core.op import AsyncDriver
from hustlex.jobs.ops import maintain
from hustlex.worker.clock import WorkerClock
from hustlex.worker.service import FOREVER, Service
from hustlex.worker.source import Source

_MARGIN_S = 0.001
"""Wake a little after the due second: the server's clock, not ours, decides whether it has begun."""


class Forwarder(Service):
    """Sleeps until the next task of any queue is due; ``plan`` tells it what others have scheduled."""

    name = "forwarder"

    def __init__(
        self, driver: AsyncDriver, sources: Sequence[Source], clock: WorkerClock, woken: Callable[[], None]
    ) -> None:
        super().__init__()
        self._driver = driver
        self._clock = clock
        self._woken = woken
        self._due: dict[Source, int] = dict.fromkeys(sources, 0)

    def plan(self, source: Source, due_s: int) -> None:
        """The next task of this queue is due at this Unix second; -1 = none."""
        if due_s >= 0 and not 0 <= self._due[source] <= due_s:
            self._due[source] = due_s
            self.wake()

    async def tick(self) -> float:
        """Forward what is due."""
        for source, due_s in self._due.items():
            while 0 <= due_s * 1000 <= self._clock.now_ms():
                due_s = await self._forward(source)
        now_ms = self._clock.now_ms()
        waits = [due_s - now_ms / 1000 for due_s in self._due.values() if due_s >= 0]
        return max(0.0, min(waits)) + _MARGIN_S if waits else FOREVER

    async def _forward(self, source: Source) -> int:
        answer = await self._driver.run(maintain.forward(source.keys, self._clock.for_script()))
        self._due[source] = answer.due
        if answer.moved:
            source.awake = True
            self._woken()
        early = answer.due * 1000 > answer.now_ms
        return -1 if early else answer.due
