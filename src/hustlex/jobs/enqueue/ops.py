"""New tasks into a queue: now, later, into a group, unique or not, one or many; one script for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

from hustlex.core import check
from hustlex.core.lua import load
from hustlex.core.op import Arg, Effect, Op, Reply, command
from hustlex.jobs.enqueue.draft import Draft
from hustlex.jobs.keys import QUEUES, named, queue_keys
from hustlex.jobs.types import Debounced, Duplicate, Enqueued, IdTaken, Outcome, QueueFull, State

T = TypeVar("T")

_ENQUEUE = load("hustlex.jobs", "enqueue/enqueue")
_PLAIN = load("hustlex.jobs", "enqueue/enqueue_plain")
_MILLISECOND = 1_000_000
"""In nanoseconds."""
_STATES = {2: State.SCHEDULED, 3: State.AGGREGATING}

MOST_AT_ONCE = 500
"""Tasks per script call; other clients of the server wait while it runs (about 1 ms)."""


def enqueue(drafts: Sequence[Draft], token: str, now_ms: int) -> Op[list[Outcome]]:
    """At most 500 tasks of one queue. token: unique per call; a repeat of the same call changes nothing.

    All are decided in one atomic step, in order, each with its own outcome.
    """
    decode = partial(_outcomes, drafts)
    if all(draft.plain for draft in drafts):
        rows = [part for draft in drafts for part in (draft.id, draft.message)]
        return _plain(drafts[0].queue, str(now_ms * _MILLISECOND), token, rows, decode)
    return _any(drafts[0], token, now_ms, [part for draft in drafts for part in draft.row], decode)


def enqueue_one(draft: Draft, token: str, now_ms: int, time_ns: int) -> Op[Outcome]:
    """One task, as above. time_ns: of the server, as far as it is known; 0: it looks itself."""
    if draft.plain:
        return _plain(
            draft.queue,
            str(now_ms * _MILLISECOND or time_ns),
            token,
            (draft.id, draft.message),
            lambda reply: _outcome(draft, reply if reply == 1 else reply[1]),
        )
    return _any(draft, token, now_ms, draft.row, lambda reply: _outcome(draft, reply[1]))


def _plain(queue: str, since: str, token: str, rows: Iterable[Arg], decode: Callable[[Reply], T]) -> Op[T]:
    head = _head(queue)
    return Op(_PLAIN.name, _PLAIN.effect, head.keys, (*head.args, since, token, *rows), decode, _PLAIN, parts=(head,))


@lru_cache(maxsize=1024)
def _head(queue: str) -> Op[Any]:
    """What all calls of a queue begin with: packed once, since packing costs more than all else of an enqueue."""
    names = queue_keys(queue)
    return _PLAIN.op((names.pending,), (names.prefix,), _nothing, kept=[])


def _any(first: Draft, token: str, now_ms: int, rows: Iterable[Arg], decode: Callable[[Reply], T]) -> Op[T]:
    names = queue_keys(first.queue)
    keys = (names.pending, names.scheduled, names.groups)
    return _ENQUEUE.op(keys, (now_ms, names.prefix, token, *rows), decode)


def limit(queue: str, max_size: int | None) -> Op[None]:
    """Set or lift a queue's limit, for every producer that asks. Raises Misuse for a negative one."""
    key = queue_keys(queue if max_size is None else named("queue", queue)).prefix + "x:limit"
    if max_size is None:
        return command("jobs.limit_queue", Effect.IDEMPOTENT, "DEL", key, keys=(key,), decode=_nothing)
    check.whole("max_size", max_size)
    return command("jobs.limit_queue", Effect.IDEMPOTENT, "SET", key, max_size, keys=(key,), decode=_nothing)


def register(queue: str) -> Op[None]:
    """Make the queue known to inspectors and tools."""
    return command("jobs.register", Effect.IDEMPOTENT, "SADD", QUEUES, queue, keys=(QUEUES,), decode=_nothing)


def server_time(queue: str) -> Op[float]:
    """Of the server that has the queue, in Unix seconds."""
    keys = (queue_keys(queue).pending,)
    return command(
        "jobs.time", Effect.READ, "TIME", keys=keys, decode=lambda reply: int(reply[0]) + int(reply[1]) / 1e6
    )


def _outcomes(drafts: Sequence[Draft], reply: Reply) -> list[Outcome]:
    if reply == 1:
        return [Enqueued(draft.id, draft.queue, State.PENDING) for draft in drafts]
    return [_outcome(draft, answer) for draft, answer in zip(drafts, reply[1:], strict=True)]


def _outcome(draft: Draft, answer: Any) -> Outcome:
    if answer == 1:
        return Enqueued(draft.id, draft.queue, State.PENDING)
    if isinstance(answer, bytes):
        return Duplicate(answer.decode(), draft.queue)
    if isinstance(answer, list):
        if len(answer) == 1:
            return Debounced(answer[0].decode(), draft.queue)
        if isinstance(answer[1], bytes):
            return IdTaken(draft.id, draft.queue, State(answer[1].decode()) if answer[1] else None)
        return QueueFull(draft.queue, int(answer[0]), int(answer[1]))
    return Enqueued(draft.id, draft.queue, _STATES[answer])


def _nothing(_: Reply) -> None:
    return None
