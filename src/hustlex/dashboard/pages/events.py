"""``/events`` and ``/events/tail/{name}``: does anybody listen, and what do they hear?"""

from __future__ import annotations

from hustlex.dashboard import connected, rooms
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.dashboard.tails import LIFE, MOST_A_SECOND, MOST_EACH
from hustlex.errors import NotFound

_MOST_PROCESSES = 50


async def events(request: PageRequest) -> PageContent:
    """How many connections listen to one channel, and how many there are of clients."""
    channel = request.given("channel")
    listeners = await request.hx.events.inspector.listeners(channel) if channel else None
    history = await rooms.view(request, "events")
    streams = await connected.now(request, history.hours, _MOST_PROCESSES)
    values = {"channel": channel, "listeners": listeners, "history": history, "streams": streams}
    return PageContent("events", "Events", values)


async def tail(request: PageRequest) -> PageContent:
    """What was heard on a channel since somebody pressed the button. Raises NotFound for what another person began."""
    found = request.tails.find(request.params["name"], request.operator.name) if request.tails else None
    if found is None:
        raise NotFound(
            "nothing is listened to here", hint="it was begun in another process of this console, or is forgotten"
        )
    values = {
        "tail": found,
        "heard": list(reversed(found.heard)),
        "life": LIFE,
        "most": MOST_A_SECOND,
        "most_each": MOST_EACH,
    }
    return PageContent("tail", f"Events of {found.channel}", values, live=not found.over)
