"""From a stored task to a running call: the function by type, typed arguments, context, middleware, thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from hustlex.core.op import Arg, AsyncDriver
from hustlex.core.telemetry import AttemptStart, Telemetry, begin_attempt
from hustlex.errors import Error, Misuse
from hustlex.jobs import functions, gotext
from hustlex.jobs.define.context import CURRENT, CurrentJob
from hustlex.jobs.define.hooks import Middleware, Next
from hustlex.jobs.define.tasks import Task, Tasks
from hustlex.jobs.stream.ops import append, write_result
from hustlex.jobs.wire import TaskMessage
from hustlex.worker.attempt_errors import DeadlineExceeded, HandlerNotFound
from hustlex.worker.boundary import contained
from hustlex.worker.clock import WorkerClock, monotonic
from hustlex.worker.lifespans import StateByTask
from hustlex.worker.queue_state import LeasedTask
from hustlex.worker.threads import Threads

if TYPE_CHECKING:
    from hustlex.worker.execute.processes import Processes

_set_current = CURRENT.set
_UNBOUNDED_MS = 1_800_000
_FORGOTTEN = "await handle() in it, or raise RevokeTask to drop the job"
PATIENCE_MS = 5_000
"""How long an async handler that was told to stop may take to end."""
_SLOWEST_START_MS = 60_000
"""What the start of a process may take."""


class Handlers:
    """moved: told of jobs whose time ends at another moment than at their start."""

    def __init__(
        self,
        tasks: Tasks,
        driver: AsyncDriver,
        clock: WorkerClock,
        threads: Threads,
        middleware: Sequence[Middleware],
        moved: Callable[[LeasedTask], None],
    ) -> None:
        self._state: Any = None
        self._states: StateByTask | None = None
        self._tasks = tasks
        self._driver = driver
        self._hook = driver.hook if isinstance(driver.hook, Telemetry) else None
        self._clock = clock
        self._threads = threads
        self._processes = _processes(tasks, threads)
        self._middleware = tuple(reversed(middleware))
        self._moved = moved
        self._send, self._report = self._write, self._append
        """Bound once: each job has both, and few use one."""

    def share(self, state: Any) -> None:
        """What the lifespan made, for ``current_job().state``; before the first job."""
        if isinstance(state, StateByTask):
            self._states = state
        else:
            self._state = state

    def begin(self, job: LeasedTask, began: float) -> tuple[Coroutine[Any, Any, Any], Context]:
        """The call, not yet started, and the context to run it in.

        began: monotonic. Raises what the attempt fails with: its fate, DeadlineExceeded, HandlerNotFound, PayloadError.
        """
        if job.fate is not None:
            raise job.fate
        message = job.message
        now_ms = self._clock.now_ms()
        deadline_ms = attempt_ends_ms(message, now_ms)
        job.start(began, now_ms, deadline_ms, PATIENCE_MS)
        if deadline_ms <= now_ms:
            raise DeadlineExceeded
        task = self._tasks.find(message.type)
        state = self._state if self._states is None else self._states.of(task)
        current = CurrentJob(message, deadline_ms, state, partial(self._send, job), partial(self._report, job))
        context = copy_context()
        context.run(_set_current, current)
        if self._hook is not None:
            job.tell(context.run(begin_attempt, self._hook, _attempt(message, task)))
        if task is not None and task.is_async and not self._middleware:
            return task.function(**task.arguments(message.payload)), context
        return self._wrapped(job, task, current), context

    def _wrapped(self, job: LeasedTask, task: Task[..., Any] | None, current: CurrentJob) -> Coroutine[Any, Any, Any]:
        if task is None:
            call: Next = partial(_not_found, current.type)
        elif task.is_async:
            call = partial(task.function, **task.arguments(current.payload))
        elif task.cpu:
            task.arguments(current.payload)
            call = partial(self._in_process, job, task, current)
        else:
            job.bear(0)
            call = partial(self._in_thread, partial(task.function, **task.arguments(current.payload)))
        if not self._middleware:
            return _awaited(call)
        ended: list[LeasedTask] = []
        call = partial(contained, partial(self._keep_value, job, call, ended))
        for middleware in self._middleware:
            call = partial(_through, middleware, current, call)
        return _around(call, ended)

    async def _keep_value(self, job: LeasedTask, call: Next, ended: list[LeasedTask]) -> Any:
        """What middleware is around: the handler with all that it leads to, whose value is kept whoever drops it."""
        try:
            value = await call()
            while (rest := self.returned(job, value)) is not None:
                value = await rest
            return value
        finally:
            ended.append(job)

    def returned(self, job: LeasedTask, value: Any) -> Coroutine[Any, Any, Any] | None:
        """Keep what a handler returned as the job's result, or answer what is still to be awaited of it.

        Raises PayloadError for a value that cannot be the task's result.
        """
        rest = functions.rest_of(value, job.message.type)
        if rest is not None:
            job.bear(PATIENCE_MS)
            return _awaiting(rest)
        task = self._tasks.find(job.message.type)
        if task is not None and value is not None and not job.wrote:
            job.keep(task.result.encode(value))
        return None

    async def _in_thread(self, function: Callable[[], Any]) -> Any:
        """A thread cannot be stopped: when told to, wait for its end all the same; it holds the slot, and its word may
        count."""
        future = self._threads.submit(function)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            return future.result()

    async def _in_process(self, job: LeasedTask, task: Task[..., Any], current: CurrentJob) -> Any:
        """The start of its process takes nothing from its time."""

        def begins() -> None:
            deadline_ms = attempt_ends_ms(job.message, self._clock.now_ms())
            job.allow(deadline_ms)
            current._ends_at(deadline_ms)
            self._moved(job)

        assert self._processes is not None
        job.allow(job.deadline_ms + _SLOWEST_START_MS)
        return await self._processes.run(task, current, begins)

    async def close(self) -> None:
        """End the processes that have nothing to do, and the threads."""
        if self._processes is not None:
            await self._processes.close()
        self._threads.close()

    async def _write(self, job: LeasedTask, data: bytes) -> bool:
        """Refused once the attempt is over or the lease has ended."""
        if not _is_ours(job):
            return False
        written = await self._driver.run(write_result(job.queue.name, job.message.id, data))
        if written and not job.settled:
            job.keep(data, wrote=True)
        return written

    async def _append(self, job: LeasedTask, fields: Sequence[Arg]) -> bool:
        """Never raises for a server that is away: no job fails because nobody could hear of it."""
        if not _is_ours(job):
            return False
        try:
            heard = await self._driver.run(append(job.queue.name, job.message.id, fields))
        except Error:
            return False
        if heard and not job.settled:
            job.queue.followed.add(job.id)
        return heard


def _attempt(message: TaskMessage, task: Task[..., Any] | None) -> AttemptStart:
    """What is told of it: the type as it is registered, since one on the wire may go on with an id."""
    known = "" if task is None else task.type
    return AttemptStart(known, message.queue, message.id, message.retried + 1, message.retry, message.headers)


def _processes(tasks: Tasks, threads: Threads) -> Processes | None:
    """Only where tasks compute: they bring modules that nobody else needs."""
    if not any(task.cpu for task in tasks):
        return None
    from hustlex.worker.execute.processes import Processes

    return Processes(threads)


def _is_ours(job: LeasedTask) -> bool:
    return not job.settled and job.fate is None and job.lease_until >= monotonic()


async def _awaited(call: Next) -> Any:
    return await call()


async def _through(middleware: Middleware, current: CurrentJob, call: Next) -> Any:
    """One layer. What it returns is awaited if it can be, as with a handler: ``return handle()`` is the handler."""
    value: Any = middleware(current, call)
    while (rest := functions.rest_of(value, current.type)) is not None:
        value = await rest
    return value


async def _around(call: Next, ended: list[LeasedTask]) -> None:
    """All layers. A job must not count as done because a layer forgot its handler."""
    await call()
    if not ended:
        raise Misuse("a middleware ended before the handler did", hint=_FORGOTTEN)


async def _awaiting(rest: Awaitable[Any]) -> Any:
    return await rest


async def _not_found(task_type: str) -> None:
    raise HandlerNotFound(f"handler not found for task {gotext.quote(task_type)}")


def attempt_ends_ms(message: TaskMessage, now_ms: int) -> int:
    """Unix ms: the earlier of timeout and deadline; half an hour when the task has neither."""
    timeout_ms, deadline_ms = message.timeout * 1000, message.deadline * 1000
    if not deadline_ms:
        return now_ms + (timeout_ms or _UNBOUNDED_MS)
    return min(now_ms + timeout_ms, deadline_ms) if timeout_ms else deadline_ms
