"""``/``: is anything wrong, and where?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hustlex.dashboard import connected, latency, rooms, timelines
from hustlex.dashboard.fills import ServerFill
from hustlex.dashboard.operators import Operator
from hustlex.dashboard.pages import errors
from hustlex.dashboard.pages.cron import queue_named
from hustlex.dashboard.pages.workers import living_servers
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.jobs import ErrorGroup, PeriodicInfo, QueueHistory, QueueSummary, Server
from hustlex.jobs.inspect.standing import state_of
from hustlex.jobs.lease.record import MOST_GROUPS
from hustlex.metrics import attention
from hustlex.metrics.attention import Trouble

_MOST_QUEUES = 8
_MOST_TROUBLES = 12
_MOST_GROUPS, _READ = 5, (20, MOST_GROUPS)


async def home(request: PageRequest) -> PageContent:
    """What needs attention, and the figures of each room that exists for this person."""
    values: dict[str, Any] = {"jobs": None}
    troubles = list[Trouble]()
    if request.operator.sees_room("jobs"):
        values["jobs"], troubles = await _jobs(request)
    found = await rooms.lately(request)
    seen, values["fill"] = await _patrolled(request)
    troubles = sorted([*troubles, *seen, *attention.of_rooms(found)], key=lambda trouble: trouble.level != "fail")
    values |= {"rooms": rooms.rows_of(found), "streams": None}
    if "events" in found:
        values["streams"] = await connected.now(request, found["events"].hours)
    values |= {"troubles": troubles[:_MOST_TROUBLES], "more": max(0, len(troubles) - _MOST_TROUBLES)}
    return PageContent("home", "Home", values, trouble=len(troubles))


async def _patrolled(request: PageRequest) -> tuple[list[Trouble], ServerFill | None]:
    if request.patrol is None:
        return [], None
    await request.patrol.look()
    return list(request.patrol.troubles(request.operator)), request.patrol.fill(request.operator)


async def _jobs(request: PageRequest) -> tuple[dict[str, Any], list[Trouble]]:
    """Figures of the whole, the queues that need attention most, and what is wrong."""
    inspector = request.hx.jobs.inspector
    queues = [each for each in await inspector.summaries() if request.operator.sees_queue(each.name)]
    servers = await living_servers(request)
    entries = [each for each in await inspector.scheduler_entries() if _sees(request.operator, each)]
    groups, history = await _groups(request), await _history(request)
    now = datetime.now(UTC)
    troubles = [*attention.of_jobs(queues, servers, entries, now), *attention.of_errors(groups, now)]
    values = {
        "figures": _figures(queues) | _slots(request, queues, servers),
        "charts": timelines.of_day(history) if history else [],
        "hours": timelines.rows(history) if history else [],
        "charts_hidden": history is None,
        "latency": [] if history is None else await latency.of_all(request),
        "groups": groups,
        "queues": [(each, state_of(each, servers)) for each in _worst(queues)],
        "all_queues": len(queues),
        "servers": servers,
        "entries": len(entries),
    }
    return values, troubles


def _sees(operator: Operator, entry: PeriodicInfo) -> bool:
    return operator.sees_queue(queue_named(entry.options))


async def _history(request: PageRequest) -> QueueHistory | None:
    """Of all queues together, for whom all exist."""
    if not request.operator.sees_all_queues:
        return None
    return await request.hx.jobs.inspector.time_series(days=1)


async def _groups(request: PageRequest) -> list[ErrorGroup]:
    """The last ones, without those that somebody muted."""
    names = (await errors.seen(request))[:_MOST_GROUPS]
    heard = list[ErrorGroup]()
    for most in _READ:  # more where those that are muted would hide what is new
        found = await request.hx.jobs.inspector.error_groups(names, size=most)
        heard = [group for group in found if not group.muted][:_MOST_GROUPS]
        if len(heard) == _MOST_GROUPS or len(found) < most:
            break
    return heard


def _worst(queues: list[QueueSummary]) -> list[QueueSummary]:
    return sorted(queues, key=lambda queue: (-queue.latency, -queue.unfinished, queue.name))[:_MOST_QUEUES]


def _figures(queues: list[QueueSummary]) -> dict[str, object]:
    slowest = max(queues, key=lambda queue: queue.latency, default=None)
    return {
        "done": sum(queue.processed_today for queue in queues),
        "failed": sum(queue.failed_today for queue in queues),
        "wait": slowest.latency if slowest else timedelta(0),
        "slowest": slowest.name if slowest and slowest.latency else "",
        "unfinished": sum(queue.unfinished for queue in queues),
        "archived": sum(queue.archived for queue in queues),
    }


def _slots(request: PageRequest, queues: list[QueueSummary], servers: list[Server]) -> dict[str, object]:
    """What workers tell of themselves is of all their queues: who sees some is told what is active in these."""
    whole = request.operator.sees_all_queues
    busy = sum(each.active_worker_count for each in servers) if whole else sum(queue.active for queue in queues)
    return {"busy": busy, "slots": sum(server.concurrency for server in servers)}
