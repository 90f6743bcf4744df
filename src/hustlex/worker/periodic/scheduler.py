"""Enqueues periodic tasks: each instant once, however many schedulers run."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.logs import logger
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.errors import Error
from hustlex.jobs.define.tasks import Tasks
from hustlex.worker.clock import WorkerClock
from hustlex.worker.periodic.dispatcher import ScheduleDispatcher
from hustlex.worker.periodic.provider import Manager, Provider
from hustlex.worker.service import Service

_log = logger("hustlex.worker")

_ASK_EVERY = timedelta(minutes=3)


@answering
class Scheduler:
    """Run as many as you like: they need not know each other. Each instant is enqueued by exactly one of them.

    Fires the entries of ``tasks``, those stored with ``hx.jobs.schedules`` (changes count within 2 seconds) and those
    the provider names, asked at the start and each ``provider_interval``. An instant that is noticed late is fired
    late; of several, the last one. What becomes of those that were due while no scheduler ran, each entry says
    (``missed``). ``@every`` counts from 1970, so that all schedulers agree on it and no restart restarts it.
    """

    def __init__(
        self,
        driver: AsyncDriver,
        tasks: Tasks,
        *,
        provider: Provider | None = None,
        provider_interval: timedelta = _ASK_EVERY,
        clock: Clock = server_clock,
    ) -> None:
        check.driver(driver)
        check.instance("tasks", tasks, Tasks)
        check.duration("provider_interval", provider_interval, timedelta(milliseconds=1))
        check.function("clock", clock)
        if provider is not None:
            check.function("provider", provider)
        self.dispatcher = ScheduleDispatcher(driver, WorkerClock(clock))
        self.dispatcher.take("code", tasks.periodic)
        self.manager = Manager(provider, provider_interval, self.dispatcher, tasks.queues) if provider else None
        self._quit = asyncio.Event()

    @property
    def trouble(self) -> str:
        """What keeps it from working right now, "" = nothing."""
        return next((reason for part in self._parts() if (reason := part.ill())), "")

    def stop(self) -> None:
        """Ask ``run`` to end. Safe in a signal handler of the loop."""
        self._quit.set()

    async def run(self) -> None:
        """Enqueue what is due, until ``stop``; a server that is away is waited for.

        Raises what the provider raises at its first call, Misuse when that answer is not valid, Timeout when there is
        none for a minute; entries in code are fired meanwhile.
        """
        self.dispatcher.start()
        try:
            if self.manager and await self._begun(self.manager):
                self.manager.start()
            await self._quit.wait()
        finally:
            for part in self._parts():
                await part.stop()
            await self._leave()

    async def _begun(self, manager: Manager) -> bool:
        """Whether the provider gave its first answer before ``stop``. Raises what it raises."""
        first = asyncio.create_task(manager.tick(), name="hustlex provider's first")
        stop = asyncio.create_task(self._quit.wait())
        try:
            await asyncio.wait([first, stop], return_when=asyncio.FIRST_COMPLETED)
            return first.done() and first.result() > 0
        finally:
            first.cancel()
            stop.cancel()

    async def _leave(self) -> None:
        try:
            await self.dispatcher.leave()
        except Error as error:
            _log.warning("could not leave the registry: %s", error)

    def _parts(self) -> list[Service]:
        return [self.dispatcher, self.manager] if self.manager else [self.dispatcher]
