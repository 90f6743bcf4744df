"""Periodic tasks that the application names at run time: Asynq's PeriodicTaskManager."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any

from hustlex.errors import Error, Misuse
from hustlex.jobs.periodic import Periodic, PeriodicConfig, define
from hustlex.worker.boundary import contained
from hustlex.worker.service import Service
from hustlex.worker.threads import Threads
from hustlex.worker.timetable import Timetable

_log = logging.getLogger("hustlex.worker")

Provider = Callable[[], Iterable[PeriodicConfig] | Awaitable[Iterable[PeriodicConfig]]]
"""Names all periodic tasks there are, each time it is asked; an async or a plain function (run in a thread)."""


class Manager(Service):
    """Asks the provider each interval. What it names no more is fired no more; what stays keeps its place in time.

    A round that fails, or in which anything but PeriodicConfig with a spec is named, changes nothing. A configuration
    that is named twice counts once. One with a bad spec, or a job that cannot be periodic, is passed over.
    """

    name = "periodic tasks"
    interruptible = True

    def __init__(self, provider: Provider, interval: timedelta, timetable: Timetable) -> None:
        super().__init__()
        if interval <= timedelta(0):
            raise Misuse("the interval of a provider must be positive")
        self._provider = provider
        self._interval_s = interval.total_seconds()
        self._timetable = timetable
        self._threads = Threads(1)

    def backoff(self) -> float:
        """A failed round is not repeated before its time."""
        return self._interval_s

    async def tick(self) -> float:
        """One round. Raises what the provider raises, Misuse when what it names is not valid."""
        configs = list[PeriodicConfig](await self._ask())
        if not all(_is_valid(config) for config in configs):
            raise Misuse("the provider must name PeriodicConfig with a spec each")
        entries = {config.identity: config for config in configs}
        found = (self._entry(identity, config) for identity, config in entries.items())
        self._timetable.take("provided", [entry for entry in found if entry])
        return self._interval_s

    async def _ask(self) -> Iterable[PeriodicConfig]:
        if inspect.iscoroutinefunction(self._provider):
            answer: Any = self._provider()
        else:
            answer = await self._threads.submit(self._provider)
        named: Iterable[PeriodicConfig] = await contained(lambda: answer) if inspect.isawaitable(answer) else answer
        return named

    def _entry(self, identity: str, config: PeriodicConfig) -> Periodic | None:
        try:
            return define(identity, config.spec, config.job)
        except Error as error:
            _log.error("a periodic task of type %s is passed over: %s", config.job.type, error)
        return None


def _is_valid(config: Any) -> bool:
    return isinstance(config, PeriodicConfig) and bool(config.spec)
