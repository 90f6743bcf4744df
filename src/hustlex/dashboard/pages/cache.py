"""``/cache``: how well do the caches serve, and why is this entry as it is?"""

from __future__ import annotations

from datetime import timedelta

from hustlex.cache import Stats
from hustlex.dashboard import rooms
from hustlex.dashboard.request import PageContent, PageRequest


async def cache(request: PageRequest) -> PageContent:
    """What all processes counted; and one entry of a named cache, never its value."""
    name, key = request.given("name"), request.given("key")
    inspector = request.hx.cache.inspector
    entry = await inspector.entry(name, key) if name and key else None
    rows = sorted((_row(*each) for each in (await inspector.fleet()).items()), key=lambda row: -row[2])
    values = {"name": name, "key": key, "entry": entry, "fleet": rows, "history": await rooms.view(request, "cache")}
    return PageContent("cache", "Cache", values)


def _row(name: str, stats: Stats) -> tuple[str, Stats, int, timedelta | None]:
    slowest = stats.load_ms(0.99)
    reads = sum(stats.requests.values())
    return name, stats, reads, None if slowest is None else timedelta(milliseconds=slowest)
