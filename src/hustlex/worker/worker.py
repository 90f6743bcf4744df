"""A worker: the start of its parts, and an orderly end."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, Self, Unpack

import msgspec

from hustlex.core.answer.aio import answering
from hustlex.core.durability.level import MEMORY, Durability
from hustlex.core.logs import logger
from hustlex.core.op import PING, AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.errors import ConfigurationError, Error, Misuse
from hustlex.jobs.define.hooks import ErrorHandler, Middleware, WorkerOptions
from hustlex.jobs.define.tasks import Tasks
from hustlex.jobs.group.aggregate import Aggregate, AggregateFunction
from hustlex.worker.boundary import contained_context
from hustlex.worker.clock import WorkerClock, monotonic
from hustlex.worker.execute.outcomes import OutcomePolicy
from hustlex.worker.fetch.surplus import give_back
from hustlex.worker.health.watchdog import hung_types
from hustlex.worker.journal import line_of
from hustlex.worker.limits.allocation import Reserved, queues_of
from hustlex.worker.maintain.aggregator import rules_of
from hustlex.worker.options import error_handlers, judge, middlewares, settle
from hustlex.worker.parts import WorkerParts
from hustlex.worker.queue_state import LeasedTask

_log = logger("hustlex.worker")

QUEUES: Mapping[str, int] = {"critical": 6, "default": 3, "low": 1}
_FLUSH_S = 2.0
_MOST_NAMED = 50
_SECOND = timedelta(seconds=1)


class Health(msgspec.Struct, frozen=True):
    """How a worker is, right now."""

    trouble: dict[str, str]
    """What keeps each part that does not work from working, by its name; empty when all is well. ``slots``: handlers
    that were told to stop and do not end hold every one; ``runners``: what runs handlers had to be replaced."""
    blocking: dict[str, float] = {}
    """The longest time, in seconds, for which a task type kept the loop to itself in the last ten minutes, when that
    was more than 0.1."""
    waiting: dict[str, int] = {}
    """Tasks held here until their limits let them start, by type."""
    hung: dict[str, int] = {}
    """Handlers that were told to stop and run on, by type; each keeps its slot until it ends. A cancelled plain
    function is counted after five seconds; its word counts until its deadline all the same."""
    ahead: int = 0
    """Tasks leased and not started."""
    unknown: tuple[str, ...] = ()
    """Task types that came and that this worker has no task for, put off for others; the first 50 by name."""

    @property
    def ok(self) -> bool:
        """Whether every part works."""
        return not self.trouble


@answering
class Worker:
    """Runs tasks from Asynq's queues, beside Go workers or alone. One per process and event loop.

    - queues: name -> weight, 1 or more: the share of free slots while all have tasks; or ``Reserved``.
    - concurrency: handlers at once.
    - cpu_processes: tasks with ``cpu=True`` at once, each in a process; 0 = as many as there are CPUs.
    - shutdown_timeout: what running handlers get to finish when the worker stops.
    - error_handler: told of each failed attempt; a plain function that does not block.
    - middleware: around every handler, outermost first.
    - aggregator: makes jobs of grouped tasks, with Asynq's rules or those of an ``Aggregate``; for the groups that the
      tasks' own ``aggregate`` functions leave.
    - options: as ``WorkerOptions`` explains them.

    What ``Tasks`` declare (``@tasks.on_error``, ``@tasks.middleware``, ``Tasks(worker=...)``) holds as well; a task's
    own rules for retries and crashes go before those of the worker.
    """

    def __init__(
        self,
        driver: AsyncDriver,
        tasks: Tasks,
        *,
        queues: Mapping[str, int | Reserved] = QUEUES,
        concurrency: int = 100,
        cpu_processes: int = 0,
        shutdown_timeout: timedelta = timedelta(seconds=8),
        clock: Clock = server_clock,
        error_handler: ErrorHandler | None = None,
        middleware: Sequence[Middleware] = (),
        aggregator: AggregateFunction | Aggregate | None = None,
        **options: Unpack[WorkerOptions],
    ) -> None:
        judge(locals())
        rules = settle(tasks, options, driver.outcomes)
        reporters, park_s = error_handlers(tasks, error_handler), rules.park_unknown // timedelta(seconds=1)
        self.id = uuid.uuid4().hex
        self._tasks = tasks
        self._driver, self._durability = driver, rules.durability
        self._grace_s = shutdown_timeout.total_seconds()
        self._quit, self._hurry, self._running = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._run: asyncio.Task[None] | None = None
        self.parts = WorkerParts(
            driver,
            tasks,
            queues_of(queues, rules.limits or {}, tasks.queues),
            WorkerClock(clock),
            self.id,
            OutcomePolicy(tasks, rules.retry_delay, rules.is_failure, rules.max_crashes, reporters, park_s),
            rules,
            concurrency=concurrency,
            cpu_processes=cpu_processes,
            middleware=middlewares(tasks, middleware),
            aggregates=rules_of(tasks, aggregator),
            leave=self._asked_to_stop,
        )

    @property
    def health(self) -> Health:
        """What works and what does not, right now."""
        parts = self.parts
        return Health(
            parts.troubles(),
            parts.blocks.worst,
            parts.admission.waiting,
            hung_types(parts.executor),
            parts.ahead(),
            tuple(line_of(task_type) for task_type in sorted(parts.executor.unknown)[:_MOST_NAMED]),
        )

    def stop(self) -> None:
        """Ask ``run`` to end: at once for what has not started, after the grace for what runs. Safe in a signal."""
        self._quit.set()

    def _asked_to_stop(self) -> None:
        _log.info("worker %s was asked to stop", self.id)
        self.stop()

    def hurry(self) -> None:
        """As ``stop``, or after it: without the grace. What runs is given back now."""
        self._hurry.set()
        self._quit.set()

    async def run(self) -> None:
        """Work until ``stop``, once. Raises what the tasks' lifespan raises; a server that is away is waited for.

        Raises ConfigurationError when the server cannot do what ``durability`` asks for.
        """
        parts = self.parts
        if parts.heartbeat.status != "new":
            raise Misuse("a worker runs once", hint="make another one")
        await self._try_durability()
        async with contained_context(self._tasks.lifespan) as state:
            parts.handlers.share(state)
            parts.heartbeat.become("active")
            for part in parts.services():
                part.start()
            parts.loop_monitor.start()
            _log.info("worker %s started: %s", self.id, self._what())
            self._running.set()
            try:
                await self._quit.wait()
            finally:
                await self._shut_down()
                good, bad = parts.executor.succeeded, parts.executor.failed
                _log.info("worker %s stopped: %d attempts succeeded, %d did not", self.id, good, bad)

    async def _try_durability(self) -> None:
        """Else jobs would run whose outcomes can never be told."""
        if self._durability == MEMORY:
            return
        try:
            await self._driver.commit(PING, Durability(self._durability, wait_ms=1))
        except ConfigurationError:
            raise
        except Error:
            return

    async def started(self) -> None:
        """Return once ``run`` takes jobs: the tasks' lifespan is open."""
        await self._running.wait()

    async def __aenter__(self) -> Self:
        """Run beside the application's own work. Raises what ``run`` raises at its start."""
        self._run = asyncio.create_task(self.run(), name="hustlex worker")
        started = asyncio.create_task(self.started())
        try:
            await asyncio.wait([self._run, started], return_when=asyncio.FIRST_COMPLETED)
        finally:
            started.cancel()
        if self._run.done():
            await self._run
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, and wait for the end. Raises what ``run`` raised."""
        self.stop()
        if self._run is not None:
            await self._run

    def _what(self) -> str:
        """What it runs, for the log."""
        queues = ", ".join(f"{queue.name}={queue.weight}" for queue in self.parts.queues)
        types = sorted(task.type for task in self._tasks)
        more = f" and {len(types) - _MOST_NAMED} more" if types[_MOST_NAMED:] else ""
        named = ", ".join(types[:_MOST_NAMED]) + more
        return f"queues {queues}; {self.parts.executor.limit} slots; task types {named or 'none'}"

    async def _shut_down(self) -> None:
        """Lease nothing more, give back what has not started, wait for the rest, give that back too, say goodbye."""
        parts, executor = self.parts, self.parts.executor
        parts.fetcher.close()
        parts.heartbeat.become("closed")
        parts.heartbeat.wake()
        for part in parts.feeders():
            await part.stop()
        waiting = parts.admission.withdraw()
        until = monotonic() + self._grace_s
        await self._unhurried(parts.fetcher.wait_for_calls(self._grace_s))
        await self._give_back([*waiting, *parts.surplus.returning, *parts.admission.withdraw()])
        await self._unhurried(executor.drained(max(0.0, until - monotonic())))
        await self._give_back([job for job in executor.waiting if not job.settled])
        await executor.close(0.1 if self._hurry.is_set() else 1.0)
        for part in parts.services():
            if part is not parts.heartbeat:
                await part.stop()
        await self._flush()
        await parts.recorder.finish()
        await parts.completion.finish()
        await parts.heartbeat.stop()
        await parts.loop_monitor.stop()
        await self._leave()
        await parts.handlers.close()

    async def _unhurried(self, wait: Coroutine[Any, Any, None]) -> None:
        """Wait for this, unless there is a hurry."""
        waits = [asyncio.create_task(wait), asyncio.create_task(self._hurry.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()

    async def _give_back(self, jobs: Sequence[LeasedTask]) -> None:
        """What fails stays held, and is recovered by others."""
        for job in jobs:
            job.settle()
            job.over("given_back")
        failed, failure = await give_back(self._driver, self.parts.queues, jobs)
        if failed:
            _log.error("%d tasks could not be given back: %s", len(failed), failure)

    async def _flush(self) -> None:
        """Send the last acknowledgements."""
        exchange = self.parts.fetcher.acknowledging
        until = monotonic() + _FLUSH_S
        while True:
            try:
                if await exchange.tick():
                    return
            except Error as error:
                if monotonic() > until:
                    _log.error("outcomes could not be acknowledged, their tasks will run again: %s", error)
                    return
                await asyncio.sleep(0.05)

    async def _leave(self) -> None:
        try:
            await self.parts.heartbeat.leave()
        except Error as error:
            _log.warning("could not leave the registry: %s", error)
