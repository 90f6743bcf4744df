"""The gate between what was leased and what runs."""

from __future__ import annotations

from collections.abc import Sequence

from hustlex.jobs.lease.ops import NO_PAST
from hustlex.worker.execute.executor import Executor
from hustlex.worker.limits.allocation import Slots
from hustlex.worker.limits.limiter import TaskLimiter
from hustlex.worker.limits.quarantine import Quarantine
from hustlex.worker.queue_state import LeasedTask


class TaskAdmission:
    """Each task comes by once: to the quarantine if it has a past, to the limiter if some task has limits, else to the
    executor.
    """

    def __init__(self, quarantine: Quarantine, limiter: TaskLimiter | None, executor: Executor, slots: Slots) -> None:
        self._quarantine = quarantine
        self._executor = executor
        self._limiter = limiter
        self._feed = executor.feed if limiter is None else limiter.feed
        self.surplus = slots.ahead if limiter is None else limiter.surplus
        """How many tasks to hold beyond the slots."""

    def take(self, jobs: Sequence[LeasedTask], *, with_past: bool) -> None:
        """Leased tasks, in their order. with_past: whether any of them has one."""
        if with_past:
            jobs = [job for job in jobs if job.past is NO_PAST or self._quarantine.admit(job)]
        self._feed(jobs)

    @property
    def waiting(self) -> dict[str, int]:
        """How many wait until their limits let them start, by type."""
        return {} if self._limiter is None else dict(self._limiter.waiting)

    def withdraw(self) -> list[LeasedTask]:
        """Let nothing more start: the tasks that have not."""
        limited = [] if self._limiter is None else self._limiter.withdraw()
        return [*self._executor.withdraw(), *limited, *self._quarantine.withdraw()]
