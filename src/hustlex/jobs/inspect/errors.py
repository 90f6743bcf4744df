"""Failures by their signature, as workers counted them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from hustlex.core import check
from hustlex.core.lua import load
from hustlex.core.op import Batch, Effect, Flow, Op, Reply, command, do
from hustlex.errors import Error, NotFound
from hustlex.jobs.keys import HISTORY, failure_groups, queue_keys
from hustlex.jobs.lease.record import MOST_GROUPS, FailureKind

_LIST = load("hustlex.jobs", "inspect/list_errors")
_MUTE = load("hustlex.jobs", "inspect/mute_errors")
MOST_QUEUES, MOST_LISTED = 20, 500
_SHORTEST_MUTE, LONGEST_MUTE = timedelta(seconds=1), timedelta(days=30)
_LONGEST_SIGNATURE = 64
_MILLISECOND = timedelta(milliseconds=1)


class Muted(msgspec.Struct, frozen=True):
    """Somebody knows of these failures: they need no attention. until: None = until it fails so again."""

    until: datetime | None


class ErrorGroup(msgspec.Struct, frozen=True):
    """Failures of one queue that have the task's type, the error and its place in common."""

    queue: str
    signature: str
    """16 hex digits; the same error has the same in every queue and every process."""
    type: str
    """Of the tasks."""
    error: str
    """The class of the exception, as ``app.errors.ProviderDown``; "" where only a text is known."""
    place: str
    """The innermost function of the application, as ``provider.post``; "" where that is not known."""
    message: str
    """What the last one said, without what differs: ids, numbers, addresses, what stood in quotes."""
    count: int
    """How often, since the group is known: at most 100 groups of a queue are, for 30 days after the last failure."""
    first_seen: datetime
    last_seen: datetime
    """When workers told of it, up to 3 seconds after it happened."""
    ids: tuple[str, ...]
    """Of the last 10 tasks that failed so, newest first."""
    by_hour: tuple[int, ...]
    """Of 24 hours, that of the last failure last."""
    muted: Muted | None = None
    """None when it needs attention as any other."""


class _StoredMute(msgspec.Struct):
    """until_ms: 0 = until there are more than count."""

    until_ms: int | float
    count: int | float


class _Stored(msgspec.Struct):
    """As the script writes it."""

    told: FailureKind
    count: int | float
    first: int | float
    last: int | float
    ids: list[str] = []
    hours: dict[str, int | float] = {}
    muted: _StoredMute | None = None


def of_queue(queue: str, most: int, now_ms: int) -> Op[list[ErrorGroup]]:
    """The groups that were seen last, the last one first."""
    check.whole("most", most, 1, MOST_GROUPS)
    keys = queue_keys(queue)
    return _LIST.op(failure_groups(keys), (now_ms, most), lambda reply: _groups(queue, reply))


def mute(queue: str, signature: str, length: timedelta | None, now_ms: int) -> Op[None]:
    """Let a group need no attention for so long, None = until it fails again. Raises NotFound."""
    ms = 0 if length is None else check.duration("length", length, _SHORTEST_MUTE, LONGEST_MUTE) // _MILLISECOND
    return _mute(queue, signature, ms, now_ms)


def unmute(queue: str, signature: str) -> Op[None]:
    """Let it need attention as any other. Raises NotFound."""
    return _mute(queue, signature, -1, 0)


def _mute(queue: str, signature: str, length_ms: int, now_ms: int) -> Op[None]:
    groups, _ = failure_groups(queue_keys(queue))
    args = (now_ms, check.text("signature", signature, longest=_LONGEST_SIGNATURE), length_ms)
    return _MUTE.op((groups,), args, partial(_known, queue, signature))


def _known(queue: str, signature: str, reply: Reply) -> None:
    if not reply[0]:
        hint = "groups are kept for 30 days after the last failure"
        raise NotFound(f"queue {queue!r} knows no failures {signature!r}", hint=hint)


def failing(most: int) -> Op[list[str]]:
    """Queues in which something failed last, the last one first."""
    key = f"{HISTORY}failing"
    return command(
        "jobs.failing",
        Effect.READ,
        "ZREVRANGE",
        key,
        0,
        most - 1,
        keys=(key,),
        decode=lambda reply: [*map(_text, reply)],
    )


def newest(queues: Sequence[str] | None, most: int, now_ms: int) -> Flow[list[ErrorGroup]]:
    """Of these queues (None: of the 20 that failed last), the groups that were seen last."""
    names = (yield from do(failing(MOST_QUEUES))) if queues is None else queues[:MOST_QUEUES]
    answers: list[Any] = (yield Batch(tuple(of_queue(name, most, now_ms) for name in names))) if names else []
    found: list[ErrorGroup] = []
    for answer in answers:
        if isinstance(answer, Error):
            raise answer
        found += answer
    return sorted(found, key=lambda group: group.last_seen, reverse=True)[:most]


def _groups(queue: str, reply: Reply) -> list[ErrorGroup]:
    _, now_ms, *rows = reply
    found = (_group(queue, _text(rows[n]), rows[n + 1], now_ms) for n in range(0, len(rows), 2))
    return [group for group in found if group is not None]


def _group(queue: str, signature: str, raw: bytes, now_ms: int) -> ErrorGroup | None:
    """None for what cannot be read."""
    try:
        stored = msgspec.json.decode(raw, type=_Stored)
        told, last = stored.told, _moment(stored.last)
        return ErrorGroup(
            queue, signature, told.type, told.error, told.place, told.message, int(stored.count), _moment(stored.first),
            last, tuple(stored.ids), _by_hour(stored), _muted(stored, now_ms),
        )  # fmt: skip
    except (msgspec.MsgspecError, OverflowError, ValueError, OSError):
        return None


def _muted(stored: _Stored, now_ms: int) -> Muted | None:
    told = stored.muted
    if told is None or (told.until_ms <= now_ms if told.until_ms else stored.count > told.count):
        return None
    return Muted(_moment(told.until_ms) if told.until_ms else None)


def _by_hour(stored: _Stored) -> tuple[int, ...]:
    """Up to the hour of the last failure."""
    last = int(stored.last) // 3_600_000
    return tuple(int(stored.hours.get(str(hour), 0)) for hour in range(last - 23, last + 1))


def _moment(unix_ms: float) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=unix_ms)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
