"""What each argument of a worker may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from hustlex.core import check
from hustlex.jobs.aggregates import Aggregate
from hustlex.jobs.registry import Tasks
from hustlex.jobs.rules import plain
from hustlex.worker.fetch.allocation import MOST_SLOTS

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
    "recover_crashed": lambda name, value: check.one_of(name, value, ("requeue", "retry")),
    "park_unknown": check.duration,
    "archive_max_size": check.whole,
    "archive_max_age": check.duration,
}


def judge(given: Mapping[str, object]) -> None:
    """Raises Misuse for arguments that can never work. Queues, limits and rules judge themselves."""
    for name in _JUDGES.keys() & given.keys():
        _JUDGES[name](name, given[name])
