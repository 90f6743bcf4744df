"""The door of the diagnostics: is everything fit that the rooms stand on?"""

from __future__ import annotations

from hustlex.core.answer.aio import answering
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.diagnostics import facts
from hustlex.diagnostics.checks import apart, judge
from hustlex.diagnostics.findings import Checkup
from hustlex.diagnostics.jobs import judge_jobs


@answering
class Diagnostics:
    """Looks at the servers and at jobs that do not run, changing nothing; ``hustlex doctor`` prints what it finds."""

    def __init__(
        self, driver: AsyncDriver, cache_driver: AsyncDriver | None = None, *, clock: Clock = server_clock
    ) -> None:
        self._driver = driver
        self._cache_driver = cache_driver
        self._clock = clock

    async def check(self) -> Checkup:
        """Every check, in some ten round trips for each server and for the jobs (200 queues at most).

        Raises Unavailable when a server cannot be asked, Denied for a wrong password.
        """
        state = await self._driver.follow(facts.of_server())
        jobs = await self._driver.follow(facts.of_jobs(self._clock()))
        cache = await self._cache_driver.follow(facts.of_server()) if self._cache_driver is not None else None
        own = () if cache is None else judge("cache", cache)
        return Checkup((*judge("state", state), *judge_jobs(jobs), *own, apart(state, cache)), state.memory.evicts)
