"""What happened in queues: by the minute for a day, by the hour for a month. See lua/lib/history.lua."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import repeat
from struct import unpack

import msgspec

from hustlex.core import check
from hustlex.core.lua import load
from hustlex.core.op import Op, Reply
from hustlex.jobs.keys import HISTORY, queue_keys

_READ = load("hustlex.jobs", "inspect/read_history")
_RECENT = load("hustlex.jobs", "inspect/read_recent")

MOST_HOURS, MOST_DAYS = 24, 30
_SERIES = 4
_CELL = 4


class HistoryPoint(msgspec.Struct, frozen=True, gc=False):
    """One minute or one hour."""

    at: datetime
    """Its beginning, UTC."""
    processed: int
    """Attempts that ended in it, failed ones among them, in whatever language."""
    failed: int
    """Attempts that failed."""
    unfinished: int
    """Tasks that were still to be done, at most, without those in groups."""
    waited: timedelta
    """The longest wait that was seen, of a task that was next to run."""


RecentMinutes = tuple[int | None, ...]
"""Of the last 60 minutes, the present one last; None where nobody looked."""


class QueueHistory(msgspec.Struct, frozen=True):
    """Points in order; those in which no Python worker looked at the queue are left out: what happened is not known."""

    minutes: tuple[HistoryPoint, ...]
    hours: tuple[HistoryPoint, ...]
    now: datetime
    """The server's time, in the last minute and the last hour of both."""


def read(queue: str | None, hours: int, days: int, now_ms: int) -> Op[QueueHistory]:
    """queue: None = all together. hours, days: how far back, 0 to 24 and 0 to 30; 0 days = no hours."""
    check.whole("hours", hours, 0, MOST_HOURS)
    check.whole("days", days, 0, MOST_DAYS)
    name = "" if queue is None else queue_keys(queue).name
    return _READ.op((f"{HISTORY}queues",), (now_ms, name, hours, days or -1), lambda reply: _history(hours, reply))


def recent(queues: Sequence[str], now_ms: int) -> Op[list[RecentMinutes]]:
    """Attempts that ended, of each queue."""
    names = [queue_keys(name).name for name in queues]
    return _RECENT.op((f"{HISTORY}queues",), (now_ms, *names), _recent)


def _recent(reply: Reply) -> list[RecentMinutes]:
    end = int(reply[1]) // 60_000 % 60 + 61
    return [_last_hour(reply[n : n + 2], end) for n in range(2, len(reply), 2)]


def _last_hour(strings: list[bytes], end: int) -> RecentMinutes:
    """Up to this minute of the two hours."""
    ended, unfinished = ([*_numbers(strings[0], n, 60), *_numbers(strings[1], n, 60)][end - 60 : end] for n in (0, 2))
    return tuple(count if seen else None for count, seen in zip(ended, unfinished, strict=True))


def _history(hours: int, reply: Reply) -> QueueHistory:
    now_ms = int(reply[1])
    now = _moment(now_ms)
    if reply[0] == 0:
        return QueueHistory((), (), now)
    since, strings = int(reply[2]), reply[3]
    minutes = _points(strings[: hours + 1], 60, 60_000, now_ms)
    longer = _points(strings[hours + 1 :], 24, 3_600_000, now_ms)
    oldest = now - timedelta(hours=hours)
    return QueueHistory(
        tuple(point for point in _since(minutes, since, 60_000) if point.at > oldest - timedelta(minutes=1)),
        tuple(_since(longer, since, 3_600_000)),
        now,
    )


def _since(points: Iterable[HistoryPoint], since_ms: int, step_ms: int) -> Iterator[HistoryPoint]:
    """What stands there from before belongs to a queue that had the place then."""
    first = _moment(since_ms // step_ms * step_ms)
    return (point for point in points if point.at >= first)


def _points(strings: list[bytes], length: int, step_ms: int, now_ms: int) -> Iterator[HistoryPoint]:
    """strings: one for each hour or day, the last one of the present; of each, four series of ``length`` cells."""
    span_ms = length * step_ms
    first = now_ms // span_ms - len(strings) + 1
    for n, cells in enumerate(strings):
        series = [_numbers(cells, number, length) for number in range(_SERIES)]
        for at, values in enumerate(zip(*series, strict=True)):
            if values[2]:  # somebody looked
                yield _point((first + n) * span_ms + at * step_ms, *values)


def _point(at_ms: int, processed: int, failed: int, unfinished: int, waited: int) -> HistoryPoint:
    return HistoryPoint(_moment(at_ms), processed, failed, unfinished - 1, timedelta(milliseconds=max(waited - 1, 0)))


def _numbers(cells: bytes, number: int, length: int) -> Iterable[int]:
    part = cells[number * length * _CELL : (number + 1) * length * _CELL]
    return unpack(f">{length}I", part.ljust(length * _CELL, b"\0")) if part else repeat(0, length)


def _moment(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
