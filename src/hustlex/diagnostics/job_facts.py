"""What is known of jobs that do not run."""

from __future__ import annotations

from typing import Any

import msgspec

from hustlex.core.op import Batch, Effect, Flow, Op, command, do
from hustlex.errors import Error, Refused
from hustlex.jobs import lookup
from hustlex.jobs.inspect import flows as inspection
from hustlex.jobs.inspect import orphans
from hustlex.jobs.inspect.orphans import MOST_QUEUES, Orphans
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.schedule import ops as schedules
from hustlex.jobs.schedule.ops import Refusals
from hustlex.jobs.schedule.periodic import ScheduleInfo


class QueueBacklog(msgspec.Struct, frozen=True):
    """What has not gone on in a queue."""

    oldest_s: float
    """How long the next pending task has waited."""
    archived: int
    """Tasks that were given up."""
    lost: int
    """Tasks whose lease has been over for 30 seconds and more, and that nobody took back."""
    paused: bool = False
    """Whether an operator stopped it."""


class JobFacts(msgspec.Struct, frozen=True):
    """What is known of jobs that do not run."""

    entries: list[ScheduleInfo]
    """All periodic entries."""
    refused: dict[str, Refusals]
    """Entries whose task was not enqueued, of the last days."""
    orphans: Orphans
    """Queues and types that no worker takes."""
    backlogs: dict[str, QueueBacklog] = {}
    """Of 200 queues at most (in a brief check: of all), by name."""


_LEASE_GRACE_S = 30


def of_jobs(now_ms: int = 0, *, brief: bool = False) -> Flow[JobFacts | None]:
    """Ask for what does not run; None for a user who may not look at jobs. Bounded, see ``Orphans``.

    brief: of all queues, in a call for each hundred; types of tasks in three of them.
    """
    try:
        entries = yield from do(schedules.listed(now_ms))
        refused = yield from do(schedules.refused())
        if brief:
            return JobFacts(entries, refused, *(yield from _glance(now_ms)))
        found = yield from orphans.find(now_ms)
        return JobFacts(entries, refused, found, (yield from _backlogs(now_ms)))
    except Refused:
        return None


def _glance(now_ms: int) -> Flow[tuple[Orphans, dict[str, QueueBacklog]]]:
    summaries = yield from inspection.summaries((yield from do(lookup.queues())), now_ms)
    found = yield from orphans.glance(summaries, now_ms)
    waits = {
        each.name: QueueBacklog(each.latency.total_seconds(), each.archived, each.orphans, each.paused)
        for each in summaries
    }
    return found, waits


def _backlogs(now_ms: int) -> Flow[dict[str, QueueBacklog]]:
    names = (yield from do(lookup.queues()))[:MOST_QUEUES]
    now_s = (now_ms / 1000) if now_ms else (yield from do(_server_seconds()))
    rows = yield from _answers([op for name in names for op in _sizes(name, now_s)])
    sizes = [rows[n : n + 4] for n in range(0, len(rows), 4)]
    firsts = [first for first, *_ in sizes]
    since = yield from _answers([_since(name, first) for name, first in zip(names, firsts, strict=True) if first])
    times = iter(since)
    waits = [_waited(next(times), now_s) if first else 0.0 for first in firsts]
    return {
        name: QueueBacklog(wait, archived or 0, lost or 0, bool(paused))
        for name, wait, (_, archived, lost, paused) in zip(names, waits, sizes, strict=True)
    }


def _sizes(name: str, now_s: float) -> list[Op[Any]]:
    q = queue_keys(name)
    return [
        _ask(q.pending, "LINDEX", q.pending, -1),
        _ask(q.archived, "ZCARD", q.archived),
        _ask(q.lease, "ZCOUNT", q.lease, "-inf", int(now_s) - _LEASE_GRACE_S),
        _ask(q.paused, "EXISTS", q.paused),
    ]


def _since(name: str, task_id: bytes) -> Op[Any]:
    key = queue_keys(name).task_prefix + task_id.decode("utf-8", "surrogateescape")
    return _ask(key, "HGET", key.encode("utf-8", "surrogateescape"), "pending_since")


def _waited(since_ns: Any, now_s: float) -> float:
    """pending_since holds nanoseconds; what is no number says nothing."""
    try:
        return max(0.0, now_s - int(since_ns) / 1e9)
    except (TypeError, ValueError):
        return 0.0


def _ask(key: str, *words: Any) -> Op[Any]:
    return command(f"doctor.{words[0].lower()}", Effect.READ, *words, keys=(key,), decode=lambda reply: reply)


def _server_seconds() -> Op[float]:
    return command("doctor.time", Effect.READ, "TIME", decode=lambda reply: int(reply[0]) + int(reply[1]) / 1e6)


def _answers(ops: list[Op[Any]]) -> Flow[list[Any]]:
    """None for a key of a wrong type, which is somebody else's trouble."""
    answers: list[Any] = (yield Batch(tuple(ops))) if ops else []
    return [None if isinstance(answer, Error) else answer for answer in answers]
