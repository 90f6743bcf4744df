"""What rooms did in the last day and month, as pages show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec
from markupsafe import Markup

from hustlex.core.words import percent
from hustlex.dashboard import timelines
from hustlex.dashboard.charts import sparkline
from hustlex.dashboard.request import PageRequest
from hustlex.dashboard.timelines import DAY, MONTH, Timeline
from hustlex.metrics.history import RoomHistory, RoomPoint, room_history, rooms_today

_ROWS = 24
_MOST_LABELS = 100
_LAST = timedelta(hours=24)


class RoomPage(msgspec.Struct, frozen=True):
    """Where a room's history is shown. share: what a part of the counts is called, which one, of which."""

    title: str
    path: str
    room: str
    """Whose right it is to look."""
    each: str
    """What stands apart in it."""
    share: tuple[str, int, tuple[int, ...]]


PAGES = {
    "limits": RoomPage("Limits", "limits", "limits", "Policy", ("refused", 1, (0, 1))),
    "cache": RoomPage("Cache", "cache", "cache", "Cache", ("hits", 0, (0, 1))),
    "codes": RoomPage("Codes", "codes", "people", "Country", ("verified", 1, (0,))),
    "idempotency": RoomPage("Payments", "idempotency", "idempotency", "Kind", ("refused", 2, (0, 1, 2))),
    "events": RoomPage("Events", "events", "events", "Channels", ("failed", 1, (0, 1))),
}


class RoomRow(msgspec.Struct, frozen=True):
    """One policy, cache or country in the last 24 hours; on Home a room."""

    name: str
    counts: tuple[int, ...]
    share: str
    path: str = ""
    title: str = ""
    counted: tuple[str, ...] = ()
    share_of: str = ""
    trend: Markup | str = ""


class RoomView(msgspec.Struct, frozen=True):
    """A room's history. label: the one policy, cache or country that is shown, "" = all together."""

    page: RoomPage
    counted: tuple[str, ...]
    label: str
    day: list[Timeline]
    month: list[Timeline]
    hours: list[RoomPoint]
    rows: list[RoomRow]
    more: int
    """Rows that are left out."""


async def view(request: PageRequest, room: str) -> RoomView:
    """Of the room, or with ``of`` in the address of one policy, cache or country; one call."""
    label, page = request.word("of"), PAGES[room]
    found = await room_history(request.hx, room, label=label)
    rows = [RoomRow(name, counts, _share(page, counts)) for name, counts in found.labels.items()]
    rows.sort(key=lambda row: -sum(row.counts))
    return RoomView(
        page, found.counted, label, timelines.of_room(found, DAY), timelines.of_room(found, MONTH),
        list(reversed(found.hours[-_ROWS:])), rows[:_MOST_LABELS], max(0, len(rows) - _MOST_LABELS),
    )  # fmt: skip


async def lately(request: PageRequest) -> dict[str, RoomHistory]:
    """Of each room that exists for this person; one call."""
    names = [name for name, page in PAGES.items() if request.operator.sees_room(page.room)]
    return await rooms_today(request.hx, names) if names else {}


def rows_of(found: Mapping[str, RoomHistory]) -> list[RoomRow]:
    """A row for each room of which something was told in the last 24 hours."""
    return [_today(name, history) for name, history in found.items() if any(_lately(history))]


def _lately(history: RoomHistory) -> tuple[int, ...]:
    points = [point.counts for point in history.hours if history.now - point.at < _LAST]
    return tuple(map(sum, zip(*points, strict=True)))


def _today(name: str, history: RoomHistory) -> RoomRow:
    page, counts = PAGES[name], _lately(history)
    by_hour: list[float | None] = [None] * 24
    for point in history.hours:
        back = int((history.now - point.at).total_seconds() // 3600)
        if back < 24:
            by_hour[23 - back] = sum(point.counts)
    trend = sparkline(by_hour, f"{page.title} in each of the last 24 hours")
    return RoomRow(name, counts, _share(page, counts), page.path, page.title, history.counted, page.share[0], trend)


def _share(page: RoomPage, counts: Sequence[int]) -> str:
    _, part, whole = page.share
    return percent(counts[part], sum(counts[n] for n in whole))
