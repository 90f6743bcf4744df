"""Firing periodic entries, each instant once, and what tools list of schedulers and their firings."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from hustlex.core.lua import load
from hustlex.core.op import Effect, Op, Reply, command
from hustlex.jobs import keys
from hustlex.jobs.enqueue.draft import Draft
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease.heartbeat import enlist, unlist

_ENTRIES = load("hustlex.jobs", "schedule/entries")
_RECORD = load("hustlex.jobs", "schedule/record")
_FIRE = load("hustlex.jobs", "schedule/fire")
_ANCHOR = load("hustlex.jobs", "schedule/anchor")


class Fired(enum.Enum):
    """What became of an instant. BEFORE: it was taken care of. NOT: the task's id or its lock is taken.

    FULL: the queue is. In the last two cases the instant is over all the same.
    """

    BEFORE = 0
    NOW = 1
    NOT = 2
    FULL = 3


def write_entries(scheduler_id: str, entries: Sequence[bytes], expiry_s: int) -> list[Op[int]]:
    """List a scheduler's entries for 20 s. expiry_s: Unix second, now + 20."""
    key = keys.scheduler(scheduler_id)
    return [enlist(keys.SCHEDULERS, key, expiry_s), _ENTRIES.op((key,), tuple(entries), int)]


def clear_entries(scheduler_id: str) -> list[Op[int]]:
    """Take a scheduler off the registry."""
    key = keys.scheduler(scheduler_id)
    return [
        unlist(keys.SCHEDULERS, key),
        command("jobs.clear_entries", Effect.IDEMPOTENT, "DEL", key, keys=(key,), decode=int),
    ]


def record(entry_id: str, at_s: int, event: bytes) -> Op[None]:
    """Note a firing; the newest 1000 stay, for 30 days."""
    return _RECORD.op((keys.scheduler_history(entry_id),), (at_s, event), lambda _: None)


def anchor(entry_id: str, queue: str, since_ms: int, life_s: int, now_ms: int, *, spec: str) -> Op[int]:
    """Up to which instant (Unix ms) schedulers took care of an entry; a new one starts at ``since_ms``.

    since_ms: 0 = now. life_s: see ``fire``. spec: what tells its instants; where it is another than before, those up
    to now count as taken care of.
    """
    place = queue_keys(queue)
    names = (keys.fired(place, entry_id), keys.timing(place, entry_id))
    return _ANCHOR.op(names, (now_ms, since_ms, life_s, spec), lambda reply: int(reply[1]))


def fire(entry_id: str, instant_ms: int, life_s: int, draft: Draft, now_ms: int) -> Op[Fired]:
    """Enqueue an entry's task unless this instant, or a later one, was taken care of before.

    draft: its id is the same in every scheduler. instant_ms: when the entry was due, Unix milliseconds. life_s: how
    long the instant is remembered.
    """
    queue = queue_keys(draft.queue)
    made = (draft.id, draft.message, draft.lock, draft.lock_ttl_s, draft.until, draft.wishes)
    args = (now_ms, instant_ms, life_s, *made, queue.prefix)
    return _FIRE.op((queue.pending, keys.fired(queue, entry_id)), args, _fired)


def _fired(reply: Reply) -> Fired:
    return Fired(reply[0])
