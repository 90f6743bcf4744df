"""Messages that were set aside because nobody could decode them: looking, putting back, deleting."""

from __future__ import annotations

from functools import partial

import msgspec

from hustlex.core import check
from hustlex.core.lua import load
from hustlex.core.op import Effect, Flow, Op, Reply, command, do
from hustlex.errors import Conflict, NotFound
from hustlex.jobs.inspect.act import acted
from hustlex.jobs.keys import addressed, parked, queue_keys
from hustlex.jobs.lookup import scan_cursor
from hustlex.jobs.wire import WireError, decode_task

_SCAN = load("hustlex.jobs", "inspect/scan_parked")
_UNPARK = load("hustlex.jobs", "inspect/unpark")

_MOST_AT_ONCE = 100
_BEGIN = 8_192
"""Bytes of a message that are told."""


class ParkedMessage(msgspec.Struct, frozen=True):
    """A message that was set aside. Its repr hides it: it may hold personal data."""

    id: str
    """Of its task."""
    size: int
    """In bytes."""
    begin: bytes
    """Its first 8,192 bytes."""

    @property
    def readable(self) -> bool | None:
        """Whether this version can decode it and it can be put back; None = it is longer than what is told here."""
        return _can_read(self.begin) if len(self.begin) == self.size else None

    def __repr__(self) -> str:
        return f"ParkedMessage({self.id!r}, {self.size} bytes)"


class FoundParked(msgspec.Struct, frozen=True):
    """A page of what was set aside in a queue, in no order."""

    messages: tuple[ParkedMessage, ...]
    """About as many as were asked for."""
    cursor: str
    """Where the next page begins, "" = this is the last."""
    number: int
    """Of all that were set aside in the queue."""


def scan(queue: str, cursor: str, size: int) -> Op[FoundParked]:
    """size: 1 to 100, about. Raises Misuse."""
    args = (scan_cursor(cursor), check.whole("size", size, 1, _MOST_AT_ONCE), _BEGIN)
    return _SCAN.op((parked(queue_keys(queue)),), args, _found)


def _found(reply: Reply) -> FoundParked:
    _, cursor, number, *rows = reply
    found = (ParkedMessage(_text(rows[n]), rows[n + 1], rows[n + 2]) for n in range(0, len(rows), 3))
    left = _text(cursor)
    return FoundParked(tuple(found), "" if left == "0" else left, number)


def put_back(queue: str, task_id: str, now_ms: int) -> Flow[None]:
    """Into pending. Raises NotFound, Conflict: one that cannot be read would stop the recovery by Go's workers."""
    q, task_id = queue_keys(queue), addressed("task_id", task_id)
    key = parked(q)
    kept = command("jobs.parked", Effect.READ, "HGET", key, task_id, keys=(key,), decode=lambda reply: reply)
    message: bytes | None = yield from do(kept)
    if message is None:
        raise _missing(queue, task_id)
    if not _can_read(message):
        raise Conflict(f"message {task_id!r} still cannot be read", hint="a version that can may put it back")
    told = partial(acted, queue, task_id, {-1: "is there already, by the same id"})
    yield from do(_UNPARK.op((key, q.task(task_id), q.pending), (now_ms, task_id), told))


def discard(queue: str, task_id: str) -> Op[None]:
    """For good. Raises NotFound."""
    key, task_id = parked(queue_keys(queue)), addressed("task_id", task_id)

    def told(reply: Reply) -> None:
        if not reply:
            raise _missing(queue, task_id)

    return command("jobs.discard", Effect.ONCE, "HDEL", key, task_id, keys=(key,), decode=told)


def _missing(queue: str, task_id: str) -> NotFound:
    return NotFound(f"queue {queue!r} has set no message {task_id!r} aside", hint="it is kept for 30 days")


def _can_read(message: bytes) -> bool:
    try:
        decode_task(message)
    except WireError:
        return False
    return True


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
