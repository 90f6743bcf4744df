"""``/queues`` and ``/queues/{queue}``: which one is behind, and why?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hustlex.dashboard import latency, timelines
from hustlex.dashboard.pages.workers import living_servers
from hustlex.dashboard.paging import page_of
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.errors import NotFound
from hustlex.jobs import QueueSummary, Server, State
from hustlex.jobs.inspect.standing import serving, state_of

_SIZE = 50
_DAYS = 14
_GROUPS = 5
STATES = (State.PENDING, State.ACTIVE, State.SCHEDULED, State.RETRY, State.ARCHIVED, State.COMPLETED)
_NEVER = datetime.max.replace(tzinfo=UTC)
_ORDERS: dict[str, Callable[[QueueSummary], tuple[Any, ...]]] = {
    "attention": lambda queue: (-queue.orphans, _since(queue), -queue.unfinished, queue.name),
    "name": lambda queue: (queue.name,),
    "wait": lambda queue: (_since(queue), queue.name),
    "pending": lambda queue: (-queue.pending, queue.name),
    "failed": lambda queue: (-queue.failed_today, queue.name),
}


async def queues(request: PageRequest) -> PageContent:
    """All queues, 50 a page."""
    inspector = request.hx.jobs.inspector
    seen = [each for each in await inspector.summaries() if request.operator.sees_queue(each.name)]
    servers = await living_servers(request)
    order = request.word("sort", "attention")
    order = order if order in _ORDERS else "attention"
    page = page_of(seen, _ORDERS[order], request.behind(), _SIZE)
    names = [each.name for each in page.shown]
    values = {
        "recent": dict(zip(names, await inspector.recent(names), strict=True)) if names else {},
        "rows": [(each, state_of(each, servers), _serving(each.name, servers)) for each in page.shown],
        "latency": await latency.of_types(request) if request.operator.sees_all_queues else [],
        "order": order,
        "list": page,
    }
    return PageContent("queues", "Queues", values)


async def queue(request: PageRequest) -> PageContent:
    """One queue: counts, history, errors, who serves it."""
    inspector, name = request.hx.jobs.inspector, request.queue()
    if name not in await inspector.queues():
        raise NotFound(f"there is no queue {name!r}", hint="a queue exists once a task was enqueued to it")
    [summary] = await inspector.summaries([name])
    days = list(reversed(await inspector.history(name, _DAYS)))
    servers = await living_servers(request)
    history = await inspector.time_series(name)
    values = {
        "queue": summary,
        "state": state_of(summary, servers),
        "states": [(state.value, getattr(summary, state.value)) for state in STATES],
        "days": days,
        "days_rows": [(day.day, day.processed, day.failed) for day in days],
        "serving": serving(name, servers),
        "day": timelines.of_day(history),
        "month": timelines.of_month(history),
        "hours": timelines.rows(history),
        "latency": await latency.of_queue(request, name),
        "groups": await inspector.error_groups([name], size=_GROUPS),
    }
    return PageContent("queue", f"Queue {name}", values)


def _since(queue: QueueSummary) -> float:
    """Since when its next task waits: unlike how long, that stays while somebody turns pages."""
    return (queue.waits_since or _NEVER).timestamp()


def _serving(name: str, servers: list[Server]) -> str:
    """``6 py 2 go``: processes that take tasks of a queue."""
    living = serving(name, servers)
    ours = sum(server.served is not None for server in living)
    parts = [f"{count} {word}" for count, word in ((ours, "py"), (len(living) - ours, "other")) if count]
    return " ".join(parts) or "0"
