"""Run everything that waits, by the worker's own engine, until nothing is left to do."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.errors import Error, NotFound
from hustlex.jobs.define.backoff import default_delay
from hustlex.jobs.define.context import CurrentJob
from hustlex.jobs.define.hooks import Next
from hustlex.jobs.define.rules import IsFailure, RetryDelay, Rules, every_error
from hustlex.jobs.define.signals import RevokeTask, is_or_follows
from hustlex.jobs.define.tasks import Tasks
from hustlex.jobs.inspect import ops as inspect
from hustlex.jobs.inspect.types import QueueInfo, TaskInfo
from hustlex.jobs.inspector import Inspector
from hustlex.jobs.types import State
from hustlex.jobs.wire import TaskMessage
from hustlex.worker import HandlerNotFound, Middleware, Worker
from hustlex.worker.clock import WorkerClock
from hustlex.worker.maintain.aggregator import Aggregator, rules_of
from hustlex.worker.queue_state import QueueState

if TYPE_CHECKING:
    from hustlex.app import HustleX

_FROM_LIFESPAN: Any = object()
_GRACE = timedelta(seconds=1)
_POLL_S = 0.003
_PARTING_S = 10.0
_MOST_NAMED = 3


class Attempt(msgspec.Struct, frozen=True):
    """A handler's run, ended. error: None = it succeeded."""

    id: str
    queue: str
    type: str
    error: Exception | None


class Drained(msgspec.Struct, frozen=True):
    """How many attempts ended how, by task type; a type that is not there counts 0."""

    done: dict[str, int]
    """Succeeded."""
    retried: dict[str, int]
    """Failed and repeated, now or later; or put off, because no task has this type."""
    failed: dict[str, int]
    """Given up, the task is archived."""
    revoked: dict[str, int]
    """Dropped by RevokeTask."""
    attempts: tuple[Attempt, ...]
    """Each, in the order of their ends."""


@answering
async def drain(
    hx: HustleX | AsyncDriver,
    tasks: Tasks,
    *,
    queues: Iterable[str] | None = None,
    state: Any = _FROM_LIFESPAN,
    clock: Clock | None = None,
    concurrency: int = 1,
    retry_delay: RetryDelay = default_delay,
    is_failure: IsFailure = every_error,
    middleware: Sequence[Middleware] = (),
    timeout: timedelta = timedelta(seconds=30),
) -> Drained:
    """Run a worker until nothing is pending or due any more, also of what the handlers enqueue.

    hx: or a driver. queues: by default all. state: ``current_job().state``; left out, the tasks' lifespan makes it.
    clock: by default that of ``hx``; with a FixedClock, what is scheduled runs once the test has moved it there, and
    timeouts stand still. concurrency: 1 runs the jobs of each queue in their order.

    Retries, archiving, locks, retention, groups and workflows are the worker's own. Paused queues rest. Raises
    TimeoutError when there is still something to do after ``timeout``, with the names of what does not end and what the
    lifespan raises.
    """
    check.instance("tasks", tasks, Tasks)
    driver, now = _parts(hx, clock)
    chosen = tasks if state is _FROM_LIFESPAN else _with_state(tasks, state)
    names = None if queues is None else [check.text("queue", each) for each in check.several("queues", queues)]
    log = _AttemptLog()
    Rules(retry_delay, is_failure)  # refused also when there is nothing to run
    options: dict[str, Any] = {
        "concurrency": concurrency,
        "clock": now,
        "error_handler": log.failed,
        "middleware": (log.watch, *check.several("middleware", middleware)),
    }
    if retry_delay is not default_delay:
        options["retry_delay"] = retry_delay
    if is_failure is not every_error:
        options["is_failure"] = is_failure
    look = _Look(Inspector(driver, clock=now), names, now)
    until = time.monotonic() + check.duration("timeout", timeout).total_seconds()
    while busy := await _aggregated(driver, chosen, look, now, until):
        before = len(log.attempts)
        worker = Worker(driver, chosen, queues=dict.fromkeys(busy, 1), strict=True, shutdown_timeout=_GRACE, **options)
        await _work(worker, set(busy), look, log, until)
        if len(log.attempts) == before:
            break  # what is left nobody can run
    return await _summary(driver, log.attempts, now())


