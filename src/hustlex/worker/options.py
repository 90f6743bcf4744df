"""How a worker treats its tasks: what it was given, else what the tasks' own module says, else the defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import msgspec

from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.jobs.backoff import default_delay
from hustlex.jobs.hooks import ErrorHandler, HealthCheck, Middleware, WorkerOptions, plain
from hustlex.jobs.limits import Limits
from hustlex.jobs.registry import Tasks
from hustlex.jobs.rules import IsFailure, RetryDelay, Rules

_TICK = timedelta(milliseconds=1)


def every_error(_: Exception) -> bool:
    """The default predicate: every error is a failure."""
    return True


class Settled(msgspec.Struct, frozen=True):
    """``WorkerOptions``, complete. Raises Misuse for what can never work."""

    limits: Mapping[str, Limits] | None = None
    strict: bool = False
    retry_delay: RetryDelay = default_delay
    is_failure: IsFailure = every_error
    max_crashes: int = 3
    health_check: HealthCheck | None = None
    health_check_interval: timedelta = timedelta(seconds=15)
    recover_crashed: str = "requeue"
    park_unknown: timedelta = timedelta(days=1)
    archive_max_size: int = 9_999
    archive_max_age: timedelta = timedelta(days=90)

    def __post_init__(self) -> None:
        for name in ("retry_delay", "is_failure", "max_crashes"):
            if getattr(self, name) is None:
                raise Misuse(f"{name} cannot be None for a worker", hint="leave it out for the default")
        Rules(self.retry_delay, self.is_failure, self.max_crashes)
        if self.limits is not None:
            check.instance("limits", self.limits, Mapping, hint="pass Limits by the name of their queue")
            for name, limits in self.limits.items():
                check.instance(f"limits[{name!r}]", limits, Limits)
        check.flag("strict", self.strict)
        if self.health_check is not None:
            plain("health_check", self.health_check)
        check.duration("health_check_interval", self.health_check_interval, _TICK)
        check.one_of("recover_crashed", self.recover_crashed, ("requeue", "retry"))
        check.duration("park_unknown", self.park_unknown)
        check.whole("archive_max_size", self.archive_max_size)
        check.duration("archive_max_age", self.archive_max_age)


def settle(tasks: Tasks, given: WorkerOptions) -> Settled:
    """What holds. Raises Misuse, also for an option that there is not."""
    check.instance("tasks", tasks, Tasks)
    unknown = sorted(given.keys() - set(Settled.__struct_fields__))
    if unknown:
        raise Misuse(f"a worker has no option {unknown[0]}", hint="see hustlex.worker.Worker")
    return Settled(**cast("dict[str, Any]", {**tasks.worker_options, **given}))


def error_handlers(tasks: Tasks, given: ErrorHandler | None) -> tuple[ErrorHandler, ...]:
    """The worker's own, then those of the tasks. Raises Misuse."""
    own = () if given is None else (plain("error_handler", given),)
    return (*own, *tasks.error_handlers)


def middlewares(tasks: Tasks, given: Sequence[Middleware]) -> tuple[Middleware, ...]:
    """Outermost first: the worker's own, then those of the tasks. Raises Misuse."""
    check.instance("middleware", given, Sequence, hint="pass a list of async functions")
    return (*(check.function("middleware", layer) for layer in given), *tasks.middlewares)
