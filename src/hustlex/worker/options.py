"""How a worker treats its tasks: what it was given, else what the tasks' own module says, else the defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import msgspec

from hustlex.errors import Misuse
from hustlex.jobs.define.backoff import default_delay
from hustlex.jobs.define.hooks import ErrorHandler, HealthCheck, Middleware, WorkerOptions
from hustlex.jobs.define.rules import IsFailure, RetryDelay, Rules, every_error
from hustlex.jobs.define.tasks import Tasks
from hustlex.jobs.lease.limits import Limits
from hustlex.worker.judge import judge


class SettledOptions(msgspec.Struct, frozen=True):
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
        judge({name: getattr(self, name) for name in self.__struct_fields__})


def settle(tasks: Tasks, given: WorkerOptions) -> SettledOptions:
    """What holds. Raises Misuse, also for an option that there is not, and a task that could never be run."""
    tasks.check()
    unknown = sorted(given.keys() - set(SettledOptions.__struct_fields__))
    if unknown:
        raise Misuse(f"a worker has no option {unknown[0]}", hint="see hustlex.worker.Worker")
    return SettledOptions(**cast("dict[str, Any]", {**tasks.worker_options, **given}))


def error_handlers(tasks: Tasks, given: ErrorHandler | None) -> tuple[ErrorHandler, ...]:
    """The worker's own, then those of the tasks."""
    return (*(() if given is None else (given,)), *tasks.error_handlers)


def middlewares(tasks: Tasks, given: Sequence[Middleware]) -> tuple[Middleware, ...]:
    """Outermost first: the worker's own, then those of the tasks."""
    return (*given, *tasks.middlewares)
