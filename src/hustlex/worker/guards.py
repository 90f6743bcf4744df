"""What keeps a worker within its limits, and honest about how it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hustlex.core.op import AsyncDriver
from hustlex.jobs.context import CurrentJob
from hustlex.jobs.hooks import HealthCheck
from hustlex.jobs.registry import Task, Tasks
from hustlex.worker.clock import WorkerClock
from hustlex.worker.execute.executor import Runners
from hustlex.worker.execute.handlers import attempt_ends_ms
from hustlex.worker.fetch.allocation import Slots
from hustlex.worker.fetch.fetcher import Fetcher
from hustlex.worker.health.blocks import Blocks
from hustlex.worker.health.condition import troubles
from hustlex.worker.health.loop_monitor import StallWatch
from hustlex.worker.health.watchdog import Checker, Watchdog
from hustlex.worker.leased_task import LeasedTask
from hustlex.worker.limits.limiter import TaskLimiter, limited
from hustlex.worker.maintain.heartbeat import Heartbeat
from hustlex.worker.service import Service
from hustlex.worker.threads import Threads

if TYPE_CHECKING:
    from hustlex.worker.execute.processes import Processes

_SLOWEST_START_MS = 60_000


class Guards:
    """gates: only when a task has limits or computes. blocks: who kept the loop. on_begin: told of jobs whose time
    begins later than they did.

    processes: how many tasks with ``cpu=True`` run at once, 0 = as many as there are CPUs.
    """

    def __init__(
        self,
        driver: AsyncDriver,
        tasks: Tasks,
        fetcher: Fetcher,
        runners: Runners,
        slots: Slots,
        clock: WorkerClock,
        threads: Threads,
        heartbeat: Heartbeat,
        processes: int,
        *,
        fair: bool,
    ) -> None:
        self.limiter: TaskLimiter | None = None
        self.on_begin: Callable[[LeasedTask], None] = lambda _: None
        self._clock = clock
        self._runners = runners
        self.blocks = Blocks()
        runners.on_done = fetcher.ring
        runners.on_block = self.blocks.note
        self._stall_watch = StallWatch(driver, heartbeat, self.blocks, clock)
        self._services: list[Service] = []
        self._processes: Processes | None = None
        if any(task.cpu for task in tasks):
            from hustlex.worker.execute.processes import Processes

            self._processes = Processes(threads)
        if limited(tasks):
            count = processes or _cpus()
            self.limiter = TaskLimiter(
                driver, tasks, runners, slots, clock, count, fetcher.look_ahead, fair=fair and slots.plain
            )
            self._services.append(self.limiter)
            self._put_in_the_way(self.limiter, fetcher, runners)

    @staticmethod
    def _put_in_the_way(limiter: TaskLimiter, fetcher: Fetcher, runners: Runners) -> None:
        """Between what is leased and what runs."""

        def done(job: LeasedTask) -> None:
            limiter.done(job)
            fetcher.ring()

        runners.on_done = done
        fetcher.surplus, fetcher.feed = limiter.surplus, limiter.feed
        limiter.on_defer = fetcher.ring

    def watch(
        self,
        driver: AsyncDriver,
        parts: Callable[[], Sequence[Service]],
        fetcher: Fetcher,
        check: HealthCheck | None,
        interval_s: float,
    ) -> None:
        """Hold the worker's parts to their work."""
        self._services.append(Watchdog(parts, fetcher, self._runners))
        if check is not None:
            found = lambda: troubles(parts(), fetcher.sources, self._runners)  # noqa: E731 - the parts are not there yet
            self._services.append(Checker(driver, check, interval_s, found))

    @property
    def services(self) -> list[Service]:
        """In the order in which they stop."""
        return self._services

    def start(self) -> None:
        """Watch this loop."""
        self._stall_watch.start()

    def withdraw(self) -> list[LeasedTask]:
        """Start nothing more: the jobs that wait for their turn."""
        return self.limiter.withdraw() if self.limiter else []

    async def run_in_process(self, job: LeasedTask, task: Task[..., Any], current: CurrentJob) -> Any:
        """A task with ``cpu=True``. The start of its process takes nothing from its time."""

        def begins() -> None:
            job.deadline_ms = current.deadline_ms = attempt_ends_ms(job.message, self._clock.now_ms())
            self.on_begin(job)

        assert self._processes is not None
        job.deadline_ms += _SLOWEST_START_MS
        return await self._processes.run(task, current, begins)

    async def stop(self) -> None:
        """The last thing a worker does with them."""
        self._stall_watch.stop()
        if self._processes is not None:
            await self._processes.close()


def _cpus() -> int:
    """Those this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
