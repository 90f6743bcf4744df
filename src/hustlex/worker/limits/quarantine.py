"""Keeps tasks that kill workers from killing the fleet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from hustlex.core.op import AsyncDriver
from hustlex.jobs.lease import ops as lease
from hustlex.worker.attempt_errors import Crashed
from hustlex.worker.clock import WorkerClock
from hustlex.worker.execute.outcomes import OutcomePolicy
from hustlex.worker.queue_state import LeasedTask
from hustlex.worker.service import FOREVER, Service

_SUSPECT = 2
"""Crashes after which a task is run alone among its like; lua/lease/recover.lua has the same number."""
_LOOK_S = 0.02


class Quarantine(Service):
    """Archives tasks with which too many workers died, and tells the guilty from those who were only there.

    A crash counts for all that the worker held, because nobody can say which task it was. So tasks that were there
    twice are run one at a time, each noted before its start; from then on a crash counts for the noted one only.
    feed: takes a task whose turn has come.
    """

    name = "quarantine"

    def __init__(
        self,
        driver: AsyncDriver,
        policy: OutcomePolicy,
        clock: WorkerClock,
        feed: Callable[[Sequence[LeasedTask]], None],
    ) -> None:
        super().__init__()
        self._driver = driver
        self._policy = policy
        self._clock = clock
        self._feed = feed
        self._suspects: deque[LeasedTask] = deque()
        self._isolated: LeasedTask | None = None

    def admit(self, job: LeasedTask) -> bool:
        """Whether a task with a past may be run as any other; else it is given up here, or waits for its turn."""
        if self._policy.refused(job, self._clock):
            return False
        crashes, most = job.past.crashes, self._policy.most_crashes(job.message.type)
        if most and crashes >= most:
            job.settle()
            self._policy.failed(job, Crashed(crashes), self._clock)
            return False
        if crashes < _SUSPECT:
            return True
        self._suspects.append(job)
        self.wake()
        return False

    def withdraw(self) -> list[LeasedTask]:
        """Start nothing more: the tasks that wait for their turn."""
        jobs = list(self._suspects)
        self._suspects.clear()
        return jobs

    async def tick(self) -> float:
        """Start the next suspect, once the last one is over."""
        if self._isolated is not None and not self._isolated.settled:
            return _LOOK_S
        self._isolated = None
        while self._suspects:
            job = self._suspects[0]
            noted = _is_held(job) and await self._note(job)
            self._suspects.popleft()
            if noted:
                self._isolated = job
                self._feed([job])
                return _LOOK_S
            job.queue.forget(job)
        return FOREVER

    async def _note(self, job: LeasedTask) -> bool:
        return await self._driver.run(lease.put_on_trial(job.queue.keys, job.id, job.holder))


def _is_held(job: LeasedTask) -> bool:
    return job.queue.held.get(job.id) is job
