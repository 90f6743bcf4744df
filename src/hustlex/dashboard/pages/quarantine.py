"""``/quarantine``: what did workers set aside?"""

from __future__ import annotations

from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.jobs import FoundParked, ParkedMessage
from hustlex.jobs.wire import TaskMessage, decode_task

_SIZE = 40
_MOST_LINKED = 100
PUT_OFF = "state:scheduled,retry,pending is:parked"
"""Tasks whose type no worker that took them knows."""
_TOLD = 4
"""Bytes of what cannot be decoded: enough to know a format by, too few for what must be hidden."""


async def quarantine(request: PageRequest) -> PageContent:
    """Messages of one queue that nobody could decode, and the queues that have some."""
    inspector = request.hx.jobs.inspector
    having = [each for each in await inspector.summaries() if each.quarantined]
    having = [each for each in having if request.operator.sees_queue(each.name)]
    having.sort(key=lambda each: (-each.quarantined, each.name))
    wanted, cursor = request.word("queue"), request.cursor()
    chosen = next((each for each in having if each.name == wanted), having[0] if having else None)
    found = FoundParked((), "", 0)
    if chosen:
        found = await inspector.quarantined(chosen.name, cursor=cursor, size=_SIZE)
    values = {
        "queues": having[:_MOST_LINKED],
        "queue": chosen,
        "found": found,
        "rows": [(message, _task(message), message.begin[:_TOLD].hex(" ")) for message in found.messages],
        "cursor": cursor,
        "put_off": PUT_OFF,
    }
    return PageContent("quarantine", "Quarantine", values)


def _task(message: ParkedMessage) -> TaskMessage | None:
    """What the formatter can hide parts of; of anything else nothing is shown."""
    return decode_task(message.begin) if message.readable else None
