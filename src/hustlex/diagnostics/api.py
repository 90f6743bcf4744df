"""The door of the diagnostics: is everything fit that the rooms stand on?"""

from __future__ import annotations

from datetime import timedelta

from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.diagnostics import flows
from hustlex.diagnostics.facts import DeepCheck
from hustlex.diagnostics.findings import Checkup

_WATCH = timedelta(seconds=5)
_LONGEST_WATCH = timedelta(minutes=5)
_MOST_KEYS = 100_000


@answering
class Diagnostics:
    """Looks at the servers and at jobs that do not run, changing nothing; ``hustlex doctor`` prints what it finds."""

    def __init__(
        self,
        driver: AsyncDriver,
        cache_driver: AsyncDriver | None = None,
        *,
        prefix: str = "",
        clock: Clock = server_clock,
    ) -> None:
        self._driver = check.driver(driver)
        self._cache_driver = cache_driver
        self._prefix = prefix
        self._clock = clock

    async def check(self, *, deep: bool = False, watch: timedelta = _WATCH, keys: int = 10_000) -> Checkup:
        """Every check, of each server (each node of a cluster) and of the jobs (200 queues at most).

        Some 120 round trips for each server, a second at most. deep: watch the counters of each server for ``watch``
        (5 minutes at most), too, and look at so many of its keys (100,000 at most), a hundredth of its time.

        Raises Unavailable when a server cannot be asked, Denied for a wrong password.
        """
        check.flag("deep", deep)
        check.duration("watch", watch, high=_LONGEST_WATCH)
        check.whole("keys", keys, 0, _MOST_KEYS)
        further = DeepCheck(watch.total_seconds(), keys, self._prefix) if deep else None
        state = await self._driver.follow(flows.servers(self._driver.link, further))
        jobs = await self._driver.follow(flows.of_jobs(self._clock()))
        if self._cache_driver is None:
            return flows.checkup(state, jobs)
        cache = await self._cache_driver.follow(flows.servers(self._cache_driver.link, further))
        return flows.checkup(state, jobs, cache)
