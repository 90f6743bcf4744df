"""How a worker treats its tasks: what it was given, else what the tasks' own module says, else the defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import msgspec

from hustlex.core import check
from hustlex.core.durability.level import LEVELS, MEMORY
from hustlex.errors import Misuse
from hustlex.jobs.define.backoff import default_delay
from hustlex.jobs.define.hooks import ErrorHandler, HealthCheck, Middleware, WorkerOptions
from hustlex.jobs.define.rules import IsFailure, RetryDelay, Rules, every_error, plain
from hustlex.jobs.define.tasks import Tasks
from hustlex.jobs.group.aggregate import Aggregate
from hustlex.jobs.lease.limits import Limits
from hustlex.worker.limits.allocation import MOST_SLOTS


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
    durability: str = MEMORY
    park_unknown: timedelta = timedelta(days=1)
    archive_max_size: int = 9_999
    archive_max_age: timedelta = timedelta(days=90)

    def __post_init__(self) -> None:
        for name in ("retry_delay", "is_failure", "max_crashes"):
            if getattr(self, name) is None:
                raise Misuse(f"{name} cannot be None for a worker", hint="leave it out for the default")
        Rules(self.retry_delay, self.is_failure, self.max_crashes)
        judge({name: getattr(self, name) for name in self.__struct_fields__})


def settle(tasks: Tasks, given: WorkerOptions, outcomes: str) -> SettledOptions:
    """What holds. outcomes: what the driver says of ``durability``.

    Raises Misuse, also for an option that there is not, and a task that could never be run.
    """
    tasks.check()
    unknown = sorted(given.keys() - set(SettledOptions.__struct_fields__))
    if unknown:
        raise Misuse(f"a worker has no option {unknown[0]}", hint="see hustlex.worker.Worker")
    return SettledOptions(**cast("dict[str, Any]", {"durability": outcomes, **tasks.worker_options, **given}))


def error_handlers(tasks: Tasks, given: ErrorHandler | None) -> tuple[ErrorHandler, ...]:
    """The worker's own, then those of the tasks."""
    return (*(() if given is None else (given,)), *tasks.error_handlers)


def middlewares(tasks: Tasks, given: Sequence[Middleware]) -> tuple[Middleware, ...]:
    """Outermost first: the worker's own, then those of the tasks."""
    return (*given, *tasks.middlewares)


_TICK = timedelta(milliseconds=1)


def _optional(name: str, value: object) -> None:
    if value is not None and not isinstance(value, Aggregate):
        check.function(name, value)


def _plain(name: str, value: object) -> None:
    if value is not None:
        plain(name, value)


def _layers(name: str, value: Any) -> None:
    check.instance(name, value, Sequence, hint="pass a list of functions")
    for layer in value:
        check.function(name, layer)


_JUDGES: Mapping[str, Callable[[str, Any], object]] = {
    "tasks": lambda name, value: check.instance(name, value, Tasks),
    "concurrency": lambda name, value: check.whole(name, value, 1, MOST_SLOTS),
    "cpu_processes": lambda name, value: check.whole(name, value, 0, MOST_SLOTS),
    "strict": check.flag,
    "shutdown_timeout": check.duration,
    "clock": check.function,
    "error_handler": _plain,
    "middleware": _layers,
    "aggregator": _optional,
    "health_check": _plain,
    "health_check_interval": lambda name, value: check.duration(name, value, _TICK),
    "durability": lambda name, value: check.one_of(name, value, LEVELS),
    "recover_crashed": lambda name, value: check.one_of(name, value, ("requeue", "retry")),
    "park_unknown": check.duration,
    "archive_max_size": check.whole,
    "archive_max_age": check.duration,
}


def judge(given: Mapping[str, object]) -> None:
    """Raises Misuse for arguments that can never work. Queues, limits and rules judge themselves."""
    for name in _JUDGES.keys() & given.keys():
        _JUDGES[name](name, given[name])
    if "driver" in given:
        check.driver(given["driver"])
