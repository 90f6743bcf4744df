"""How long tasks waited and ran in the last 24 hours, as pages show it."""

from __future__ import annotations

import msgspec
from markupsafe import Markup

from hustlex.core.words import UNKNOWN, duration
from hustlex.dashboard.charts import sparkline
from hustlex.dashboard.request import PageRequest
from hustlex.metrics.durations import Durations, read_together, task_durations

_MOST_ROWS = 50
_SHARES = (0.5, 0.95, 0.99)


class LatencyRow(msgspec.Struct, frozen=True):
    """One queue or task type, "" = all together. percentiles: of 50, 95 and 99 %, in words."""

    name: str
    count: int
    percentiles: tuple[str, ...]
    trend: Markup
    """95 % of each hour."""


async def of_all(request: PageRequest) -> list[LatencyRow]:
    """Waiting and running of all tasks together; one call."""
    found = await request.hx.driver.run(read_together(request.hx.prefix))
    return [_row(name, found[what]) for name, what in (("Waiting", "wait"), ("Running", "run")) if what in found]


async def of_types(request: PageRequest) -> list[LatencyRow]:
    """Running of each task type, those first that took most attempts."""
    found = await task_durations(request.hx, "run")
    rows = [_row(name, each) for name, each in found.items() if name]
    return sorted(rows, key=lambda row: -row.count)[:_MOST_ROWS]


async def of_queue(request: PageRequest, queue: str) -> LatencyRow | None:
    """Waiting in one queue; None when no worker told of it."""
    found = (await task_durations(request.hx, "wait")).get(queue)
    return None if found is None else _row(queue, found)


def _row(name: str, found: Durations) -> LatencyRow:
    seconds = [None if each is None else each.total_seconds() for each in found.by_hour(0.95)]
    words = tuple(_words(found, share) for share in _SHARES)
    return LatencyRow(
        name, found.count, words, sparkline(seconds, "95 % took at most so long, in each of the last 24 hours")
    )


def _words(found: Durations, share: float) -> str:
    bound = found.percentile(share)
    if bound is None:
        return f"> {duration(found.bounds[-1])}" if found.count else UNKNOWN
    return f"≤ {duration(bound)}"
