"""Ends attempts that take too long: one sweep over the handlers that wait, no timer per job."""

from __future__ import annotations

from hustlex.worker.attempt_errors import DeadlineExceeded
from hustlex.worker.clock import WorkerClock
from hustlex.worker.execute.executor import Executor
from hustlex.worker.execute.handlers import PATIENCE_MS
from hustlex.worker.queue_state import LeasedTask
from hustlex.worker.service import FOREVER, Service

_FINEST_S = 0.02


class Deadlines(Service):
    """Cancels handlers at their deadline, and settles those that do not end when they are told to stop."""

    name = "deadlines"

    def __init__(self, executor: Executor, clock: WorkerClock) -> None:
        super().__init__()
        self._executor = executor
        self._clock = clock
        self._next_ms = 0

    def watch(self, job: LeasedTask) -> None:
        """A handler began to wait: make sure that the next sweep comes in time."""
        if job.deadline_ms < self._next_ms:
            self.wake()

    async def tick(self) -> float:
        """Sweep once."""
        now_ms = self._clock.now_ms()
        nearest: int | None = None
        for job in list(self._executor.waiting):
            if job.fate is None and job.deadline_ms <= now_ms:
                job.stop(DeadlineExceeded(), now_ms)
            if job.fate is not None and job.give_up_ms <= now_ms:
                self._executor.give_up(job)
            elif not job.settled:
                at = self._look_ms(job, now_ms)
                nearest = at if nearest is None else min(nearest, at)
        self._next_ms = nearest if nearest is not None else 1 << 62
        return FOREVER if nearest is None else max(_FINEST_S, (nearest - now_ms) / 1000)

    def _look_ms(self, job: LeasedTask, now_ms: int) -> int:
        """When to look again; a cancelled thread, whose word counts until its deadline, hangs long before."""
        if job.fate is None:
            return job.deadline_ms
        if job in self._executor.hung:
            return job.give_up_ms
        hangs_ms = job.told_ms + PATIENCE_MS
        if hangs_ms > now_ms:
            return min(hangs_ms, job.give_up_ms)
        self._executor.hangs(job)
        return job.give_up_ms
