"""The single steps of bulk acts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Arg, Effect, Op, Reply, command
from hustlex.errors import NotFound
from hustlex.jobs.bulk import keys
from hustlex.jobs.bulk.types import Bulk, BulkItem, BulkVerb, ItemOutcome
from hustlex.jobs.keys import queue_keys

_ADVANCE = load("hustlex.jobs", "bulk/advance")
_TAKE, _PUT_BACK = load("hustlex.jobs", "bulk/take_several"), load("hustlex.jobs", "bulk/put_back")
_PUT_OFF = load("hustlex.jobs", "bulk/put_off")

MOST_ITEMS = 20_000
MOST_KEPT = 100
"""Bulk acts that are listed."""
_LIFE_S = int(timedelta(days=1).total_seconds())
_UNDO_S = int(timedelta(hours=1).total_seconds())
_MOST_BYTES = 32 * 1024 * 1024
"""Of deleted tasks that are kept for an hour, per queue and act; what is beyond cannot be put back."""


class Stored(msgspec.Struct, frozen=True):
    """A bulk act as it lies in Redis. search: what is needed to look for its tasks, while that goes on."""

    bulk: Bulk
    search: SearchState | None = None


class SearchState(msgspec.Struct, frozen=True):
    """queues: where to look, None = everywhere."""

    query: str
    now_s: float
    queues: tuple[str, ...] | None
    cursor: str = ""


_stored = msgspec.json.Decoder(Stored).decode


def load_one(bulk_id: str) -> Op[tuple[Stored, bytes]]:
    """The act, and its bytes, which name this version of it. Raises NotFound."""
    key = keys.record(bulk_id)
    return command(
        "jobs.load_bulk", Effect.READ, "GET", key, keys=(key,), decode=partial(_found, bulk_id),
    )  # fmt: skip


def _found(bulk_id: str, reply: Reply) -> tuple[Stored, bytes]:
    if reply is None:
        raise NotFound(f"there is no bulk act {bulk_id!r}", hint="they are kept for a day")
    return _stored(bytes(reply)), bytes(reply)


def advance(was: bytes, becomes: Stored, *, items: Sequence[BulkItem] = (), at: int = 0, letters: str = "") -> Op[bool]:
    """Put the next version in the place of this one. False, and nothing done: somebody else did.

    items: further tasks it is about. letters: what became of those from ``at`` on.
    """
    name = becomes.bulk.id
    packed: tuple[Arg, ...] = tuple(msgspec.msgpack.encode(item) for item in items)
    return _ADVANCE.op(
        (keys.record(name), keys.items(name), keys.report(name)),
        (was, msgspec.json.encode(becomes), _LIFE_S, at, letters, *packed),
        _yes,
    )


def _yes(reply: Reply) -> bool:
    return bool(reply[0] == 1)


def items(bulk_id: str, first: int, count: int) -> Op[list[BulkItem]]:
    """Some of the tasks it is about."""
    key = keys.items(bulk_id)
    return command("jobs.bulk_items", Effect.READ, "LRANGE", key, first, first + count - 1, keys=(key,), decode=_items)


def letters(bulk_id: str, first: int, count: int) -> Op[str]:
    """What became of them, a letter for each as far as it went."""
    key = keys.report(bulk_id)
    return command(
        "jobs.bulk_letters", Effect.READ, "GETRANGE", key, first, first + count - 1, keys=(key,), decode=_text
    )


def remember(bulk_id: str, now_ms: int) -> Op[int]:
    """Put it on the list of acts."""
    return command(
        "jobs.remember_bulk", Effect.IDEMPOTENT, "ZADD", keys.BULKS, now_ms, bulk_id, keys=(keys.BULKS,), decode=int
    )


def forget_oldest() -> Op[int]:
    """Keep the list short."""
    return command(
        "jobs.forget_bulks",
        Effect.IDEMPOTENT,
        "ZREMRANGEBYRANK",
        keys.BULKS,
        0,
        -MOST_KEPT - 1,
        keys=(keys.BULKS,),
        decode=int,
    )


def newest(count: int) -> Op[list[str]]:
    """Ids of acts, newest first; some may be gone."""
    return command(
        "jobs.bulks", Effect.READ, "ZREVRANGE", keys.BULKS, 0, count - 1, keys=(keys.BULKS,),
        decode=lambda reply: [name.decode() for name in reply],
    )  # fmt: skip


def take(bulk: Bulk, queue: str, found: Sequence[BulkItem], now_ms: int) -> Op[list[ItemOutcome]]:
    """Do it to tasks of one queue that are still where they were found; what was done before is not done again."""
    q = queue_keys(queue)
    verb = BulkVerb.RUN if bulk.verb is BulkVerb.RETRY else bulk.verb
    pairs = [part for item in found for part in (item.id, item.state.value)]
    if bulk.start_at is not None:
        due = int(bulk.start_at.timestamp() * 1000)
        fixed = (now_ms, q.prefix, due, _UNDO_S, _MOST_BYTES)
        return _PUT_OFF.op((keys.taken(q, bulk.id),), (*fixed, *pairs), _outcomes)
    return _TAKE.op(
        (q.pending, q.archived, keys.taken(q, bulk.id)),
        (now_ms, q.prefix, verb.value, _UNDO_S, _MOST_BYTES, *pairs),
        _outcomes,
    )


def put_back(bulk: Bulk, queue: str, found: Sequence[BulkItem], now_ms: int) -> Op[list[ItemOutcome]]:
    """Undo it for tasks of one queue, as far as they are still what it made of them."""
    q = queue_keys(queue)
    names = [item.id for item in found]
    return _PUT_BACK.op((q.pending, q.archived, keys.taken(q, bulk.id)), (now_ms, q.prefix, *names), _outcomes)


def _outcomes(reply: Reply) -> list[ItemOutcome]:
    return [ItemOutcome(letter) for letter in _text(reply[1])]


def _items(reply: Reply) -> list[BulkItem]:
    return [msgspec.msgpack.decode(packed, type=BulkItem) for packed in reply]


def _text(reply: Any) -> str:
    return str(reply.decode()) if reply else ""
