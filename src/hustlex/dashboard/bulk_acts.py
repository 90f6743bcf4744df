"""Acts on all tasks that match a search: planned, then started, paused, stopped and undone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hustlex.core.redact import What
from hustlex.dashboard.pages.bulk import TYPED_OVER, seen
from hustlex.dashboard.request import PageRequest
from hustlex.errors import Misuse
from hustlex.jobs import BulkPhase, BulkVerb
from hustlex.jobs.search.query import LONGEST, moment_of

if TYPE_CHECKING:
    from hustlex.dashboard.targets import Target


async def plan(request: PageRequest, target: Target) -> str:
    """Look for its tasks; answers its page, where it can be started."""
    _make_room(request)
    acts, operator = request.hx.jobs.inspector.bulk, request.operator
    queues = None
    if not operator.sees_all_queues:
        queues = [name for name in await request.hx.jobs.inspector.queues() if operator.sees_queue(name)]
    label = str(request.show(What("audit", target.query)).value)[:LONGEST]
    verb: Any = target.do
    start = moment_of("the new start", target.when, time.time()) if verb == BulkVerb.RESCHEDULE else None
    planned = await acts.plan(verb, target.query, queues=queues, by=operator.name, label=label, start_at=start)
    return await _driven(request, planned.id)


def _make_room(request: PageRequest) -> None:
    if request.runner is not None:
        request.runner.make_room()


async def _driven(request: PageRequest, bulk_id: str) -> str:
    if request.runner is not None:
        await request.runner.drive(request, bulk_id)
    return request.url("bulk", bulk_id)


async def start(request: PageRequest, target: Target) -> str:
    """Do to the tasks what was planned; answers its page."""
    _make_room(request)
    found = await seen(request, target.bulk)
    if found.phase is BulkPhase.READY and found.planned > TYPED_OVER and target.typed != str(found.planned):
        raise Misuse("what was typed is not the number of tasks", hint=f"go back and type {found.planned}")
    await request.hx.jobs.inspector.bulk.start(found.id)
    return await _driven(request, found.id)


async def pause(request: PageRequest, target: Target) -> None:
    """Do nothing more until somebody goes on."""
    await request.hx.jobs.inspector.bulk.pause((await seen(request, target.bulk)).id)


async def stop(request: PageRequest, target: Target) -> None:
    """Do nothing to the rest."""
    await request.hx.jobs.inspector.bulk.stop((await seen(request, target.bulk)).id)


async def undo(request: PageRequest, target: Target) -> str:
    """Put back what can be; answers its page."""
    _make_room(request)
    found = await seen(request, target.bulk)
    await request.hx.jobs.inspector.bulk.undo(found.id)
    return await _driven(request, found.id)


async def go_on(request: PageRequest, target: Target) -> str:
    """Make its steps here; answers its page."""
    _make_room(request)
    return await _driven(request, (await seen(request, target.bulk)).id)
