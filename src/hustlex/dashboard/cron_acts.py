"""Acts on periodic entries that are stored: what is typed is checked by what checks it in code."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import msgspec

from hustlex.dashboard.pages.cron import queue_of
from hustlex.dashboard.request import PageRequest
from hustlex.dashboard.targets import Target
from hustlex.errors import Misuse, NotFound
from hustlex.jobs import Job, ScheduleInfo
from hustlex.jobs.enqueue.job import as_job
from hustlex.jobs.schedule.periodic import Periodic, define

_SHOWN = 3


async def fire(request: PageRequest, target: Target) -> None:
    """Enqueue its job now."""
    await request.hx.jobs.schedules.run((await _seen(request, target)).name)


async def pause(request: PageRequest, target: Target) -> None:
    """Fire it no more."""
    await request.hx.jobs.schedules.pause((await _seen(request, target)).name)


async def resume(request: PageRequest, target: Target) -> None:
    """Fire it again."""
    await request.hx.jobs.schedules.resume((await _seen(request, target)).name)


async def edit(request: PageRequest, target: Target) -> None:
    """Fire it at other times."""
    await request.hx.jobs.schedules.change((await _seen(request, target)).name, spec=target.spec, **_more(target))


async def add(request: PageRequest, target: Target) -> None:
    """Store a new one."""
    await request.hx.jobs.schedules.add(target.entry, target.spec, _job(target), **_more(target))


async def remove(request: PageRequest, target: Target) -> None:
    """Forget it."""
    await request.hx.jobs.schedules.remove((await _seen(request, target)).name)


async def next_of_changed(request: PageRequest, target: Target) -> list[str]:
    """When it would fire, as it is typed."""
    found = await _seen(request, target)
    return _next(define(found.name, target.spec, found.job, dst=found.dst, **_more(target)))


async def next_of_new(_: PageRequest, target: Target) -> list[str]:
    """The same of one that is not stored yet."""
    return _next(define(target.entry, target.spec, _job(target), **_more(target)))


async def _seen(request: PageRequest, target: Target) -> ScheduleInfo:
    """Raises NotFound for an entry whose queue does not exist for this person."""
    found = await request.hx.jobs.schedules.get(target.entry)
    if not request.operator.sees_queue(queue_of(found)):
        raise NotFound(f"there is no entry {target.entry!r}")
    return found


def _more(target: Target) -> dict[str, Any]:
    return {"timezone": target.timezone or "UTC"} | ({"missed": target.missed} if target.missed else {})


def _job(target: Target) -> Job:
    try:
        payload = msgspec.json.decode(target.payload) if target.payload.strip() else None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Misuse("the payload is not JSON", hint='write it as {"week": 1}') from None
    return as_job(target.type, payload).with_options(queue=target.queue)


def _next(entry: Periodic) -> list[str]:
    told, at_ms = list[str](), time.time_ns() // 1_000_000
    while len(told) < _SHOWN and (at_ms := entry.next_ms(at_ms)) >= 0:
        told.append(f"fires {datetime.fromtimestamp(at_ms / 1000, UTC):%a %Y-%m-%d %H:%M:%S} UTC")
    return told or ["does not fire in the next five years"]
