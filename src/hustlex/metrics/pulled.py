"""What fronts, drivers and rooms count by themselves, and tell when they are asked. It costs nothing between."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from hustlex.metrics.families import Families

Series = tuple[str, tuple[str, ...]]

_GAUGES = (
    *("degraded", "breaker_open", "connections", "event_channels", "event_subscribers"),
    *("cache_near_entries", "cache_near_bytes"),
)


class Risen:
    """Counts that somebody else keeps: what came since the last look is added."""

    def __init__(self) -> None:
        self._before: weakref.WeakKeyDictionary[Any, dict[Series, float]] = weakref.WeakKeyDictionary()

    def add(self, families: Families, owner: Any, counts: Iterable[tuple[Series, float]]) -> None:
        """owner: whose they are; one that began anew counts from nothing."""
        before = self._before.setdefault(owner, {})
        for series, value in counts:
            came = value - before.get(series, 0.0)
            before[series] = value
            if came:
                families[series[0]].add(series[1], came if came > 0 else value)


class Pulled:
    """Of all fronts of a process, and of drivers that belong to none, as a worker's."""

    def __init__(self) -> None:
        self._risen = Risen()

    def write(self, families: Families, fronts: list[Any], drivers: list[Any]) -> None:
        """As of now. What several of them tell of one series is added up."""
        gauges: Counter[Series] = Counter()
        for front in fronts:
            gauges.update(dict.fromkeys((("degraded", (room,)) for room in front.degraded), 1))
            self._rooms(families, gauges, vars(front))
        for role, driver in _by_role(fronts, drivers):
            self._link(families, gauges, role, driver)
        for name in _GAUGES:
            families[name].forget()
        for (name, labels), value in gauges.items():
            most = 1 if name in ("degraded", "breaker_open") else value
            families[name].put(min(value, most), labels)

    def _rooms(self, families: Families, gauges: Counter[Series], used: dict[str, Any]) -> None:
        if "tokens" in used:
            _of_view(families, used["tokens"].stats())
        if "ratelimit" in used:
            gauges["breaker_open", ("ratelimit",)] += bool(used["ratelimit"].trouble)
        if "cache" in used:
            for name, plan in list(used["cache"].declared.items()):
                self._risen.add(families, plan, _of_cache(name, plan))
                if plan.near is not None:
                    gauges["cache_near_entries", (name,)] += len(plan.near)
                    gauges["cache_near_bytes", (name,)] += plan.near.bytes
        if "events" in used and (hub := used["events"]._hub) is not None:
            for template, (channels, subscribers) in hub.followed().items():
                gauges["event_channels", (template,)] += channels
                gauges["event_subscribers", (template,)] += subscribers
            self._risen.add(families, hub, ((("event_gaps_total", key), times) for key, times in [*hub.gaps.items()]))

    def _link(self, families: Families, gauges: Counter[Series], role: str, driver: Any) -> None:
        figures = driver.figures
        gauges["connections", (role, "open")] += figures.open
        gauges["connections", (role, "busy")] += figures.busy
        gauges["breaker_open", (role,)] += figures.shedding
        counts = {
            ("dials_total", (role, "ok")): figures.dialled,
            ("dials_total", (role, "failed")): figures.failed,
            ("call_repeats_total", (role,)): figures.repeated,
        }
        self._risen.add(families, driver, counts.items())


def _by_role(fronts: list[Any], drivers: list[Any]) -> Iterator[tuple[str, Any]]:
    """Each driver once. One of a test, which has no connections, is left out."""
    roles = {id(driver): ("state", driver) for driver in drivers}
    for front in fronts:
        roles[id(front.cache_driver)] = "cache", front.cache_driver
        roles[id(front.driver)] = "state", front.driver
    return ((role, driver) for role, driver in roles.values() if hasattr(driver, "figures"))


def _of_view(families: Families, standing: Any) -> None:
    if standing.warm:
        families["token_view_lag_seconds"].put(standing.lag_s)
    families["token_view_entries"].put(standing.entries)


def _of_cache(name: str, plan: Any) -> Iterator[tuple[Series, float]]:
    stats = plan.counts.snapshot()
    tallies = {"requests": stats.requests, "computations": stats.origin, "fills": stats.fill, "waits": stats.wait}
    for kind, tally in tallies.items():
        for result, times in tally.items():
            yield (f"cache_{kind}_total", (name, result)), times
    yield ("cache_invalidations_total", (name,)), stats.invalidations
    yield ("cache_failures_total", (name,)), stats.failures
    if plan.near is not None:
        yield ("cache_near_evicted_total", (name,)), plan.near.evicted
