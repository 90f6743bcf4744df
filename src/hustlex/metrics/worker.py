"""Gauges of a process that runs an event loop: how late it is, and how its worker stands."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from hustlex.core.op import AsyncDriver
from hustlex.jobs.define.tasks import Tasks
from hustlex.metrics.families import Families
from hustlex.metrics.history import recorded
from hustlex.metrics.process import Metrics, Source
from hustlex.metrics.pulled import Risen
from hustlex.worker import Worker

_EVERY_S = 0.5
_WINDOW = 30
"""15 seconds."""
_REFRESH = 10


class LoopLag:
    """How late the event loop wakes who asked to be woken."""

    def __init__(self) -> None:
        self._lags: deque[float] = deque(maxlen=_WINDOW)

    def note(self, seconds: float) -> None:
        """It was so late."""
        self._lags.append(max(0.0, seconds))

    def write(self, families: Families) -> None:
        """The worst of the last 15 seconds."""
        families["loop_lag_seconds"].put(max(self._lags, default=0.0))

    async def watch(self, often: Callable[[], object]) -> None:
        """Until cancelled. often: called every five seconds."""
        loop, turn = asyncio.get_running_loop(), 0
        while True:
            planned = loop.time() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            self.note(loop.time() - planned)
            turn += 1
            if turn % _REFRESH == 0:
                often()


def of_worker(worker: Worker, tasks: Tasks) -> Source:
    """Its slots and what is wrong with it. tasks: its own, since a type on the wire may hold an id."""

    risen = Risen()

    def write(families: Families) -> None:
        health, executor, recoverer = worker.health, worker.parts.executor, worker.parts.recoverer
        counts = ((("tasks_recovered_total", key), times) for key, times in [*recoverer.taken_back.items()])
        risen.add(families, recoverer, counts)
        families["tasks_held"].forget()
        for name, number in health.waiting.items():
            families["tasks_held"].put(number, (_registered(tasks, name),))
        slots = {
            "total": executor.limit,
            "running": len(executor.waiting),
            "held": health.ahead,
            "hung": len(executor.hung),
        }
        for kind, number in slots.items():
            families["worker_slots"].put(number, (kind,))
        families["worker_trouble"].forget()
        for part in health.trouble:
            families["worker_trouble"].put(1.0, (part,))
        families["blocking_seconds"].forget()
        for name, seconds in health.blocking.items():
            families["blocking_seconds"].put(seconds, (_registered(tasks, name),))

    return write


def _registered(tasks: Tasks, name: str) -> str:
    task = tasks.find(name)
    return "_unknown" if task is None else task.type


@asynccontextmanager
async def watched(metrics: Metrics | None, driver: AsyncDriver, *sources: Source) -> AsyncIterator[None]:
    """While the block runs its event loop is watched, these are asked for gauges, and a front of this process writes
    down what the rooms did. None: nothing happens.

    driver: whose connections are told of.
    """
    if metrics is None:
        yield
        return
    metrics.drivers.add(driver)
    lag = LoopLag()
    for source in (lag.write, *sources):
        metrics.ask(source)
    metrics.refresh()
    watch = asyncio.create_task(lag.watch(metrics.refresh), name="hustlex loop lag")
    try:
        async with recorded(metrics, lambda: next(iter(metrics.fronts), None)):
            yield
    finally:
        watch.cancel()
        metrics.refresh()
