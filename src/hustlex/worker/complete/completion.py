"""What follows an acknowledgement: workflows move on, and those who follow a job hear of its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from hustlex.core.op import AsyncDriver, Op
from hustlex.errors import Error
from hustlex.jobs.lease import finish
from hustlex.jobs.stream.ops import end_attempt
from hustlex.jobs.types import State
from hustlex.worker.clock import WorkerClock
from hustlex.worker.complete.workflow_advancer import WorkflowAdvancer
from hustlex.worker.queue_state import LeasedTask
from hustlex.worker.service import FOREVER, Service

_STATES: dict[Callable[..., Any], State] = {
    finish.done: State.COMPLETED,
    finish.answer: State.COMPLETED,
    finish.complete: State.COMPLETED,
    finish.retry: State.RETRY,
    finish.archive: State.ARCHIVED,
}
_MOST = 1_000


class Completion:
    """services: to be started and stopped with the worker."""

    def __init__(self, driver: AsyncDriver, clock: WorkerClock) -> None:
        self.workflow_advancer = WorkflowAdvancer(driver, clock)
        self.reporter = Reporter(driver)
        self.services = (self.workflow_advancer, self.reporter)

    def ended(self, jobs: Sequence[LeasedTask], kind: Callable[..., Any]) -> None:
        """These outcomes, of one kind of ``jobs.lease.finish``, were acknowledged."""
        if kind in (finish.complete, finish.answer):
            self.workflow_advancer.plan(job.message for job in jobs)
        self.reporter.ended(jobs, kind)

    async def finish(self) -> None:
        """At the end of a worker: what its last acknowledgements led to. What fails is left to other workers."""
        with suppress(Error):
            await self.workflow_advancer.finish()
            await self.reporter.tick()


class Reporter(Service):
    """Tells those who follow a job how its attempt ended. Only for jobs that reported something.

    Best effort: whoever follows looks at the task itself as well, so what is lost here is only late.

    A task that its handler revoked counts as completed, as in Asynq.
    """

    name = "reporter"

    def __init__(self, driver: AsyncDriver) -> None:
        super().__init__()
        self._driver = driver
        self._news: list[Op[bool]] = []

    def ended(self, jobs: Sequence[LeasedTask], kind: Callable[..., Any]) -> None:
        """These outcomes, of one kind of ``jobs.lease.finish``, were acknowledged."""
        state = _STATES.get(kind)
        followed = [job for job in jobs if job.id in job.queue.followed]
        if state is not None and followed:
            self._news += [end_attempt(job.queue.name, job.message.id, state, _unsaid(job, state)) for job in followed]
            self.wake()

    async def tick(self) -> float:
        """Tell."""
        news, self._news = self._news[:_MOST], self._news[_MOST:]
        for answer in await self._driver.run_many(news):
            if isinstance(answer, Error):
                raise answer
        return 0 if self._news else FOREVER


def _unsaid(job: LeasedTask, state: State) -> bytes:
    """The result that followers have not heard of."""
    return job.result or b"" if state is State.COMPLETED and not job.wrote else b""
