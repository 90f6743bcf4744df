"""The stories of several steps about stored periodic entries."""

from __future__ import annotations

from typing import Any, TypedDict

from hustlex.core.op import Batch, Flow, do
from hustlex.errors import Conflict, Misuse
from hustlex.jobs.checks import declared
from hustlex.jobs.enqueue import flows
from hustlex.jobs.enqueue.job import Job
from hustlex.jobs.enqueue.known import KnownQueues
from hustlex.jobs.schedule import firing
from hustlex.jobs.schedule import ops as schedules
from hustlex.jobs.schedule.clock_changes import Dst
from hustlex.jobs.schedule.periodic import Missed, Periodic, ScheduleInfo, define, described, from_json
from hustlex.jobs.types import Enqueued, Outcome
from hustlex.jobs.wire import SchedulerEnqueueEvent, encode_event

_MOST_TRIES = 20


class Changes(TypedDict, total=False):
    """What to change of a stored entry; left out stays. timezone: only together with spec; "UTC" then."""

    spec: str
    timezone: str
    job: Job
    dst: Dst
    missed: Missed
    max_missed: int


def add(entry: Periodic, now_ms: int) -> Flow[None]:
    """Store a new entry; the same one may be added again. Raises Conflict."""
    if not (yield from do(schedules.save(entry, b"", now_ms))):
        raise Conflict(f"there is another periodic entry {entry.name!r}", hint="change it, or remove it first")


def change(name: str, changes: Changes, now_ms: int, queues: frozenset[str] | None) -> Flow[None]:
    """Replace parts of a stored entry, without losing what others change meanwhile."""
    if not changes.keys() <= Changes.__annotations__.keys():
        raise Misuse(f"unknown: {', '.join(sorted(changes.keys() - Changes.__annotations__.keys()))}")
    if "timezone" in changes and "spec" not in changes:
        raise Misuse("a time zone is changed together with its spec", hint="pass both spec and timezone")
    for _ in range(_MOST_TRIES):
        page = yield from do(schedules.show(name, now_ms))
        if page.in_code:
            raise Conflict(f"the periodic entry {name!r} is in the schedulers' code", hint="change it there")
        changed = _changed(name, page.definition, changes)
        declared(changed.queue, queues)
        if (yield from do(schedules.save(changed, page.definition, now_ms))):
            return
    raise Conflict(f"the periodic entry {name!r} is being changed by others all the time")


def _changed(name: str, definition: bytes, changes: Changes) -> Periodic:
    was = from_json(name, definition)
    return define(
        name,
        changes.get("spec", was.spec),
        changes.get("job", was.job),
        timezone=changes.get("timezone", "UTC"),
        dst=changes.get("dst", was.dst),
        missed=changes.get("missed", was.missed),
        max_missed=changes.get("max_missed", was.max_missed),
    )


def one(name: str, now_ms: int) -> Flow[ScheduleInfo]:
    """An entry. Raises NotFound."""
    page = yield from do(schedules.show(name, now_ms))
    return described(name, page.definition, page.in_code, page.paused, page.now_ms)


def run(name: str, token: str, now_ms: int, known: KnownQueues, queues: frozenset[str] | None) -> Flow[Outcome]:
    """Enqueue an entry's job now, and note it in the entry's history."""
    page = yield from do(schedules.show(name, now_ms))
    entry = from_json(name, page.definition)
    declared(entry.queue, queues)
    placed = entry.made(f"{entry.name}@run-{token}")
    outcome = yield from flows.enqueue(placed, token, now_ms, known)
    if isinstance(outcome, Enqueued):
        event = encode_event(SchedulerEnqueueEvent(outcome.id, page.now_ms * 1_000_000))
        _: Any = yield Batch((firing.record(entry.id, page.now_ms // 1000, event),))  # for display: may fail
    return outcome
