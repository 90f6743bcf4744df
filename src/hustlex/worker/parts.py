"""All parts of a worker, made and put together here and nowhere else.

The way of a task is made from its end to its beginning, because each stage is handed the next one. What a stage must
tell an earlier one comes back through ``_ended`` and ``_watch``, or rings the bell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from hustlex import __version__
from hustlex.core.durability.aio import waiting
from hustlex.core.durability.level import MEMORY, Durability
from hustlex.core.op import AsyncDriver
from hustlex.core.process import resident_bytes
from hustlex.core.telemetry import leases_told
from hustlex.jobs.define.hooks import Middleware
from hustlex.jobs.define.tasks import Tasks
from hustlex.jobs.group.aggregate import Aggregate
from hustlex.jobs.keys import stop_channel
from hustlex.jobs.lease import finish, vitals
from hustlex.jobs.lease.vitals import Vitals
from hustlex.worker.clock import WorkerClock
from hustlex.worker.complete.completion import Completion
from hustlex.worker.execute.deadlines import Deadlines
from hustlex.worker.execute.executor import Executor
from hustlex.worker.execute.handlers import Handlers
from hustlex.worker.execute.outcomes import OutcomePolicy
from hustlex.worker.fetch.fetcher import FetchBell, Fetcher
from hustlex.worker.fetch.requests import ExchangeContext
from hustlex.worker.fetch.surplus import Surplus
from hustlex.worker.fetch.waiter import Waiter
from hustlex.worker.health.loop_monitor import Blocks, LoopMonitor
from hustlex.worker.health.watchdog import Checker, Watchdog, troubles
from hustlex.worker.limits.admission import TaskAdmission
from hustlex.worker.limits.allocation import Slots
from hustlex.worker.limits.limiter import TaskLimiter, limited
from hustlex.worker.limits.quarantine import Quarantine
from hustlex.worker.maintain.aggregator import Aggregator
from hustlex.worker.maintain.forwarder import Forwarder
from hustlex.worker.maintain.heartbeat import Heartbeat, served_by, this_process
from hustlex.worker.maintain.janitor import Janitor
from hustlex.worker.maintain.poller import Poller
from hustlex.worker.maintain.recorder import Recorder
from hustlex.worker.maintain.recoverer import Recoverer
from hustlex.worker.maintain.subscriber import Subscriber
from hustlex.worker.options import SettledOptions
from hustlex.worker.queue_state import LeasedTask, QueueState
from hustlex.worker.service import Service
from hustlex.worker.threads import Threads

_SECOND = timedelta(seconds=1)


class WorkerParts:
    """Fetcher, admission, executor, completion; and what keeps house beside them."""

    def __init__(
        self,
        driver: AsyncDriver,
        tasks: Tasks,
        queues: Sequence[QueueState],
        clock: WorkerClock,
        server_id: str,
        policy: OutcomePolicy,
        options: SettledOptions,
        *,
        concurrency: int,
        cpu_processes: int,
        middleware: Sequence[Middleware],
        aggregates: Sequence[Aggregate],
        leave: Callable[[], None],
    ) -> None:
        """leave: called when somebody asks from outside that this worker stops."""
        self.queues, self.clock = queues, clock
        self.bell = bell = FetchBell()
        self._compose_way(driver, tasks, server_id, policy, options, concurrency, cpu_processes, middleware)
        executor, woken, stopped = self.executor, bell.ring, self.deadlines.wake
        me, strict, requeue = this_process(server_id), options.strict, options.recover_crashed == "requeue"
        self.heartbeat = Heartbeat(driver, queues, executor, clock, me, self._report, stopped, strict=strict)
        ours = stop_channel(server_id)
        self.subscriber = Subscriber(driver, queues, clock, self.forwarder.plan, stopped, ours, leave)
        self.recoverer = Recoverer(driver, queues, clock, server_id, policy, self.heartbeat, woken, requeue=requeue)
        self.janitor = Janitor(driver, queues, clock)
        self.aggregator = Aggregator(driver, clock, aggregates)
        keepers = (self.forwarder, self.recoverer, self.janitor, self.aggregator)
        self.recorder = Recorder(driver, clock, policy.failures)
        advancer = self.completion.workflow_advancer
        self.poller = Poller(driver, queues, executor, clock, keepers, self.recorder, advancer, woken)
        self._served = served_by(tasks)
        self.loop_monitor = LoopMonitor(driver, self.heartbeat, self.blocks, clock)
        self.watchdog = Watchdog(self.services, self.fetcher, executor)
        check, interval_s = options.health_check, options.health_check_interval.total_seconds()
        self.checker = None if check is None else Checker(driver, check, interval_s, self.troubles)

    def _compose_way(
        self,
        driver: AsyncDriver,
        tasks: Tasks,
        server_id: str,
        policy: OutcomePolicy,
        options: SettledOptions,
        concurrency: int,
        cpu_processes: int,
        middleware: Sequence[Middleware],
    ) -> None:
        queues, clock, ring = self.queues, self.clock, self.bell.ring
        self.completion = Completion(driver, clock)
        self.blocks = Blocks()
        self.handlers = Handlers(tasks, driver, clock, Threads(concurrency), middleware, self._watch)
        self.executor = executor = Executor(
            concurrency,
            self.handlers,
            policy,
            clock,
            ended=self._ended if limited(tasks) else ring,
            waits=self._watch,
            blocked=self.blocks.note,
        )
        self.deadlines = Deadlines(executor, clock)
        slots = Slots(queues, executor, strict=options.strict)
        self.limiter = (
            TaskLimiter(driver, tasks, executor, slots, clock, cpu_processes, ring) if limited(tasks) else None
        )
        self.surplus = Surplus(driver, queues, executor, self.limiter)
        self.quarantine = Quarantine(driver, policy, clock, (self.limiter or executor).feed)
        self.admission = TaskAdmission(self.quarantine, self.limiter, executor, slots)
        self.waiters = {queue: Waiter(driver, queue, ring) for queue in queues}
        self.forwarder = Forwarder(driver, queues, clock, ring)
        archive = partial(finish.archive, most=options.archive_max_size, age_s=options.archive_max_age // _SECOND)
        told = self.completion.ended, leases_told(driver.hook)
        exchange = ExchangeContext(server_id, clock, archive, self.forwarder.plan, *told)
        safe = None if options.durability == MEMORY else waiting(driver, Durability(options.durability))
        self.fetcher = Fetcher(driver, queues, slots, self.admission, exchange, self.waiters, self.bell, safe)

    def _ended(self, job: LeasedTask) -> None:
        """Where tasks have limits: an attempt is over, its place is free, its outcome can be sent."""
        assert self.limiter is not None
        self.limiter.done(job)
        self.bell.ring()

    def _watch(self, job: LeasedTask) -> None:
        """A handler began to wait, or has another time."""
        self.deadlines.watch(job)
        if self.executor.full:
            self.surplus.watch()

    def feeders(self) -> list[Service]:
        """What brings new work, or keeps house, in the order in which they stop."""
        guards = [part for part in (self.limiter, self.watchdog, self.checker) if part is not None]
        keepers = (self.surplus, self.poller, self.forwarder, self.janitor, self.aggregator, self.quarantine)
        return [*guards, *self.waiters.values(), *keepers]

    def services(self) -> list[Service]:
        """All of them, in the order in which they stop."""
        last = (self.subscriber, self.deadlines, self.recoverer, self.heartbeat)
        return [*self.feeders(), *self.fetcher.services, *self.completion.services, *last]

    def ahead(self) -> int:
        """Tasks leased and not started."""
        return len(self.executor.backlog) + sum(self.admission.waiting.values())

    def _report(self) -> bytes:
        """What a heartbeat tells of this worker."""
        blocks, trouble = vitals.bounded(self.blocks.worst, self.troubles())
        lag, hung = self.loop_monitor.lag, len(self.executor.hung)
        now = Vitals(__version__, lag, resident_bytes(), self.ahead(), hung, blocks, trouble)
        return vitals.with_vitals(self._served, now)

    def troubles(self) -> dict[str, str]:
        """What keeps each part or queue that does not work from working, by its name."""
        return troubles(self.services(), self.queues, self.executor)
