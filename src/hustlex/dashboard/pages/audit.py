"""``/audit``: who did what, and how did it stand before and after?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import cache

import msgspec

from hustlex.dashboard.acts import ACTS
from hustlex.dashboard.audit import Audit
from hustlex.dashboard.operators import Operator
from hustlex.dashboard.render import excerpt
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.dashboard.words import visible
from hustlex.people.notes import ROOMS, AuditEntry, Endings, is_id

_SIZE = 50
_CHUNK = 500
_MOST_LOOKED = 2_000
_DAY_MS = 86_400_000


class AuditFilter(msgspec.Struct, frozen=True):
    """What is sought. who, what: parts of what is shown. since, until: days in UTC, as they were typed."""

    who: str = ""
    what: str = ""
    since: str = ""
    until: str = ""

    @property
    def faults(self) -> list[str]:
        """A sentence for each day that is none."""
        named = (("From", self.since), ("Until", self.until))
        return [
            f"{name}: {visible(text)} is no day, as 2026-11-29" for name, text in named if text and _day(text) is None
        ]

    @property
    def given(self) -> dict[str, str]:
        """What was typed, for addresses and forms."""
        return {name: text for name in self.__struct_fields__ if (text := getattr(self, name))}

    @property
    def range_ms(self) -> tuple[int | None, int | None]:
        """From the first millisecond to the last; None where that is open."""
        since, until = _day(self.since), _day(self.until)
        return since, until + _DAY_MS - 1 if until is not None else None

    def takes(self, row: AuditRow) -> bool:
        """Whether an entry, as it is shown, is among those sought."""
        told = f"{row.what} {row.target} {row.queue} {row.outcome}"
        return self.who.casefold() in f"{row.who} {row.via}".casefold() and self.what.casefold() in told.casefold()


class AuditRow(msgspec.Struct, frozen=True):
    """An entry, as it is shown."""

    id: str
    at: datetime
    who: str
    via: str
    """web: by a button; cli: by a command."""
    what: str
    target: str
    queue: str
    phase: str
    detail: str
    """To how many it was done, or the error."""
    before: str
    after: str

    @property
    def outcome(self) -> str:
        """What became of it, in words."""
        return f"{self.phase} {self.detail}".rstrip()


def wanted(given: Callable[[str], str]) -> AuditFilter:
    """What was typed, by the names of the fields."""
    return AuditFilter(*(given(name).strip() for name in AuditFilter.__struct_fields__))


async def audit(request: PageRequest) -> PageContent:
    """What was done through the console and by commands, newest first."""
    sought, before = wanted(request.word), request.word("before")
    before = before if is_id(before) else ""
    rows, cursor = await look(request, sought, before=before, size=_SIZE, most=_MOST_LOOKED)
    values = {"rows": rows, "next": cursor, "sought": sought, "first": not (before or sought.given)}
    return PageContent("audit", "Audit", values)


async def look(
    request: PageRequest, sought: AuditFilter, *, before: str = "", size: int, most: int
) -> tuple[list[AuditRow], str]:
    """So many entries that this person may see, among so many that are looked at; and where to go on, "" = no more.

    That an act was begun is told where its end is not.
    """
    log, show = Audit(request.hx.driver, request.hx.prefix), _shown(request)
    found, looked, cursor, last = list[AuditRow](), 0, before, before
    endings = Endings(await log.ended(before) if before else ())
    while looked < most:
        count = min(_CHUNK if looked or sought.given else 2 * size + 1, _CHUNK, most - looked)
        entries = await log.newest(cursor, count, *sought.range_ms)
        for entry in entries:
            if not may_see(request.operator, entry.fields):
                continue
            if not endings.supersede(entry) and sought.takes(row := _row(entry, show)):
                if len(found) == size:
                    return found, last
                found.append(row)
            last = entry.id
        if len(entries) < count:
            return found, ""
        looked, cursor = looked + count, entries[-1].id
    return found, cursor


def may_see(operator: Operator, fields: Mapping[str, str]) -> bool:
    """What was done in rooms that exist for this person; of jobs all of it, or what was done to their queues."""
    act = ACTS.get(fields.get("verb", ""))
    room = act.room if act else ROOMS.get(fields.get("verb", ""), "jobs")
    if not operator.sees_room(room):
        return False
    queues = [fields[name] for name in ("queue", "to") if fields.get(name)]
    named = bool(queues) and ("to" in fields or " to=" not in fields.get("target", ""))
    return operator.sees_all_queues or room != "jobs" or (named and all(map(operator.sees_queue, queues)))


def _row(entry: AuditEntry, show: Callable[[str], str]) -> AuditRow:
    def text(name: str) -> str:
        return visible(entry.fields.get(name, ""))

    at = datetime.fromtimestamp(int(entry.id.split("-")[0]) / 1000, UTC)
    detail = f"({count})" if (count := text("count")) else text("error")
    who, target = (show(entry.fields.get(name, "")) for name in ("name", "target"))
    via = "cli" if entry.fields.get("via") == "cli" else "web"
    told = text("phase"), detail, text("before"), text("after")
    return AuditRow(entry.id, at, who, via, text("verb"), target, text("queue"), *told)


def _shown(request: PageRequest) -> Callable[[str], str]:
    """As the formatter lets it be seen: nothing else can be sought. Names and targets stand in several entries."""

    @cache
    def show(text: str) -> str:
        return excerpt(request, text, "audit", "")

    return show


def _day(text: str) -> int | None:
    """The first millisecond of a day in UTC; None for what is no day, or before there were consoles."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000) if day.year >= 1970 else None
