"""Periodic tasks that the application names at run time: Asynq's PeriodicTaskManager."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any

import msgspec

from hustlex.core.logs import logger
from hustlex.errors import Error, Misuse, Timeout
from hustlex.jobs import functions
from hustlex.jobs.checks import declared
from hustlex.jobs.schedule.periodic import Periodic, PeriodicConfig, define
from hustlex.worker.boundary import contained
from hustlex.worker.periodic.dispatcher import ScheduleDispatcher
from hustlex.worker.service import Service
from hustlex.worker.threads import Threads

_log = logger("hustlex.worker")

PATIENCE_S = 60.0
"""With a provider."""

Provider = Callable[[], Iterable[PeriodicConfig] | Awaitable[Iterable[PeriodicConfig]]]
"""Names all periodic tasks there are, each time it is asked; an async or a plain function (run in a thread)."""


class Manager(Service):
    """Asks the provider each interval. What it names no more is fired no more; what stays keeps its place in time.

    A round that fails, or in which anything but PeriodicConfig with a spec is named, changes nothing. A configuration
    that is named twice counts once. One with a bad spec, or a job that cannot be periodic, is passed over. A provider
    that has not answered is not asked again.
    """

    name = "periodic tasks"
    interruptible = True

    def __init__(
        self,
        provider: Provider,
        interval: timedelta,
        dispatcher: ScheduleDispatcher,
        queues: frozenset[str] | None = None,
    ) -> None:
        super().__init__()
        if interval <= timedelta(0):
            raise Misuse("the interval of a provider must be positive")
        self._provider = provider
        self._interval_s = interval.total_seconds()
        self._timetable = dispatcher
        self._queues = queues
        self._threads = Threads(1)
        self._asked: asyncio.Task[list[PeriodicConfig]] | None = None

    def backoff(self) -> float:
        """A failed round is not repeated before its time."""
        return self._interval_s

    async def tick(self) -> float:
        """One round. Raises what the provider raises, Misuse when what it names is not valid."""
        configs = await self._answer()
        if not all(_is_valid(config) for config in configs):
            raise Misuse("the provider must name PeriodicConfig with a spec each")
        found = [entry for config in configs if (entry := self._entry(config))]
        self._timetable.take("provided", {entry.name: entry for entry in found}.values())
        return self._interval_s

    async def stop(self) -> None:
        """Without waiting for a provider that does not answer."""
        await super().stop()
        if self._asked is not None:
            self._asked.cancel()

    async def _answer(self) -> list[PeriodicConfig]:
        """In a task of its own: a provider that swallows its cancellation holds up nobody."""
        if self._asked is None:
            self._asked = asyncio.create_task(contained(self._named), name="hustlex provider")
        done, _ = await asyncio.wait([self._asked], timeout=PATIENCE_S)
        if not done:
            raise Timeout(f"the provider has not answered for {PATIENCE_S:g} s and more")
        asked, self._asked = self._asked, None
        return asked.result()

    async def _named(self) -> list[PeriodicConfig]:
        """What can block, as an iterator that reads a database, does so in a thread."""
        if functions.is_async(self._provider):
            answer: Any = self._provider()
        else:
            answer = await self._threads.submit(lambda: _read(self._provider()))
        return list(await answer if inspect.isawaitable(answer) else answer)

    def _entry(self, config: PeriodicConfig) -> Periodic | None:
        try:
            entry = define("provided", config.spec, config.job)
            declared(entry.queue, self._queues)
        except Error as error:
            _log.error("a periodic task of type %s is passed over: %s", config.job.type, error)
            return None
        return msgspec.structs.replace(entry, name=PeriodicConfig(config.spec, entry.job).identity)


def _read(answer: Any) -> Any:
    return answer if inspect.isawaitable(answer) else list(answer)


def _is_valid(config: Any) -> bool:
    return isinstance(config, PeriodicConfig) and bool(config.spec)
