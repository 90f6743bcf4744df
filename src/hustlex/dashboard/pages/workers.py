"""``/workers``: who works, on what, and is anyone stuck?"""

from __future__ import annotations

from datetime import UTC, datetime

from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.jobs import RunningTask, Server

_SIZE = 30
_MOST_RUNNING = 100


async def workers(request: PageRequest) -> PageContent:
    """Living processes, 30 a page, and what runs longest on them."""
    inspector, page = request.hx.jobs.inspector, request.page_number()
    living = sorted(await inspector.servers(running_of=()), key=lambda server: (server.host, server.pid, server.id))
    shown = living[_SIZE * (page - 1) : _SIZE * page]
    busy = {server.id for server in shown if server.active_worker_count}
    servers = await inspector.servers(running_of=busy) if busy else []
    running = [
        (task, server) for server in servers for task in server.running if request.operator.sees_queue(task.queue)
    ]
    running.sort(key=lambda pair: pair[0].started_at)
    values = {
        "servers": shown,
        "count": len(living),
        "number": page,
        "last": max(1, -(-len(living) // _SIZE)),
        "running": [_row(task, server) for task, server in running[:_MOST_RUNNING]],
        "more": max(0, len(running) - _MOST_RUNNING),
    }
    return PageContent("workers", "Workers", values)


def _row(task: RunningTask, server: Server) -> dict[str, object]:
    late = task.deadline is not None and task.deadline < datetime.now(UTC)
    return {"task": task, "worker": f"{server.host}:{server.pid}", "late": late}
