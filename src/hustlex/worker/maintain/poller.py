"""Looks at each queue now and then, so that nothing others leave there is missed, and tells the part concerned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hustlex.core.op import AsyncDriver
from hustlex.errors import Error
from hustlex.jobs import lookup
from hustlex.jobs.lease import maintain
from hustlex.jobs.workflow.ops import OPEN
from hustlex.worker.clock import WorkerClock
from hustlex.worker.complete.workflow_advancer import WorkflowAdvancer
from hustlex.worker.execute.executor import Executor
from hustlex.worker.maintain.aggregator import Aggregator
from hustlex.worker.maintain.forwarder import Forwarder
from hustlex.worker.maintain.janitor import Janitor
from hustlex.worker.maintain.recorder import Recorder
from hustlex.worker.maintain.recoverer import Recoverer
from hustlex.worker.queue_state import QueueState
from hustlex.worker.service import Service

_BUSY_S = 1.0
_IDLE_S = 2.5
_QUIET_S = 10.0
_GRACE_S = 30


class Poller(Service):
    """One look each second while tasks run or are scheduled anywhere, else one every 2.5 s.

    A look is one call for all queues; in a cluster one per queue, and when idle one queue at a time.
    """

    name = "poller"
    longest_pass_s = 30.0

    def __init__(
        self,
        driver: AsyncDriver,
        queues: Sequence[QueueState],
        executor: Executor,
        clock: WorkerClock,
        parts: tuple[Forwarder, Recoverer, Janitor, Aggregator],
        recorder: Recorder,
        advancer: WorkflowAdvancer,
        woken: Callable[[], None],
    ) -> None:
        super().__init__()
        self._driver = driver
        self._queues = queues
        self._executor = executor
        self._clock = clock
        self._forwarder, self._recoverer, self._janitor, self._aggregator = parts
        self._recorder = recorder
        self._advancer = advancer
        self._woken = woken
        self._groups: list[Sequence[QueueState]] = []
        self._steps = ""
        self._turn = 0
        self._lively: set[QueueState] = set()

    async def tick(self) -> float:
        """Look at every queue; in an idle cluster at the next one."""
        if not self._groups:
            apart = await self._driver.run(lookup.clustered())
            self._groups = [[queue] for queue in self._queues] if apart else [self._queues]
            self._steps = "" if apart else OPEN
        idle = not self._lively and self._executor.quiet_s() > _QUIET_S
        chosen = [self._next()] if idle else self._groups
        now_ms = self._clock.for_script()
        measure = self._recorder.looks() or len(chosen) < len(self._groups)
        notes, told = self._recorder.calls()
        keys = [[queue.keys for queue in group] for group in chosen]
        looks = [maintain.peek(each, now_ms, measure=measure, steps=self._steps) for each in keys]
        answers: list[Any] = await self._driver.run_many([*looks, *notes])
        self._recorder.answered(told, answers[len(looks) :])
        for group, outlooks in zip(chosen, answers[: len(looks)], strict=True):
            if isinstance(outlooks, Error):
                raise outlooks
            for queue, outlook in zip(group, outlooks, strict=True):
                self._hand_on(queue, outlook)
            if self._steps and not any(outlook.open_steps for outlook in outlooks):
                self._advancer.none_open()
        return _IDLE_S if idle else _BUSY_S

    def _next(self) -> Sequence[QueueState]:
        self._turn = (self._turn + 1) % len(self._groups)
        return self._groups[self._turn]

    def _hand_on(self, queue: QueueState, seen: maintain.Outlook) -> None:
        now_s = seen.now_ms // 1000
        self._forwarder.plan(queue, seen.due_ms)
        self._recorder.measured(queue, seen.measure)
        if _passed(seen.completed, now_s) or _passed(seen.aggregation_set, now_s):
            self._janitor.plan(queue)
        if _passed(seen.owner, now_s - 1) or _passed(seen.lease, now_s - _GRACE_S) or seen.unleased:
            self._recoverer.plan(queue)
        if seen.groups:
            self._aggregator.plan(queue)
        if seen.pending and not queue.awake and not queue.paused:
            queue.wake()
            self._woken()
        (self._lively.add if max(seen.owner, seen.due_ms) >= 0 else self._lively.discard)(queue)


def _passed(at_s: int, now_s: int) -> bool:
    return 0 <= at_s <= now_s
