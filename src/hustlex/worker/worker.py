"""A worker: all its parts, their start, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Self, Unpack

import msgspec

from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.errors import Error, Misuse
from hustlex.jobs.aggregates import Aggregate, AggregateFunction
from hustlex.jobs.hooks import ErrorHandler, Middleware, WorkerOptions
from hustlex.jobs.ops import finish
from hustlex.jobs.registry import Tasks
from hustlex.worker.boundary import contained_context
from hustlex.worker.clock import WorkerClock, monotonic
from hustlex.worker.complete.completion import Completion
from hustlex.worker.execute.deadlines import Deadlines
from hustlex.worker.execute.executor import Runners
from hustlex.worker.execute.handlers import Handlers
from hustlex.worker.execute.outcomes import OutcomePolicy
from hustlex.worker.fetch import allocation as draw
from hustlex.worker.fetch.allocation import Reserved
from hustlex.worker.fetch.fetcher import Fetcher
from hustlex.worker.fetch.waiter import Waiter
from hustlex.worker.guards import Guards
from hustlex.worker.health.condition import hung_types, troubles
from hustlex.worker.journal import line_of
from hustlex.worker.judge import judge
from hustlex.worker.leased_task import LeasedTask
from hustlex.worker.limits.quarantine import Quarantine
from hustlex.worker.limits.surplus import Surplus, give_back
from hustlex.worker.maintain.aggregator import Aggregator, rules_of
from hustlex.worker.maintain.forwarder import Forwarder
from hustlex.worker.maintain.heartbeat import Heartbeat, this_process
from hustlex.worker.maintain.janitor import Janitor
from hustlex.worker.maintain.poller import Poller
from hustlex.worker.maintain.recoverer import Recoverer
from hustlex.worker.maintain.subscriber import Subscriber
from hustlex.worker.options import error_handlers, middlewares, settle
from hustlex.worker.queue_state import Finish
from hustlex.worker.service import Service
from hustlex.worker.threads import Threads

_log = logging.getLogger("hustlex.worker")

QUEUES: Mapping[str, int] = {"critical": 6, "default": 3, "low": 1}
_FLUSH_S = 2.0
_MOST_NAMED = 50
_SECOND = timedelta(seconds=1)


class Health(msgspec.Struct, frozen=True):
    """trouble: what keeps each part that does not work from working, by its name; empty when all is well. ``slots``:
    handlers that were told to stop and do not end hold every one; ``runners``: what runs handlers had to be replaced.

    blocking: the longest time, in seconds, for which a task type kept the loop to itself in the last ten minutes, when
    that was more than 0.1. waiting: tasks held here until their limits let them start, by type. hung: handlers that
    were told to stop and run on, by type; each keeps its slot. ahead: tasks leased and not started. unknown: task types
    that came and that this worker has no task for, put off for others; the first 50 by name.
    """

    trouble: dict[str, str]
    blocking: dict[str, float] = {}
    waiting: dict[str, int] = {}
    hung: dict[str, int] = {}
    ahead: int = 0
    unknown: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every part works."""
        return not self.trouble