class _AttemptLog:
    """attempts: those that ended. running: types of the others, by task id."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.running: dict[str, str] = {}

    async def watch(self, job: CurrentJob, handle: Next) -> Any:
        """The outermost middleware."""
        self.running[job.id] = job.type
        try:
            value = await handle()
        except HandlerNotFound as error:  # the worker puts the task off and tells nobody; a test wants to know
            self.attempts.append(Attempt(job.id, job.queue, job.type, error))
            raise
        finally:
            del self.running[job.id]
        self.attempts.append(Attempt(job.id, job.queue, job.type, None))
        return value

    def failed(self, message: TaskMessage, error: Exception) -> None:
        """Told by the worker; some attempts fail before any middleware sees them."""
        if not isinstance(error, HandlerNotFound):
            self.attempts.append(Attempt(message.id, message.queue, message.type, error))

    def describe(self, worker: Worker) -> str:
        """What is going on, for whoever waited too long."""
        if worker.parts.heartbeat.status == "new":
            return "the lifespan of the tasks has not made what handlers share"
        running = ", ".join(f"{kind} (id {task_id})" for task_id, kind in sorted(self.running.items())) or "nothing"
        ended = Counter(attempt.type for attempt in self.attempts).most_common(_MOST_NAMED)
        most = ", ".join(f"{kind} ({times})" for kind, times in ended) or "none"
        trouble = worker.health.trouble or "none"
        return f"running: {running}; attempts that ended, most first: {most}; the worker's trouble: {trouble}"


def _parts(hx: HustleX | AsyncDriver, clock: Clock | None) -> tuple[AsyncDriver, Clock]:
    front: Any = hx
    if clock is not None:
        check.function("clock", clock)
    if not hasattr(front, "driver"):
        check.protocol("hx", hx, "run", "run_many", hint="pass a HustleX or its driver")
    if hasattr(front, "driver"):
        return front.driver, clock or front._clock
    return front, clock or server_clock


def _with_state(tasks: Tasks, state: Any) -> Tasks:
    same = Tasks(lifespan=lambda: nullcontext(state))
    same.include(tasks)
    return same


async def _work(worker: Worker, queues: set[str], look: _Look, log: _AttemptLog, until: float) -> None:
    """Run a worker until its queues are empty. Raises TimeoutError, and what ended the worker."""
    run = asyncio.create_task(worker.run())
    try:
        while not run.done() and queues.intersection(await look.busy()):
            await asyncio.wait([run], timeout=_POLL_S)
            if time.monotonic() > until:
                raise TimeoutError(f"the queues are not empty; {log.describe(worker)}")
    finally:
        await _end(worker, run)


async def _end(worker: Worker, run: asyncio.Task[None]) -> None:
    """Raises TimeoutError when the lifespan does not begin or does not end."""
    if worker.parts.heartbeat.status == "new":
        run.cancel()
    worker.stop()
    await asyncio.wait([run], timeout=_PARTING_S)
    if not run.done():
        run.cancel()
        raise TimeoutError("the worker does not end: look at the lifespan of the tasks")
    if not run.cancelled():
        await run


async def _aggregated(driver: AsyncDriver, tasks: Tasks, look: _Look, clock: Clock, until: float) -> list[str]:
    """Make the batches that it is time for by this clock; then what there is to do."""
    aggregator = Aggregator(driver, WorkerClock(clock), rules_of(tasks, None))
    for name in await look.grouped():
        aggregator.plan(QueueState(name, 1))
    await aggregator.tick()
    try:
        async with asyncio.timeout(until - time.monotonic()):
            await aggregator.idle()
    except TimeoutError:
        groups = ", ".join(sorted(group for _, group in aggregator.working))
        raise TimeoutError(f"aggregate functions do not end, of the groups {groups}") from None
    finally:
        await aggregator.stop()
    return await look.busy()


class _Look:
    """What there is to do. Tasks that somebody else held at the first look are nobody's business here."""

    def __init__(self, inspector: Inspector, queues: Sequence[str] | None, clock: Clock) -> None:
        self._inspector = inspector
        self._queues = queues
        self._clock = clock
        self._strangers: dict[str, int] | None = None

    async def busy(self) -> list[str]:
        """The queues, but for paused ones, with tasks that are pending, due, or in our hands."""
        infos = await self._infos()
        if self._strangers is None:
            self._strangers = {info.name: info.active for info in infos}
        return [info.name for info in infos if await self._has_work(info, self._strangers.get(info.name, 0))]

    async def grouped(self) -> list[str]:
        """The queues with tasks that wait in groups."""
        return [info.name for info in await self._infos() if info.groups]

    async def _infos(self) -> list[QueueInfo]:
        known = await self._inspector.queues()
        names = known if self._queues is None else [name for name in self._queues if name in known]
        return [await self._inspector.queue(name) for name in names]

    async def _has_work(self, info: QueueInfo, strangers: int) -> bool:
        if info.active > strangers:
            return True
        if info.paused:
            return False
        return info.pending > 0 or await self._is_due(info, State.SCHEDULED) or await self._is_due(info, State.RETRY)

    async def _is_due(self, info: QueueInfo, state: State) -> bool:
        now_ms = self._clock() or int(time.time() * 1000)
        first = await self._inspector.tasks(info.name, state, size=1)
        return any(task.next_process_at and task.next_process_at.timestamp() * 1000 <= now_ms for task in first)


async def _summary(driver: AsyncDriver, attempts: Sequence[Attempt], now_ms: int) -> Drained:
    """What became of the last failure of a task is where the task is now; its earlier ones were repeated."""
    last = {(attempt.queue, attempt.id): attempt for attempt in attempts}
    ends = [attempt for attempt in last.values() if attempt.error is not None]
    looks = await driver.run_many([inspect.task(end.queue, end.id, now_ms) for end in ends])
    endings = {id(end): _ended_as(end, look) for end, look in zip(ends, looks, strict=True)}
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("done", "retried", "failed", "revoked")}
    for attempt in attempts:
        fate = "done" if attempt.error is None else endings.get(id(attempt), "retried")
        counts[fate][attempt.type] += 1
    return Drained(**{name: dict(count) for name, count in counts.items()}, attempts=tuple(attempts))


def _ended_as(end: Attempt, look: TaskInfo | Error) -> str:
    if isinstance(look, NotFound) and end.error is not None and is_or_follows(end.error, RevokeTask):
        return "revoked"
    if isinstance(look, Error) and not isinstance(look, NotFound):
        raise look
    return "failed" if isinstance(look, Error) or look.state is State.ARCHIVED else "retried"
