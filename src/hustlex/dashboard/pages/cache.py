"""``/cache``: is this entry there, and why is it stale?"""

from __future__ import annotations

from hustlex.dashboard.request import PageContent, PageRequest


async def cache(request: PageRequest) -> PageContent:
    """One entry of a named cache; never its value."""
    name, key = request.given("name"), request.given("key")
    entry = await request.hx.cache.inspector.entry(name, key) if name and key else None
    return PageContent("cache", "Cache", {"name": name, "key": key, "entry": entry})
