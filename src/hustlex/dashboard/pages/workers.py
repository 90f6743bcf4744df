"""``/workers``: who works, on what, and is anyone stuck?"""

from __future__ import annotations

from datetime import UTC, datetime

from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.jobs import RunningTask, Server

_MOST_RUNNING = 100


async def workers(request: PageRequest) -> PageContent:
    """Every living process, and what runs longest."""
    servers = await request.hx.jobs.inspector.servers()
    running = [
        (task, server) for server in servers for task in server.running if request.operator.sees_queue(task.queue)
    ]
    running.sort(key=lambda pair: pair[0].started_at)
    values = {
        "servers": servers,
        "running": [_row(task, server) for task, server in running[:_MOST_RUNNING]],
        "more": max(0, len(running) - _MOST_RUNNING),
    }
    return PageContent("workers", "Workers", values)


def _row(task: RunningTask, server: Server) -> dict[str, object]:
    late = task.deadline is not None and task.deadline < datetime.now(UTC)
    return {"task": task, "worker": f"{server.host}:{server.pid}", "late": late}
