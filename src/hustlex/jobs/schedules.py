"""The stored periodic entries' door."""

from __future__ import annotations

from typing import Unpack

from hustlex.core.answer.aio import answering
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.jobs.checks import declared
from hustlex.jobs.enqueue.job import Job
from hustlex.jobs.enqueue.known import KnownQueues
from hustlex.jobs.ids import new_token
from hustlex.jobs.schedule import flows as schedules
from hustlex.jobs.schedule import ops as entries
from hustlex.jobs.schedule.clock_changes import Dst
from hustlex.jobs.schedule.flows import Changes
from hustlex.jobs.schedule.periodic import MOST_MISSED, Missed, ScheduleInfo, define
from hustlex.jobs.types import Outcome


@answering
class Schedules:
    """Periodic entries that are stored in Redis, beside those in the code of the schedulers (``Tasks.cron``).

    All running schedulers follow a change within 2 seconds, and obey it at every instant after that. Entries in code
    can be listed, paused and run here, not changed. At most 10,000 entries of 64 KiB each are stored; they outlive
    every scheduler, and Go's know nothing of them.
    """

    def __init__(
        self, driver: AsyncDriver, *, clock: Clock = server_clock, queues: frozenset[str] | None = None
    ) -> None:
        self._driver = driver
        self._clock = clock
        self._queues = queues
        self._known = KnownQueues()

    async def add(
        self,
        name: str,
        spec: str,
        job: Job,
        *,
        timezone: str = "UTC",
        dst: Dst = "asynq",
        missed: Missed = "skip",
        max_missed: int = MOST_MISSED,
    ) -> None:
        """Store an entry; its instants count from now on. Adding the very same entry again changes nothing.

        Arguments as for ``Tasks.cron``. Raises Conflict when another entry has the name, or 10,000 are stored;
        CronError and Misuse for what can never work.
        """
        entry = define(name, spec, job, timezone=timezone, dst=dst, missed=missed, max_missed=max_missed)
        declared(entry.queue, self._queues)
        await self._driver.follow(schedules.add(entry, self._clock()))

    async def change(self, name: str, **changes: Unpack[Changes]) -> None:
        """Change parts of a stored entry; what is left out stays, and so does a pause. Its instants count from now on.

        Raises NotFound, Conflict for an entry in code, CronError, Misuse.
        """
        await self._driver.follow(schedules.change(name, changes, self._clock(), self._queues))

    async def remove(self, name: str) -> bool:
        """Forget a stored entry; what it enqueued stays. False when there is none. Raises Conflict for one in code."""
        return await self._driver.run(entries.remove(name, self._clock()))

    async def pause(self, name: str) -> bool:
        """Stop firing an entry, stored or in code, until ``resume``. False when it was paused. Raises NotFound."""
        return await self._driver.run(entries.hold(name, True, self._clock()))

    async def resume(self, name: str) -> bool:
        """Fire it again from now on; the pause is not made up for. False when it was not paused. Raises NotFound."""
        return await self._driver.run(entries.hold(name, False, self._clock()))

    async def run(self, name: str) -> Outcome:
        """Enqueue an entry's job now, also while it is paused; its next instant stays as it is. Raises NotFound.

        Returns Enqueued, or Duplicate when its uniqueness lock is held.
        """
        return await self._driver.follow(schedules.run(name, new_token(), self._clock(), self._known, self._queues))

    async def get(self, name: str) -> ScheduleInfo:
        """One entry, stored or in code. Raises NotFound."""
        return await self._driver.follow(schedules.one(name, self._clock()))

    async def all(self) -> list[ScheduleInfo]:
        """All entries, by name: the stored ones, and those that schedulers of the last day have in their code."""
        return await self._driver.run(entries.listed(self._clock()))
