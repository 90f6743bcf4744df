"""What an application's tasks ask of the workers that run them, declared beside them: no worker need be constructed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Literal, TypedDict, TypeVar

from hustlex.core import check
from hustlex.errors import Error, Misuse
from hustlex.jobs import functions
from hustlex.jobs.define.context import CurrentJob
from hustlex.jobs.define.rules import IsFailure, RetryDelay, plain
from hustlex.jobs.lease.limits import Limits
from hustlex.jobs.wire import TaskMessage

ErrorHandler = Callable[[TaskMessage, Exception], object]
"""Told of every failed attempt, before anything is written. A plain function that does not block."""
Next = Callable[[], Awaitable[Any]]
Middleware = Callable[[CurrentJob, Next], Awaitable[Any]]
"""``async def log(job, handle): ...; return await handle()``."""
HealthCheck = Callable[[Error | None], object]
"""Told at each check what keeps the worker from working, None = nothing. A plain function that does not block."""

_Handler = TypeVar("_Handler", bound=ErrorHandler)
_Middleware = TypeVar("_Middleware", bound=Middleware)


class WorkerOptions(TypedDict, total=False):
    """How a worker treats its tasks. Given to a worker they go before what ``Tasks(worker=...)`` says; a task's own
    rules for retries and crashes go before both.
    """

    limits: Mapping[str, Limits]
    """By queue, what may be taken from it: ``max_concurrency`` counts its tasks wherever they run, on Go workers too;
    ``rate`` counts what Python workers take."""
    strict: bool
    """Whether the queue of the highest weight goes first, always; else weights are shares."""
    retry_delay: RetryDelay
    """The wait before the next attempt, see ``RetryDelay``."""
    is_failure: IsFailure
    """False for errors that must not count as a retry."""
    max_crashes: int
    """Workers that may die with a task before it is archived, 0 = any number."""
    health_check: HealthCheck | None
    """Called each ``health_check_interval`` with what keeps the worker from working, or None. A plain function that
    does not block."""
    health_check_interval: timedelta
    """Between two calls of ``health_check``."""
    recover_crashed: Literal["requeue", "retry"]
    """``requeue`` gives tasks of a dead worker of ours back within about 10 s, as a crash and no retry; ``retry`` waits
    and counts as Go does."""
    durability: Literal["memory", "fsync", "replica", "replica_fsync"]
    """What outcomes wait for: the disk, a replica. Until then they are acknowledged again, also to a server that took
    over; jobs are leased meanwhile. Default: that of the front's jobs, ``HustleX(durability={"jobs": ...})``, for a
    worker on ``hx.driver``; else memory."""
    park_unknown: timedelta
    """For how long tasks of a type that no worker knows are put off, at growing distances of up to 10 minutes, before
    they are archived."""
    archive_max_size: int
    """Tasks that the archive keeps when this worker adds to it, trimmed by 1,000 at a time. Go's workers and the
    inspector trim to Asynq's 9,999 all the same."""
    archive_max_age: timedelta
    """For how long, likewise; Asynq's are 90 days."""


class Hooks:
    """error_handlers, middlewares: in the order of their definition. worker_options: for every worker of the tasks."""

    def __init__(self, worker: WorkerOptions | None) -> None:
        self.error_handlers: list[ErrorHandler] = []
        self.middlewares: list[Middleware] = []
        if worker is not None:
            check.instance("worker", worker, dict, hint="pass WorkerOptions")
        self.worker_options: WorkerOptions = worker or {}
        unknown = sorted(self.worker_options.keys() - WorkerOptions.__annotations__.keys())
        if unknown:
            raise Misuse(f"worker has no option {unknown[0]}", hint=f"pass {', '.join(WorkerOptions.__annotations__)}")

    def on_error(self, handler: _Handler) -> _Handler:
        """Tell this function of every failed attempt of the workers that run these tasks: ``@tasks.on_error``.

        It gets the ``TaskMessage`` and the error, before anything is written; what it raises is logged. Raises Misuse
        for anything but a plain function.
        """
        self.error_handlers.append(plain("on_error", handler))
        return handler

    def middleware(self, layer: _Middleware) -> _Middleware:
        """Put this function around every handler of the workers that run these tasks: ``@tasks.middleware``.

        The first one defined is the outermost; those given to ``Worker`` are around all of them. An attempt fails in
        which a middleware ends before the handler has; ``raise RevokeTask`` drops a job without running it.
        """
        if not functions.is_async(check.function("middleware", layer)):
            raise Misuse("middleware is a plain function", hint="define it with async def, and await handle() in it")
        self.middlewares.append(layer)
        return layer

    def _take_hooks(self, other: Hooks) -> None:
        self.error_handlers += [handler for handler in other.error_handlers if handler not in self.error_handlers]
        self.middlewares += [layer for layer in other.middlewares if layer not in self.middlewares]
        mine, theirs = dict(self.worker_options), dict(other.worker_options)
        for name in mine.keys() & theirs.keys():
            if mine[name] != theirs[name]:
                raise Misuse(f"the worker option {name} is given twice", hint="give it in one place")
        self.worker_options = {**self.worker_options, **other.worker_options}
