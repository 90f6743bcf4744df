"""A stream's entries as they are written and read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hustlex.core import check
from hustlex.core.op import Arg
from hustlex.errors import Misuse
from hustlex.jobs.stream import ops
from hustlex.jobs.stream.types import Item, Log, Progress, Result, StateChange
from hustlex.jobs.types import State
from hustlex.jobs.wire import WireError, clean, decode_task

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POSITION = re.compile(r"^\d{1,19}-\d{1,19}$")
_LONGEST_TEXT = 8_000
ENDS = (State.COMPLETED, State.ARCHIVED)


def progress_fields(fraction: float, text: str) -> tuple[Arg, ...]:
    """A report as its stream has it. Raises Misuse unless the fraction is from 0 to 1."""
    fraction = float(check.number("progress", fraction, 0, 1))
    return ("kind", "progress", "fraction", repr(fraction), "text", _cut(text))


def log_fields(text: str) -> tuple[Arg, ...]:
    """A line as its stream has it; at most 8000 characters of it."""
    return ("kind", "log", "text", _cut(text))


def _cut(text: str) -> str:
    return clean(check.typed("text", text)[:_LONGEST_TEXT])


def check_position(since: str) -> str:
    """A position to go on from; "" = from the first item. Raises Misuse for what no item can have."""
    check.text("since", since, blank=True)
    if since and not _POSITION.match(since):
        raise Misuse("a position is what an item's position said", hint="pass item.position, or leave it out")
    return since or ops.FIRST


def order(position: str) -> tuple[int, int]:
    """Positions in the order of time; FIRST is before all."""
    if not _POSITION.match(position):
        return (0, 0)
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number)


def read(entry: ops.StreamEntry) -> Item | None:
    """None for a kind that a newer version may write."""
    make = _MAKERS.get(entry.fields.get(b"kind", b""))
    try:
        return make(entry.position, _moment(entry.position), entry.fields) if make else None
    except (KeyError, ValueError):
        return None


def _moment(position: str) -> datetime:
    return _EPOCH + timedelta(milliseconds=order(position)[0])


def _progress(position: str, at: datetime, fields: dict[bytes, bytes]) -> Progress:
    fraction = float(fields[b"fraction"])
    return Progress(position, at, fraction if math.isfinite(fraction) else 0.0, _text(fields[b"text"]))


def _state_change(position: str, at: datetime, fields: dict[bytes, bytes]) -> StateChange:
    return StateChange(position, at, State(_text(fields[b"state"])))


_MAKERS: dict[bytes, Callable[[str, datetime, dict[bytes, bytes]], Item]] = {
    b"progress": _progress,
    b"log": lambda position, at, fields: Log(position, at, _text(fields[b"text"])),
    b"result": lambda position, at, fields: Result(position, at, fields[b"data"]),
    b"state": _state_change,
}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def error_in(message: bytes) -> str:
    """The last error of a task, "" = none, or nobody can read it."""
    try:
        return decode_task(message).error_msg if message else ""
    except WireError:
        return ""
