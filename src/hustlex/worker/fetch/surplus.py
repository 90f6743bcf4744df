"""Gives back what was leased ahead of free slots when no slot gets free: another worker may be idle."""

from __future__ import annotations

from collections.abc import Sequence

from hustlex.core.op import AsyncDriver
from hustlex.errors import Error
from hustlex.jobs.lease import finish
from hustlex.worker.execute.executor import Executor
from hustlex.worker.fetch.requests import MOST, rows
from hustlex.worker.limits.limiter import PATIENCE_S, TaskLimiter
from hustlex.worker.queue_state import LeasedTask, QueueState
from hustlex.worker.service import FOREVER, Service

_TURNS_PATIENCE_S = 1.0
"""For tasks that are held so that keys can take turns: what is given back and leased again starts its turn anew."""


class Surplus(Service):
    """Asleep while slots are free. ``watch`` wakes it when the last one was taken; from then on it looks by itself,
    a few times a second, because under load the last one is taken thousands of times.

    limiter: None where no task has limits. returning: given back as soon as the server hears of it; settled meanwhile.
    """

    name = "surplus"
    slowest_retry_s = 1.0

    def __init__(
        self, driver: AsyncDriver, queues: Sequence[QueueState], executor: Executor, limiter: TaskLimiter | None
    ) -> None:
        super().__init__()
        self.returning: list[LeasedTask] = []
        self._looks = False
        self._driver = driver
        self._queues = queues
        self._executor = executor
        self._limiter = limiter

    def watch(self) -> None:
        """The last free slot was taken."""
        if self.resting and not self._looks:
            self.wake()

    async def tick(self) -> float:
        """Give back what has waited too long for a slot. What fails is given back at the next pass."""
        if not self.returning:
            stuck_s = self._executor.stuck_s()
            self.returning = self._taken(stuck_s)
            if not self.returning:
                return self._pause(stuck_s)
        for job in self.returning:
            job.settle()
        failed, failure = await give_back(self._driver, self._queues, self.returning)
        self.returning = failed
        if failure is not None:
            raise failure
        return self._pause(self._executor.stuck_s())

    def _taken(self, stuck_s: float) -> list[LeasedTask]:
        jobs = self._executor.recall() if stuck_s >= PATIENCE_S else []
        if self._limiter is not None and stuck_s >= _TURNS_PATIENCE_S:
            jobs += self._limiter.recall()
        return jobs

    def _pause(self, stuck_s: float) -> float:
        self._looks = self._executor.full and stuck_s < _TURNS_PATIENCE_S
        if not self._looks:
            return FOREVER
        return max((PATIENCE_S if stuck_s < PATIENCE_S else _TURNS_PATIENCE_S) - stuck_s, 0.001)


async def give_back(
    driver: AsyncDriver, queues: Sequence[QueueState], jobs: Sequence[LeasedTask]
) -> tuple[list[LeasedTask], Error | None]:
    """Requeue, the one leased first to run first. Those that could not be given back, and why; they stay held."""
    given, failed, failure = set(jobs), list[LeasedTask](), None
    ours = [[job for job in reversed(queue.held.values()) if job in given] for queue in queues]
    batches = [jobs[i : i + MOST] for jobs in ours for i in range(0, len(jobs), MOST)]
    answers = await driver.run_many([finish.requeue(batch[0].queue.keys, rows(batch)) for batch in batches])
    for batch, answer in zip(batches, answers, strict=True):
        if isinstance(answer, Error):
            failed, failure = failed + list(batch), answer
            continue
        for job in batch:
            job.queue.forget(job)
    return failed, failure
