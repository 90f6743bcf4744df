"""What follows an acknowledgement: workflows move on, and those who follow a job hear of its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from hustlex.core.op import AsyncDriver
from hustlex.errors import Error
from hustlex.jobs.ops import finish
from hustlex.worker.clock import WorkerClock
from hustlex.worker.complete.reporter import Reporter
from hustlex.worker.complete.workflow_advancer import WorkflowAdvancer
from hustlex.worker.leased_task import LeasedTask


class Completion:
    """services: to be started and stopped with the worker."""

    def __init__(self, driver: AsyncDriver, clock: WorkerClock) -> None:
        self.workflow_advancer = WorkflowAdvancer(driver, clock)
        self.reporter = Reporter(driver)
        self.services = (self.workflow_advancer, self.reporter)

    def ended(self, jobs: Sequence[LeasedTask], kind: Callable[..., Any]) -> None:
        """These outcomes, of one kind of ``jobs.ops.finish``, were acknowledged."""
        if kind in (finish.complete, finish.answer):
            self.workflow_advancer.plan(job.message for job in jobs)
        self.reporter.ended(jobs, kind)

    async def finish(self) -> None:
        """At the end of a worker: what its last acknowledgements led to. What fails is left to other workers."""
        with suppress(Error):
            await self.workflow_advancer.finish()
            await self.reporter.tick()
