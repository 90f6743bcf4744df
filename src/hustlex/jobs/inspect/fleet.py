"""Which workers and schedulers live, and what they do; as they wrote it in their last heartbeat."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import msgspec

from hustlex.core.cursor import opened, sealed, strange
from hustlex.core.lua import load
from hustlex.core.op import Effect, Op, Reply, command
from hustlex.jobs import keys
from hustlex.jobs.inspect.types import EnqueueEvent, FoundEvents
from hustlex.jobs.keys import SCHEDULERS, SERVERS, WORKERS, addressed, scheduler_history
from hustlex.jobs.lease.heartbeat import ServedTypes, decode_served
from hustlex.jobs.lease.vitals import Vitals, decode_vitals
from hustlex.jobs.lookup import page_size
from hustlex.jobs.wire import (
    SchedulerEntry,
    ServerInfo,
    WireError,
    WorkerInfo,
    decode_entry,
    decode_event,
    decode_server,
    decode_worker,
)

T = TypeVar("T")
Told = tuple[ServedTypes | None, Vitals | None]

_LIVE = load("hustlex.jobs", "inspect/list_live")
_EVENTS = load("hustlex.jobs", "inspect/list_events")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST_US = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_MOST_US = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LONGEST = 1_000
"""Bytes of a member: a longer one, which is not ours, is known by its beginning."""


class FiringPlace(msgspec.Struct, frozen=True, array_like=True):
    """The last firing of a page, as the sorted set has it."""

    score: float
    member: bytes


def server_keys(now_ms: int) -> Op[list[str]]:
    """Keys of the ServerInfos of living processes."""
    return _LIVE.op((SERVERS,), (now_ms,), _keys)


def worker_keys(now_ms: int) -> Op[list[str]]:
    """Keys of the hashes of running tasks."""
    return _LIVE.op((WORKERS,), (now_ms,), _keys)


def scheduler_keys(now_ms: int) -> Op[list[str]]:
    """Keys of the entry lists of living schedulers."""
    return _LIVE.op((SCHEDULERS,), (now_ms,), _keys)


def servers(keys: Sequence[str]) -> Op[list[ServerInfo]]:
    """Those of some; left out are those that just expired or cannot be read."""
    return command(
        "jobs.servers",
        Effect.READ,
        "MGET",
        *keys,
        keys=tuple(keys),
        decode=lambda reply: _readable(decode_server, [raw for raw in reply if raw]),
    )


def told(infos: Sequence[ServerInfo]) -> Op[list[Told]]:
    """What each process tells of its task types and of itself; None where it does not."""
    names = tuple(keys.served(info.host, info.pid, info.server_id) for info in infos)
    return command(
        "jobs.served",
        Effect.READ,
        "MGET",
        *names,
        keys=names,
        decode=lambda reply: [(decode_served(raw), decode_vitals(raw)) for raw in reply],
    )


def running(key: str) -> Op[list[WorkerInfo]]:
    """The tasks one process is running."""
    return command(
        "jobs.running", Effect.READ, "HVALS", key, keys=(key,), decode=lambda reply: _readable(decode_worker, reply)
    )


def entries(key: str) -> Op[list[SchedulerEntry]]:
    """The periodic entries of one scheduler."""
    return command(
        "jobs.entries",
        Effect.READ,
        "LRANGE",
        key,
        0,
        -1,
        keys=(key,),
        decode=lambda reply: _readable(decode_entry, reply),
    )


def events(entry_id: str, cursor: str, size: int) -> Op[FoundEvents]:
    """Firings of one entry, newest first. Raises Misuse."""
    count, place = page_size(size), opened(cursor, FiringPlace)
    if place is not None and math.isnan(place.score):
        raise strange()
    behind = () if place is None else (f"{place.score:.17g}", place.member)
    key = scheduler_history(addressed("entry_id", entry_id))
    return _EVENTS.op((key,), (count, *behind), partial(_events, count))


def _events(count: int, reply: Reply) -> FoundEvents:
    pairs = reply[1:]
    found = (EnqueueEvent(each.task_id, moment(each.enqueue_time_ns)) for each in _readable(decode_event, pairs[::2]))
    full = len(pairs) == 2 * count
    return FoundEvents(tuple(found), sealed(FiringPlace(float(pairs[-1]), pairs[-2][:_LONGEST])) if full else "")


def moment(nanoseconds: int) -> datetime:
    """Since 1970. Bounded to Python's calendar: a foreign process may have written anything."""
    return _EPOCH + timedelta(microseconds=min(max(nanoseconds // 1_000, _LEAST_US), _MOST_US))


def _readable(decode: Callable[[bytes], T], replies: Reply) -> list[T]:
    found: list[T] = []
    for raw in replies:
        try:
            found.append(decode(raw))
        except WireError:
            continue
    return found


def _keys(reply: Reply) -> list[str]:
    return [key.decode("utf-8", "surrogateescape") for key in reply[1:]]
