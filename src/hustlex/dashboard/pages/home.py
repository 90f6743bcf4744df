"""``/``: is anything wrong, and where?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hustlex.dashboard import attention
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.jobs import QueueSummary, Server
from hustlex.jobs.inspect.standing import state_of

_MOST_QUEUES = 8
_MOST_TROUBLES = 12


async def home(request: PageRequest) -> PageContent:
    """Figures of the whole, what needs attention, the queues that need it most."""
    inspector = request.hx.jobs.inspector
    queues = [each for each in await inspector.summaries() if request.operator.sees_queue(each.name)]
    servers = await inspector.servers()
    entries = await inspector.scheduler_entries()
    troubles = attention.of_jobs(queues, servers, entries, datetime.now(UTC))
    values = {
        "figures": _figures(queues, servers),
        "troubles": troubles[:_MOST_TROUBLES],
        "more": max(0, len(troubles) - _MOST_TROUBLES),
        "queues": [(each, state_of(each, servers)) for each in _worst(queues)],
        "all_queues": len(queues),
        "servers": servers,
        "entries": len(entries),
    }
    return PageContent("home", "Home", values, trouble=len(troubles))


def _worst(queues: list[QueueSummary]) -> list[QueueSummary]:
    return sorted(queues, key=lambda queue: (-queue.latency, -queue.unfinished, queue.name))[:_MOST_QUEUES]


def _figures(queues: list[QueueSummary], servers: list[Server]) -> dict[str, object]:
    slowest = max(queues, key=lambda queue: queue.latency, default=None)
    return {
        "done": sum(queue.processed_today for queue in queues),
        "failed": sum(queue.failed_today for queue in queues),
        "wait": slowest.latency if slowest else timedelta(0),
        "slowest": slowest.name if slowest and slowest.latency else "",
        "unfinished": sum(queue.unfinished for queue in queues),
        "archived": sum(queue.archived for queue in queues),
        "busy": sum(server.active_worker_count for server in servers),
        "slots": sum(server.concurrency for server in servers),
    }
