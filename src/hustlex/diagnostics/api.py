"""The door of the diagnostics: is everything fit that the rooms stand on?"""

from __future__ import annotations

from datetime import timedelta

from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.diagnostics import flows, watching
from hustlex.diagnostics.connections import ConnectedClients
from hustlex.diagnostics.contents import MemorySample
from hustlex.diagnostics.facts import DeepCheck
from hustlex.diagnostics.findings import Checkup
from hustlex.diagnostics.glance import ServerGlance, glance
from hustlex.diagnostics.watching import CommandSample, MonitoredCommand, ServerSummary, SlowEntry
from hustlex.errors import ConfigurationError

_WATCH = timedelta(seconds=5)
_BRIEF_NODES = 3
_LONGEST_WATCH = timedelta(minutes=5)
_MOST_KEYS = 100_000
_SECOND = timedelta(seconds=1)
_SHORTEST_LOOK, _LONGEST_LOOK = timedelta(milliseconds=1), timedelta(minutes=1)
_MOST_ENTRIES = 1_000
_MOST_COMMANDS = 10_000
_MOST_SAMPLED = 1_000
_MOST_NODES = 10


@answering
class Diagnostics:
    """Looks at the servers and at jobs that do not run, changing nothing.

    ``hustlex doctor`` and ``hustlex redis`` print what it finds. role: "state", or "cache" for the cache's server.
    """

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

    async def check(
        self,
        *,
        deep: bool = False,
        watch: timedelta = _WATCH,
        keys: int = 10_000,
        brief: bool = False,
        jobs: bool = True,
    ) -> Checkup:
        """Every check, of each server (each node of a cluster) and of the jobs (200 queues at most).

        Some 120 round trips for each server, a second at most. brief: some 20 in all, all queues in a call for each
        hundred, types of tasks in three of them, three nodes of a cluster (with the cache's), and not whether a user
        of few rights may run all that rooms need. deep: watch
        the counters of each server for ``watch`` (5 minutes at most), too, and look at so many of its keys (100,000
        at most), a hundredth of its time. jobs: False = of the servers alone.

        Raises Unavailable when a server cannot be asked, Denied for a wrong password.
        """
        check.flag("deep", deep)
        check.flag("brief", brief)
        check.flag("jobs", jobs)
        check.duration("watch", watch, high=_LONGEST_WATCH)
        check.whole("keys", keys, 0, _MOST_KEYS)
        further = DeepCheck(watch.total_seconds(), keys, self._prefix) if deep else None
        apart = self._cache_driver is not None
        most = _BRIEF_NODES - apart if brief else None
        state = await self._driver.follow(flows.servers(self._driver.link, further, most))
        waiting = await self._driver.follow(flows.of_jobs(self._clock(), brief=brief)) if jobs else None
        cache = None
        if self._cache_driver is not None:
            most = 1 if brief else None
            cache = await self._cache_driver.follow(flows.servers(self._cache_driver.link, further, most))
        found = flows.checkup(state, waiting, cache)
        found = found if jobs else flows.of_servers(found)
        return flows.at_a_glance(found) if brief else found

    async def self_check(self, *, strict: bool = False) -> Checkup:
        """What a process should know of its servers when it starts, in three or four round trips.

        Version, role, eviction, persistence, clients, password, rights, TLS. What is not good is logged by
        ``hustlex.doctor``. strict: raise ConfigurationError for what failed. Raises as ``check``.
        """
        check.flag("strict", strict)
        found = flows.judged_at_start("state", await self._driver.follow(flows.starting(self._driver.link)))
        if self._cache_driver is not None:
            found += flows.judged_at_start(
                "cache", await self._cache_driver.follow(flows.starting(self._cache_driver.link))
            )
        failed = [each for each in found if each.level == "fail"]
        if strict and failed:
            what = "; ".join(f"{each.role} {each.check}: {each.detail}" for each in failed)
            raise ConfigurationError(f"the servers are not fit: {what}", hint=failed[0].hint)
        unsafe = any(each.check == "eviction" and each.level == "fail" for each in found if each.role == "state")
        return Checkup(tuple(found), unsafe)

    async def servers(self, *, role: str = "state") -> list[ServerSummary]:
        """The figures of a server, or of each node of a cluster, now. Raises Denied when the user may not ask."""
        return await self._of(role).follow(watching.summaries())

    async def slowlog(self, count: int = 50, *, role: str = "state") -> list[SlowEntry]:
        """The newest entries of the slow log, newest first, without what they carried. count: 1 to 1,000.

        Raises Denied when the user may not ask.
        """
        check.whole("count", count, 1, _MOST_ENTRIES)
        return await self._of(role).follow(watching.slow(count, self._prefix))

    async def clients(self, *, role: str = "state") -> list[ConnectedClients]:
        """Who is connected to a server, or to each node of a cluster, by the names of the connections.

        Raises Denied when the user may not ask.
        """
        return await self._of(role).follow(watching.clients())

    async def memory(self, keys: int = 400, *, role: str = "state") -> list[MemorySample]:
        """What fills a server, or each node of a cluster: by room, and the large keys, from a sample of its keys.

        keys: 1 to 1,000 of all nodes together, at least 50 of each, in one step of about 10 us for a key. Where there
        are no more, it is no sample. Raises Denied when the user may not ask.
        """
        check.whole("keys", keys, 1, _MOST_SAMPLED)
        return await self._of(role).follow(watching.memory(keys, self._prefix))

    async def glance(
        self, keys: int = 200, count: int = 25, *, role: str = "state", brief: bool = False
    ) -> ServerGlance:
        """What ``servers``, ``memory``, ``clients`` and ``slowlog`` tell, at one look: five commands for a server, two
        and four for each node of a cluster, of which 10 are looked at.

        brief: what ``servers`` and ``memory`` tell, by two commands less for each. What the user may not ask is told,
        with the rights that are missing, and not raised.
        """
        check.whole("keys", keys, 1, _MOST_SAMPLED)
        check.whole("count", count, 1, _MOST_ENTRIES)
        check.flag("brief", brief)
        return await self._of(role).follow(glance(keys, count, self._prefix, _MOST_NODES, brief=brief))

    async def monitor(self, sample: int = 100, *, watch: timedelta = _SECOND, role: str = "state") -> CommandSample:
        """The next commands that the server runs, without what they carry. Each command costs it more meanwhile.

        sample: 1 to 10,000 commands, then it ends. watch: at most so long, 1 ms to a minute. A cluster's nodes are
        listened to one after the other, each for its share. Raises Denied: the user needs MONITOR, which the
        application's has not.
        """
        check.whole("sample", sample, 1, _MOST_COMMANDS)
        check.duration("watch", watch, _SHORTEST_LOOK, _LONGEST_LOOK)
        driver = self._of(role)
        nodes = await driver.follow(watching.nodes())
        most, seconds = watching.share(sample, len(nodes), watch.total_seconds())
        found: list[MonitoredCommand] = []
        for node in nodes:
            found += await driver.listen(watching.monitor(node, self._prefix), most, seconds)
        return CommandSample(watch.total_seconds(), tuple(found))

    def _of(self, role: str) -> AsyncDriver:
        check.one_of("role", role, ("state", "cache"))
        return self._cache_driver if role == "cache" and self._cache_driver is not None else self._driver