class Worker:
    """Runs tasks from Asynq's queues, beside Go workers or alone. One per process and event loop.

    queues: name -> weight, 1 or more: the share of free slots while all have tasks, or ``Reserved``; strict: the
    highest weight first, always. limits: queue -> what may be taken from it (``max_concurrency`` counts its tasks
    wherever they run, on Go workers too; ``rate`` counts what Python workers take). concurrency: handlers at once.
    shutdown_timeout: what running ones get to finish when the worker stops. retry_delay: wait before the next attempt,
    see ``RetryDelay``. is_failure: False for errors that must not count as a retry. max_crashes: workers that may die
    with a task before it is archived, 0 = any number. A task's own rules replace these three. cpu_processes: how many
    tasks with ``cpu=True`` run at once, each in a process; 0 = as many as there are CPUs. error_handler: told of each
    failed attempt, a plain function, must not block. health_check: called each ``health_check_interval`` with what
    keeps the worker from working, or None. middleware: around every handler, outermost first. What ``Tasks`` declare
    (``@tasks.on_error``, ``@tasks.middleware``, ``Tasks(worker=...)``) holds as well. aggregator: makes jobs of
    grouped tasks, with Asynq's rules or those of an ``Aggregate``; for the groups that the tasks' own ``aggregate``
    functions leave. recover_crashed: "requeue" gives tasks of a dead worker of ours back within about 10 s, as a crash
    and no retry; "retry" waits and counts as Go does. park_unknown: for how long tasks of a type that no worker knows
    are put off, at growing distances of up to 10 minutes, before they are archived. archive_max_size, archive_max_age:
    what the archive keeps when this worker adds to it, trimmed by 1,000 at a time; Go's workers and the inspector trim
    to Asynq's 9,999 and 90 days all the same.
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
        rules = settle(tasks, options)
        told, park_s = error_handlers(tasks, error_handler), rules.park_unknown // _SECOND
        policy = OutcomePolicy(tasks, rules.retry_delay, rules.is_failure, rules.max_crashes, told, park_s)
        self.id = uuid.uuid4().hex
        self.sources = sources = draw.sources_of(queues, rules.limits or {}, tasks.queues)
        self.clock = now = WorkerClock(clock)
        self._tasks = tasks
        self._driver = driver
        self._grace_s = shutdown_timeout.total_seconds()
        self._quit, self._hurry, self._running = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._run: asyncio.Task[None] | None = None
        self._threads = Threads(concurrency)
        self._handlers = Handlers(tasks, driver, now, self._threads, middlewares(tasks, middleware))
        self.runners = runners = Runners(concurrency, self._handlers, policy, now)
        slots = draw.Slots(sources, runners)
        split, ahead = slots.draw(by_rank=rules.strict), slots.plain and not rules.strict
        self.fetcher = fetcher = Fetcher(driver, sources, runners, now, self.id, split, ahead=ahead)
        self.heartbeat = Heartbeat(driver, sources, runners, now, this_process(self.id), strict=rules.strict)
        self.deadlines = Deadlines(runners, now)
        self.forwarder = Forwarder(driver, sources, now, fetcher.ring)
        requeue = rules.recover_crashed == "requeue"
        self.recoverer = Recoverer(driver, sources, now, self.id, policy, self.heartbeat, fetcher.ring, requeue=requeue)
        self.janitor = Janitor(driver, sources, now)
        self.poller = Poller(
            driver, sources, runners, now, (self.forwarder, self.recoverer, self.janitor), fetcher.ring
        )
        self.aggregator = Aggregator(driver, now, rules_of(tasks, aggregator))
        self.subscriber = Subscriber(driver, sources, now, self.deadlines.wake)
        self.completion = Completion(driver, now)
        self.waiters = {source: Waiter(driver, source, fetcher.ring) for source in sources}
        self.quarantine = Quarantine(driver, fetcher, policy, now)
        self.guards = guards = Guards(
            driver, tasks, fetcher, runners, slots, now, self._threads, self.heartbeat, cpu_processes, fair=ahead
        )
        self.surplus = Surplus(driver, sources, runners)
        most, age_s = rules.archive_max_size, rules.archive_max_age // _SECOND
        self._connect(partial(finish.archive, most=most, age_s=age_s))
        self._handlers.in_process, guards.on_begin = guards.run_in_process, self.deadlines.watch
        guards.watch(driver, self._parts, fetcher, rules.health_check, rules.health_check_interval.total_seconds())

    def _connect(self, archive: Finish) -> None:
        """Let the parts hear of each other."""
        for source in self.sources:
            source.on_due = partial(self.forwarder.plan, source)
            source.on_end = self.completion.ended
            source.archive = archive
        self.heartbeat.on_stop = self.deadlines.wake
        self.poller.on_groups = self.aggregator.plan
        self.fetcher.on_empty = lambda source: self.waiters[source].wake()
        self.runners.on_wait = self._waits
        if self.guards.limiter is not None:
            self.surplus.in_line = self.guards.limiter.recall

    def _waits(self, job: LeasedTask) -> None:
        self.deadlines.watch(job)
        self.surplus.watch()

    @property
    def health(self) -> Health:
        """What works and what does not, right now."""
        limiter = self.guards.limiter
        waiting = dict(limiter.waiting) if limiter else {}
        return Health(
            troubles(self._parts(), self.sources, self.runners),
            self.guards.blocks.worst,
            waiting,
            hung_types(self.runners),
            len(self.runners.backlog) + sum(waiting.values()),
            tuple(line_of(task_type) for task_type in sorted(self.runners.unknown)[:_MOST_NAMED]),
        )

    def stop(self) -> None:
        """Ask ``run`` to end: at once for what has not started, after the grace for what runs. Safe in a signal."""
        self._quit.set()

    def hurry(self) -> None:
        """As ``stop``, or after it: without the grace. What runs is given back now."""
        self._hurry.set()
        self._quit.set()

    async def run(self) -> None:
        """Work until ``stop``, once. Raises what the tasks' lifespan raises; a server that is away is waited for."""
        if self.heartbeat.status != "new":
            raise Misuse("a worker runs once", hint="make another one")
        async with contained_context(self._tasks.lifespan) as state:
            self._handlers.state = state
            self.heartbeat.status = "active"
            for part in self._parts():
                part.start()
            self.guards.start()
            _log.info("worker %s started: %s", self.id, self._what())
            self._running.set()
            try:
                await self._quit.wait()
            finally:
                await self._shut_down()
                good, bad = self.runners.succeeded, self.runners.failed
                _log.info("worker %s stopped: %d attempts succeeded, %d did not", self.id, good, bad)

    async def __aenter__(self) -> Self:
        """Run beside the application's own work. Raises what ``run`` raises at its start."""
        self._run = asyncio.create_task(self.run(), name="hustlex worker")
        started = asyncio.create_task(self._running.wait())
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
        queues = ", ".join(f"{source.name}={source.weight}" for source in self.sources)
        types = sorted(task.type for task in self._tasks)
        more = f" and {len(types) - _MOST_NAMED} more" if types[_MOST_NAMED:] else ""
        named = ", ".join(types[:_MOST_NAMED]) + more
        return f"queues {queues}; {self.runners.limit} slots; task types {named or 'none'}"

    def _parts(self) -> list[Service]:
        """In the order in which they stop."""
        last = (self.subscriber, self.deadlines, self.recoverer, self.heartbeat)
        return [*self._feeders(), *self.fetcher.services, *self.completion.services, *last]

    def _feeders(self) -> list[Service]:
        """What brings new work, or keeps house."""
        keepers = (self.surplus, self.poller, self.forwarder, self.janitor, self.aggregator, self.quarantine)
        return [*self.guards.services, *self.waiters.values(), *keepers]

    async def _shut_down(self) -> None:
        """Lease nothing more, give back what has not started, wait for the rest, give that back too, say goodbye."""
        self.fetcher.leasing = False
        self.heartbeat.status = "closed"
        self.heartbeat.wake()
        for part in self._feeders():
            await part.stop()
        waiting = [*self.runners.withdraw(), *self.guards.withdraw(), *self.quarantine.withdraw()]
        until = monotonic() + self._grace_s
        await self._unhurried(self.fetcher.landed(self._grace_s))
        await self._give_back([*waiting, *self.surplus.returning, *self.runners.withdraw(), *self.guards.withdraw()])
        await self._unhurried(self.runners.drained(max(0.0, until - monotonic())))
        await self._give_back([job for job in self.runners.waiting if not job.settled])
        await self.runners.close(0.1 if self._hurry.is_set() else 1.0)
        for part in self._parts():
            if part is not self.heartbeat:
                await part.stop()
        await self._flush()
        await self.completion.finish()
        await self.heartbeat.stop()
        await self._leave()
        await self.guards.stop()
        self._threads.close()

    async def _unhurried(self, wait: Coroutine[Any, Any, None]) -> None:
        """Wait for this, unless there is a hurry."""
        waits = [asyncio.create_task(wait), asyncio.create_task(self._hurry.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()

    async def _give_back(self, jobs: Sequence[LeasedTask]) -> None:
        """What fails stays held, and is recovered by others."""
        for job in jobs:
            job.settled = True
        failed, failure = await give_back(self._driver, self.sources, jobs)
        if failed:
            _log.error("%d tasks could not be given back: %s", len(failed), failure)

    async def _flush(self) -> None:
        """Send the last acknowledgements."""
        lane = self.fetcher.services[0]
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
