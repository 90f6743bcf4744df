"""A worker: all its parts, their start, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Literal

import msgspec

from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.errors import Error, Misuse
from hustlex.jobs.aggregates import Aggregate, AggregateFunction
from hustlex.jobs.backoff import default_delay
from hustlex.jobs.limits import Limits
from hustlex.jobs.ops import finish
from hustlex.jobs.registry import Tasks
from hustlex.jobs.rules import IsFailure, RetryDelay
from hustlex.worker import draw
from hustlex.worker.aftermath import Aftermath
from hustlex.worker.aggregator import Aggregator, rules_of
from hustlex.worker.boundary import contained_context
from hustlex.worker.clock import WorkerClock, monotonic
from hustlex.worker.condition import hung_types, troubles
from hustlex.worker.deadlines import Deadlines
from hustlex.worker.draw import Reserved
from hustlex.worker.forwarder import Forwarder
from hustlex.worker.guards import Guards
from hustlex.worker.handlers import Handlers, Middleware
from hustlex.worker.heartbeat import Heartbeat, this_process
from hustlex.worker.janitor import Janitor
from hustlex.worker.job import Job
from hustlex.worker.lanes import Lanes
from hustlex.worker.quarantine import Quarantine
from hustlex.worker.recoverer import Recoverer
from hustlex.worker.runners import Runners
from hustlex.worker.service import Service
from hustlex.worker.source import Finish
from hustlex.worker.subscriber import Subscriber
from hustlex.worker.surplus import Surplus, give_back
from hustlex.worker.threads import Threads
from hustlex.worker.verdict import ErrorHandler, Policy, every_error, ignore
from hustlex.worker.waiter import Waiter
from hustlex.worker.watchdog import HealthCheck
from hustlex.worker.watcher import Watcher

_log = logging.getLogger("hustlex.worker")

QUEUES: Mapping[str, int] = {"critical": 6, "default": 3, "low": 1}
_FLUSH_S = 2.0
_SECOND = timedelta(seconds=1)


class Health(msgspec.Struct, frozen=True):
    """trouble: what keeps each part that does not work from working, by its name; empty when all is well. ``slots``:
    handlers that were told to stop and do not end hold every one; ``runners``: what runs handlers had to be replaced.

    blocking: the longest time, in seconds, for which a task type kept the loop to itself in the last ten minutes, when
    that was more than 0.1. waiting: tasks held here until their limits let them start, by type. hung: handlers that
    were told to stop and run on, by type; each keeps its slot. ahead: tasks leased and not started.
    """

    trouble: dict[str, str]
    blocking: dict[str, float] = {}
    waiting: dict[str, int] = {}
    hung: dict[str, int] = {}
    ahead: int = 0

    @property
    def ok(self) -> bool:
        """Whether every part works."""
        return not self.trouble


class Worker:
    """Runs tasks from Asynq's queues, beside Go workers or alone. One per process and event loop.

    queues: name -> weight, 1 or more: the share of free slots while all have tasks, or ``Reserved``; strict: the
    highest weight first, always. limits: queue -> what may be taken from it (``max_concurrency`` counts its tasks
    wherever they run, on Go workers too; ``rate`` counts what Python workers take). concurrency: handlers at once.
    shutdown_timeout: what running ones get to finish when the worker stops.
    retry_delay: wait before the next attempt, see ``RetryDelay``. is_failure: False for errors that must not count as a
    retry. max_crashes: workers that may die with a task before it is archived, 0 = any number. A task's own rules
    replace these three. cpu_processes: how many tasks with ``cpu=True`` run at once, each in a process; 0 = as many as
    there are CPUs.
    error_handler: told of each failed attempt, must not block. health_check: called each ``health_check_interval`` with
    what keeps the worker from working, or None. middleware: around every handler, outermost first.
    aggregator: makes jobs of grouped tasks, with Asynq's rules or those of an ``Aggregate``; for the groups that the
    tasks' own ``aggregate`` functions leave.
    recover_crashed: "requeue" gives tasks of a dead worker of ours back within about 10 s, as a crash and no retry;
    "retry" waits and counts as Go does. park_unknown: for how long tasks of a type that no worker knows are put off, at
    growing distances of up to 10 minutes, before they are archived. archive_max_size, archive_max_age: what the archive
    keeps when this worker adds to it, trimmed by 1,000 at a time; Go's workers and the inspector trim to Asynq's 9,999
    and 90 days all the same.
    """

    def __init__(
        self,
        driver: AsyncDriver,
        tasks: Tasks,
        *,
        queues: Mapping[str, int | Reserved] = QUEUES,
        limits: Mapping[str, Limits] | None = None,
        concurrency: int = 100,
        cpu_processes: int = 0,
        strict: bool = False,
        shutdown_timeout: timedelta = timedelta(seconds=8),
        clock: Clock = server_clock,
        retry_delay: RetryDelay = default_delay,
        is_failure: IsFailure = every_error,
        error_handler: ErrorHandler = ignore,
        middleware: Sequence[Middleware] = (),
        aggregator: AggregateFunction | Aggregate | None = None,
        max_crashes: int = 3,
        health_check: HealthCheck | None = None,
        health_check_interval: timedelta = timedelta(seconds=15),
        recover_crashed: Literal["requeue", "retry"] = "requeue",
        park_unknown: timedelta = timedelta(days=1),
        archive_max_size: int = 9_999,
        archive_max_age: timedelta = timedelta(days=90),
    ) -> None:
        if concurrency < 1:
            raise Misuse("a worker needs a concurrency of at least 1")
        policy = Policy(tasks, retry_delay, is_failure, max_crashes, error_handler, park_unknown // _SECOND)
        self.id = uuid.uuid4().hex
        self.sources = sources = draw.sources_of(queues, limits or {})
        self.clock = now = WorkerClock(clock)
        self._tasks = tasks
        self._driver = driver
        self._grace_s = shutdown_timeout.total_seconds()
        self._quit = asyncio.Event()
        self._threads = Threads(concurrency)
        self._handlers = Handlers(tasks, driver, now, self._threads, middleware)
        self.runners = runners = Runners(concurrency, self._handlers, policy, now)
        slots = draw.Slots(sources, runners)
        split, ahead = slots.draw(by_rank=strict), slots.plain and not strict
        self.lanes = lanes = Lanes(driver, sources, runners, now, self.id, split, ahead=ahead)
        self.heartbeat = Heartbeat(driver, sources, runners, now, this_process(self.id), strict=strict)
        self.deadlines = Deadlines(runners, now)
        self.forwarder = Forwarder(driver, sources, now, lanes.ring)
        requeue = recover_crashed == "requeue"
        self.recoverer = Recoverer(driver, sources, now, self.id, policy, self.heartbeat, lanes.ring, requeue=requeue)
        self.janitor = Janitor(driver, sources, now)
        self.watcher = Watcher(
            driver, sources, runners, now, (self.forwarder, self.recoverer, self.janitor), lanes.ring
        )
        self.aggregator = Aggregator(driver, now, rules_of(tasks, aggregator))
        self.subscriber = Subscriber(driver, sources, now, self.deadlines.wake)
        self.aftermath = Aftermath(driver, now)
        self.waiters = {source: Waiter(driver, source, lanes.ring) for source in sources}
        self.quarantine = Quarantine(driver, lanes, policy, now)
        self.guards = guards = Guards(
            driver, tasks, lanes, runners, slots, now, self._threads, self.heartbeat, cpu_processes, fair=ahead
        )
        self.surplus = Surplus(driver, sources, runners)
        self._connect(partial(finish.archive, most=archive_max_size, age_s=archive_max_age // _SECOND))
        self._handlers.in_process, guards.on_begin = guards.run_in_process, self.deadlines.watch
        guards.watch(driver, self._parts, lanes, health_check, health_check_interval.total_seconds())

    def _connect(self, archive: Finish) -> None:
        """Let the parts hear of each other."""
        for source in self.sources:
            source.on_due = partial(self.forwarder.plan, source)
            source.on_end = self.aftermath.ended
            source.archive = archive
        self.watcher.on_groups = self.aggregator.plan
        self.lanes.on_empty = lambda source: self.waiters[source].wake()
        self.runners.on_wait = self._waits
        if self.guards.gates is not None:
            self.surplus.in_line = self.guards.gates.recall

    def _waits(self, job: Job) -> None:
        self.deadlines.watch(job)
        self.surplus.watch()

    @property
    def health(self) -> Health:
        """What works and what does not, right now."""
        gates = self.guards.gates
        waiting = dict(gates.waiting) if gates else {}
        return Health(
            troubles(self._parts(), self.sources, self.runners),
            self.guards.blocks.worst,
            waiting,
            hung_types(self.runners),
            len(self.runners.backlog) + sum(waiting.values()),
        )

    def stop(self) -> None:
        """Ask ``run`` to end: at once for what has not started, after the grace for what runs. Safe in a signal."""
        self._quit.set()

    async def run(self) -> None:
        """Work until ``stop``. Raises what the tasks' lifespan raises; a server that is away is waited for."""
        async with contained_context(self._tasks.lifespan) as state:
            self._handlers.state = state
            self.heartbeat.status = "active"
            for part in self._parts():
                part.start()
            self.guards.start()
            _log.info("worker %s started: %s", self.id, ", ".join(source.name for source in self.sources))
            try:
                await self._quit.wait()
            finally:
                await self._shut_down()
                _log.info("worker %s stopped", self.id)

    def _parts(self) -> list[Service]:
        """In the order in which they stop."""
        last = (self.subscriber, self.deadlines, self.recoverer, self.heartbeat)
        return [*self._feeders(), *self.lanes.services, *self.aftermath.services, *last]

    def _feeders(self) -> list[Service]:
        """What brings new work, or keeps house."""
        keepers = (self.surplus, self.watcher, self.forwarder, self.janitor, self.aggregator, self.quarantine)
        return [*self.guards.services, *self.waiters.values(), *keepers]

    async def _shut_down(self) -> None:
        """Lease nothing more, give back what has not started, wait for the rest, give that back too, say goodbye."""
        self.lanes.leasing = False
        self.heartbeat.status = "closed"
        self.heartbeat.wake()
        for part in self._feeders():
            await part.stop()
        waiting = [*self.runners.withdraw(), *self.guards.withdraw(), *self.quarantine.withdraw()]
        await self.lanes.landed(self._grace_s)
        await self._give_back([*waiting, *self.surplus.returning, *self.runners.withdraw(), *self.guards.withdraw()])
        await self.runners.drained(self._grace_s)
        await self._give_back([job for job in self.runners.waiting if not job.settled])
        await self.runners.close(1.0)
        for part in self._parts():
            if part is not self.heartbeat:
                await part.stop()
        await self._flush()
        await self.aftermath.finish()
        await self.heartbeat.stop()
        await self._leave()
        await self.guards.stop()
        self._threads.close()

    async def _give_back(self, jobs: Sequence[Job]) -> None:
        """What fails stays held, and is recovered by others."""
        for job in jobs:
            job.settled = True
        failed, failure = await give_back(self._driver, self.sources, jobs)
        if failed:
            _log.error("%d tasks could not be given back: %s", len(failed), failure)

    async def _flush(self) -> None:
        """Send the last acknowledgements."""
        lane = self.lanes.services[0]
        until = monotonic() + _FLUSH_S
        while True:
            try:
                if await lane.tick():
                    return
            except Error as error:
                if monotonic() > until:
                    _log.error("outcomes could not be acknowledged, their tasks will run again: %s", error)
                    return
                await asyncio.sleep(0.05)

    async def _leave(self) -> None:
        try:
            await self.heartbeat.leave()
        except Error as error:
            _log.warning("could not leave the registry: %s", error)
