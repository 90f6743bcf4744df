"""``/events``: does anybody listen?"""

from __future__ import annotations

from hustlex.dashboard import rooms
from hustlex.dashboard.request import PageContent, PageRequest


async def events(request: PageRequest) -> PageContent:
    """How many connections listen to one channel."""
    channel = request.given("channel")
    listeners = await request.hx.events.inspector.listeners(channel) if channel else None
    values = {"channel": channel, "listeners": listeners, "history": await rooms.view(request, "events")}
    return PageContent("events", "Events", values)
