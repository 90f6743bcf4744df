"""``/workers``: who works, on what, and is anyone stuck?"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from msgspec.structs import replace

from hustlex.dashboard.paging import page_of
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.jobs import RunningTask, Server, Vitals

_SIZE = 30
_MOST_RUNNING = 100


async def workers(request: PageRequest) -> PageContent:
    """Living processes, 30 a page, and what runs longest on them."""
    cursor = request.behind()
    page = page_of(await living_servers(request), lambda each: (each.host, each.pid, each.id), cursor, _SIZE)
    busy = {server.id for server in page.shown if server.active_worker_count}
    servers = await living_servers(request, busy) if busy else []
    running = [(task, server) for server in servers for task in server.running]
    running.sort(key=lambda pair: pair[0].started_at)
    values = {
        "servers": [_counted(server, servers, request) for server in page.shown],
        "list": page,
        "cursor": cursor,
        "running": [_row(task, server) for task, server in running[:_MOST_RUNNING]],
        "more": max(0, len(running) - _MOST_RUNNING),
    }
    return PageContent("workers", "Workers", values)


async def living_servers(request: PageRequest, running_of: Collection[str] = ()) -> list[Server]:
    """Workers of queues that exist for this person, with nothing of others; what runs on those of these ids."""
    found = await request.hx.jobs.inspector.servers(running_of=running_of)
    if request.operator.sees_all_queues:
        return found
    return [seen for each in found if (seen := _narrowed(each, request)).queues]


def _narrowed(server: Server, request: PageRequest) -> Server:
    sees = request.operator.sees_queue
    queues = {name: weight for name, weight in server.queues.items() if sees(name)}
    running = tuple(task for task in server.running if sees(task.queue))
    return replace(server, queues=queues, running=running, vitals=_of_all(server.vitals))


def _of_all(vitals: Vitals | None) -> Vitals | None:
    """Without what names a queue or a task type, which may be another's."""
    return vitals and replace(vitals, blocks={}, trouble={}, hung=0, ahead=0)


def _counted(server: Server, read: list[Server], request: PageRequest) -> Server:
    """As busy as this person sees it: what it does for other queues is not counted."""
    if request.operator.sees_all_queues:
        return server
    seen = next((len(each.running) for each in read if each.id == server.id), 0)
    return replace(server, active_worker_count=seen)


def _row(task: RunningTask, server: Server) -> dict[str, object]:
    late = task.deadline is not None and task.deadline < datetime.now(UTC)
    return {"task": task, "worker": f"{server.host}:{server.pid}", "late": late}
