"""Periodic entries in Redis: stored ones, what running schedulers have in their code, and which are paused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Arg, Effect, Op, Reply, command
from hustlex.errors import Conflict, NotFound
from hustlex.jobs.keys import addressed
from hustlex.jobs.schedule.periodic import Periodic, ScheduleInfo, described, to_json
from hustlex.jobs.wire import clean

_SAVE = load("hustlex.jobs", "schedule/save_schedule")
_HOLD = load("hustlex.jobs", "schedule/hold_schedule")
_REMOVE = load("hustlex.jobs", "schedule/remove_schedule")
_LIST = load("hustlex.jobs", "schedule/list_schedules")
_SHOW = load("hustlex.jobs", "schedule/show_schedule")
_NOTE_REFUSED = load("hustlex.jobs", "schedule/note_refused")
_PUBLISH = load("hustlex.jobs", "schedule/publish_schedules")

PAUSED = -1
"""The state of a paused entry."""

_KEYS = tuple(f"asynq:x:{{schedules}}:{name}" for name in ("entries", "state", "static"))
_REFUSED_KEY = "asynq:x:{schedules}:refused"
"""Our own. entries: capped at 10,000; state: at 20,000; static: lives for a day."""
_MOST = 10_000
_MOST_STATES = 20_000
_MOST_REFUSED = 1_000


class Book(msgspec.Struct, frozen=True):
    """All entries as Redis has them. stored, in_code: definition by name. state: PAUSED, or since when (Unix ms)."""

    now_ms: int
    version: str
    stored: dict[str, bytes]
    in_code: dict[str, bytes]
    state: dict[str, int]


class Page(msgspec.Struct, frozen=True):
    """One entry as Redis has it."""

    now_ms: int
    in_code: bool
    definition: bytes
    paused: bool


class Refusals(msgspec.Struct, frozen=True):
    """How often an entry's task was not enqueued, when last, and why then."""

    count: int
    last_at: datetime
    why: str


def save(entry: Periodic, replaces: bytes, now_ms: int) -> Op[bool]:
    """Store an entry; replaces: the definition whose place it takes, b"" for a new one.

    False: another definition is in place. Raises Conflict when full or when code has the name, NotFound when there
    is nothing to replace.
    """
    return _SAVE.op(
        _KEYS, (now_ms, entry.name, to_json(entry), replaces, _MOST), lambda reply: _done(reply, entry.name)
    )


def hold(name: str, paused: bool, now_ms: int) -> Op[bool]:
    """Pause an entry or let it go on. False: it was so already. Raises NotFound, Conflict when full."""
    name = addressed("name", name)
    args = (now_ms, clean(name), int(paused), _MOST_STATES)
    return _HOLD.op(_KEYS, args, lambda reply: _done(reply, name))


def remove(name: str, now_ms: int) -> Op[bool]:
    """Forget a stored entry. False: there is none. Raises Conflict for one that is in code."""
    name = addressed("name", name)
    return _REMOVE.op(_KEYS, (now_ms, clean(name)), lambda reply: _done(reply, name))


def _done(reply: Reply, name: str) -> bool:
    if reply[0] == 2:
        raise Conflict("there are too many periodic entries", hint=f"at most {_MOST} can be stored")
    if reply[0] == 3:
        raise Conflict(f"the periodic entry {name!r} is in the schedulers' code", hint="change it there, or pause it")
    if reply[0] == 4:
        raise NotFound(f"there is no periodic entry {name!r}")
    return bool(reply[0])


def changes(known: str, now_ms: int) -> Op[Book | int]:
    """All entries, or only the server's clock (Unix ms) when nothing changed since the version ``known``."""
    return _LIST.op(_KEYS, (now_ms, known), lambda reply: _book(reply) if reply[0] else int(reply[1]))


def listed(now_ms: int) -> Op[list[ScheduleInfo]]:
    """All entries, by name, those that cannot be read too."""
    return _LIST.op(_KEYS, (now_ms, ""), _infos)


def show(name: str, now_ms: int) -> Op[Page]:
    """One entry. Raises NotFound."""
    name = addressed("name", name)
    asked = clean(name) or " "  # the empty name holds the version, a blank one nothing
    return _SHOW.op(_KEYS, (now_ms, asked), lambda reply: _page(reply, name))


def publish(entries: Mapping[str, Periodic], now_ms: int) -> Op[int]:
    """Tell tools what a scheduler has in its code."""
    pairs: list[Arg] = [field for entry in entries.values() for field in (entry.name, to_json(entry))]
    return _PUBLISH.op(_KEYS[2:], (now_ms, *pairs), int)


def note_refused(refused: Mapping[str, str], now_ms: int) -> Op[None]:
    """Count instants whose task was not enqueued. refused: why, by the entry's name."""
    pairs: list[Arg] = [clean(text) for pair in refused.items() for text in pair]
    return _NOTE_REFUSED.op((_REFUSED_KEY,), (now_ms, _MOST_REFUSED, *pairs), lambda _: None)


def refused() -> Op[dict[str, Refusals]]:
    """By name, the entries that were refused in the last days."""
    return command("jobs.refused", Effect.READ, "HGETALL", _REFUSED_KEY, keys=(_REFUSED_KEY,), decode=_refusals)


def _refusals(reply: Reply) -> dict[str, Refusals]:
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    found = {}
    for name, line in pairs:
        count, _, rest = _text(line).partition(" ")
        at_ms, _, why = rest.partition(" ")
        if count.isdecimal() and at_ms.isdecimal():
            found[_text(name)] = Refusals(int(count), datetime.fromtimestamp(int(at_ms) / 1000, UTC), why)
    return found


def _book(reply: Reply) -> Book:
    stored, state, static = (dict(zip(flat[::2], flat[1::2], strict=True)) for flat in reply[3:])
    stored.pop(b"", None)
    return Book(
        reply[1],
        reply[2].decode(),
        {_text(name): definition for name, definition in stored.items()},
        {_text(name): _definition_of(definition) for name, definition in static.items()},
        {_text(name): int(value) for name, value in state.items()},
    )


def _page(reply: Reply, name: str) -> Page:
    if not reply[0]:
        raise NotFound(f"there is no periodic entry {name!r}")
    in_code = reply[0] == 2
    return Page(reply[1], in_code, _definition_of(reply[2]) if in_code else reply[2], reply[3] == b"-1")


def _definition_of(published: bytes) -> bytes:
    return published.partition(b" ")[2]


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _infos(reply: Reply) -> list[ScheduleInfo]:
    book = _book(reply)
    found = []
    for definitions, in_code in ((book.in_code, True), (book.stored, False)):
        for name, definition in definitions.items():
            paused = book.state.get(name) == PAUSED
            found.append(described(name, definition, in_code, paused, book.now_ms))
    return sorted(found, key=lambda entry: entry.name)
