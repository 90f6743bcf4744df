"""Moves workflows on: after each step this worker acknowledged, and after those that others ran or died over."""

from __future__ import annotations

from collections.abc import Iterable

from hustlex.core.op import AsyncDriver
from hustlex.jobs.wire import TaskMessage
from hustlex.jobs.workflow import flows as steps
from hustlex.jobs.workflow import ops
from hustlex.jobs.workflow.plan import HEADER, StepName
from hustlex.worker.clock import WorkerClock, monotonic
from hustlex.worker.service import Service

_IDLE_S = 10.0


class WorkflowAdvancer(Service):
    """Looks at steps that ``plan`` names at once, and at all open steps of all queues now and then.

    So a step that a Go worker ran is seen within some seconds, in whatever queue, and nothing is lost between an
    acknowledgement and what follows from it. Without workflows: one call every 10 s, unless a look at the queues saw
    that there are none; with some, one every 2 s.
    """

    name = "workflow advancer"

    def __init__(self, driver: AsyncDriver, clock: WorkerClock) -> None:
        super().__init__()
        self._driver = driver
        self._clock = clock
        self._fresh: dict[StepName, None] = {}
        self._take_at = float("-inf")

    def plan(self, messages: Iterable[TaskMessage]) -> None:
        """These tasks have succeeded and are kept."""
        steps = [StepName(message.queue, message.id) for message in messages if HEADER in message.headers]
        if steps:
            self._fresh.update(dict.fromkeys(steps))
            self.wake()

    def none_open(self) -> None:
        """A look at the queues has just seen that no step is open, which is what ours would be for."""
        self._take_at = monotonic() + _IDLE_S

    async def tick(self) -> float:
        """One pass. What fails is made up for at the next look."""
        names = list(self._fresh)[: ops.MOST]
        missing = set(names)
        for name in names:
            del self._fresh[name]
        if monotonic() >= self._take_at:
            names, missing = await self._taken(names, missing)
        if names:
            self._take_at = min(self._take_at, monotonic() + steps.SOON_S)
            advanced = await self._driver.follow(steps.advance(names, missing, self._clock.for_script()))
            if advanced.errors:
                raise advanced.errors[0]
        return 0 if self._fresh else max(0.0, self._take_at - monotonic())

    async def _taken(self, names: list[StepName], missing: set[StepName]) -> tuple[list[StepName], set[StepName]]:
        """What is due beside what is fresh; everything of 100 at once means that there is more."""
        taken = await self._driver.run(ops.take(steps.SOON_S, self._clock.for_script()))
        pause = _IDLE_S if taken.wait_s < 0 else min(_IDLE_S, max(1.0, taken.wait_s))
        self._take_at = monotonic() + pause
        return list(dict.fromkeys([*names, *taken.steps])), missing | taken.missing

    async def finish(self) -> None:
        """At the end of a worker: only what its own last acknowledgements led to."""
        while self._fresh:
            self._take_at = float("inf")
            await self.tick()
