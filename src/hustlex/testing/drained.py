"""Run everything that waits, by the worker's own engine, until nothing is left to do."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.errors import Error, NotFound
from hustlex.jobs.api import Inspector
from hustlex.jobs.backoff import default_delay
from hustlex.jobs.context import CurrentJob
from hustlex.jobs.ops import inspect
from hustlex.jobs.registry import Tasks
from hustlex.jobs.types import State, TaskInfo
from hustlex.jobs.verdicts import RevokeTask, is_or_follows
from hustlex.jobs.wire import TaskMessage
from hustlex.worker import Middleware, Worker
from hustlex.worker.handlers import Next
from hustlex.worker.verdict import IsFailure, RetryDelay, every_error

if TYPE_CHECKING:
    from hustlex.app import HustleX

_FROM_LIFESPAN: Any = object()
_GRACE = timedelta(seconds=1)
_POLL_S = 0.003


class Attempt(msgspec.Struct, frozen=True):
    """A handler's run, ended. error: None = it succeeded."""

    id: str
    queue: str
    type: str
    error: Exception | None


class Drained(msgspec.Struct, frozen=True):
    """How many attempts ended how, by task type; a type that is not there counts 0.

    done: succeeded. retried: failed, and repeated now or later. failed: given up, the task is archived. revoked:
    dropped by RevokeTask. attempts: each of them, in the order of their ends.
    """

    done: dict[str, int]
    retried: dict[str, int]
    failed: dict[str, int]
    revoked: dict[str, int]
    attempts: tuple[Attempt, ...]


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
    within: timedelta = timedelta(seconds=30),
) -> Drained:
    """Run a worker until nothing is pending or due any more, also of what the handlers enqueue.

    hx: or a driver. queues: by default all. state: ``current_job().state``; left out, the tasks' lifespan makes it.
    clock: by default that of ``hx``; with a FixedClock, what is scheduled runs once the test has moved it there, and
    timeouts stand still. concurrency: 1 runs the jobs of each queue in their order.

    Retries, archiving, locks and retention are the worker's own. Paused queues rest. Raises TimeoutError when there is
    still something to do after ``within``, and what the lifespan raises.
    """
    driver, now = _parts(hx, clock)
    chosen = tasks if state is _FROM_LIFESPAN else _with_state(tasks, state)
    names = None if queues is None else list(queues)
    log = _Log()
    options: dict[str, Any] = {
        "concurrency": concurrency,
        "clock": now,
        "retry_delay": retry_delay,
        "is_failure": is_failure,
        "error_handler": log.failed,
        "middleware": (log.watch, *middleware),
    }
    try:
        async with asyncio.timeout(within.total_seconds()):
            await _drain(driver, chosen, names, log, options)
    except TimeoutError:
        raise TimeoutError(f"the queues are not empty after {within}; {log}") from None
    return await _summary(driver, log.attempts, now())


class _Log:
    """attempts: those that ended. running: types of those that did not, by task id. trouble: the worker's."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.running: dict[str, str] = {}
        self.trouble: dict[str, str] = {}

    async def watch(self, job: CurrentJob, handle: Next) -> Any:
        """The outermost middleware."""
        self.running[job.id] = job.type
        try:
            value = await handle()
        finally:
            del self.running[job.id]
        self.attempts.append(Attempt(job.id, job.queue, job.type, None))
        return value

    def failed(self, message: TaskMessage, error: Exception) -> None:
        """Told by the worker; some attempts fail before any middleware sees them."""
        self.attempts.append(Attempt(message.id, message.queue, message.type, error))

    def __str__(self) -> str:
        running = f"running: {', '.join(sorted(self.running.values())) or 'nothing'}"
        return f"{running}; {len(self.attempts)} attempts ended; the worker's trouble: {self.trouble or 'none'}"


def _parts(hx: HustleX | AsyncDriver, clock: Clock | None) -> tuple[AsyncDriver, Clock]:
    front: Any = hx
    if hasattr(front, "driver"):
        return front.driver, clock or front._clock
    return front, clock or server_clock


def _with_state(tasks: Tasks, state: Any) -> Tasks:
    same = Tasks(lifespan=lambda: nullcontext(state))
    same.include(tasks)
    return same


async def _drain(
    driver: AsyncDriver, tasks: Tasks, queues: Sequence[str] | None, log: _Log, options: dict[str, Any]
) -> None:
    """One worker after the other, until there is nothing to do, or nothing that can be done."""
    look = partial(_busy, Inspector(driver, clock=options["clock"]), queues, options["clock"])
    while busy := await look():
        before = len(log.attempts)
        worker = Worker(driver, tasks, queues=dict.fromkeys(busy, 1), strict=True, shutdown_timeout=_GRACE, **options)
        run = asyncio.create_task(worker.run())
        try:
            while not run.done() and (log.running or await look()):
                await asyncio.wait([run], timeout=_POLL_S)
        finally:
            log.trouble = worker.health.trouble
            worker.stop()
            await run
        if len(log.attempts) == before:
            return


async def _busy(inspector: Inspector, queues: Sequence[str] | None, clock: Clock) -> list[str]:
    """The queues, but for paused ones, that have pending tasks, or scheduled ones and retries that are due."""
    known = await inspector.queues()
    now_ms = clock() or int(time.time() * 1000)
    found = []
    for name in known if queues is None else [name for name in queues if name in known]:
        info = await inspector.queue(name)
        later = [await inspector.tasks(name, state, size=1) for state in (State.SCHEDULED, State.RETRY)]
        due = [task for first in later for task in first if _is_due(task, now_ms)]
        if not info.paused and (info.pending or due):
            found.append(name)
    return found


def _is_due(task: TaskInfo, now_ms: int) -> bool:
    return task.next_process_at is not None and task.next_process_at.timestamp() * 1000 <= now_ms


async def _summary(driver: AsyncDriver, attempts: Sequence[Attempt], now_ms: int) -> Drained:
    """What became of the last failure of a task is where the task is now; its earlier ones were repeated."""
    last = {(attempt.queue, attempt.id): attempt for attempt in attempts}
    ends = [attempt for attempt in last.values() if attempt.error is not None]
    looks = await driver.run_many([inspect.task(end.queue, end.id, now_ms) for end in ends])
    fates = {id(end): _fate(end, look) for end, look in zip(ends, looks, strict=True)}
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("done", "retried", "failed", "revoked")}
    for attempt in attempts:
        fate = "done" if attempt.error is None else fates.get(id(attempt), "retried")
        counts[fate][attempt.type] += 1
    return Drained(**{name: dict(count) for name, count in counts.items()}, attempts=tuple(attempts))


def _fate(end: Attempt, look: TaskInfo | Error) -> str:
    if isinstance(look, NotFound) and end.error is not None and is_or_follows(end.error, RevokeTask):
        return "revoked"
    if isinstance(look, Error) and not isinstance(look, NotFound):
        raise look
    return "failed" if isinstance(look, Error) or look.state is State.ARCHIVED else "retried"
