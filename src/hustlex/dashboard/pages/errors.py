"""``/errors`` and ``/errors/{queue}/{signature}``: what broke, since when, and how much of it is still broken?"""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

from hustlex.core.redact import What
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.errors import NotFound
from hustlex.jobs import ErrorGroup, Inspector, State, TaskInfo
from hustlex.jobs.search.query import quoted

_SIZE = 50
_ALL = 100
_MOST_QUEUES = 20
_SPANS = {"1h": "for an hour", "4h": "for 4 hours", "1d": "for a day", "7d": "for a week", "": "until it fails again"}
_OPEN = (State.RETRY, State.ARCHIVED)
_LEFT_OUT = re.compile(r"<\w+>")


async def errors(request: PageRequest) -> PageContent:
    """Groups of failures, the last seen first; of one queue, or of those in which something failed last."""
    inspector, queue = request.hx.jobs.inspector, request.word("queue")
    if queue and not request.operator.sees_queue(queue):
        raise NotFound(f"there is no queue {queue!r}")
    names = [queue] if queue else (await seen(request))[:_MOST_QUEUES]
    groups = await inspector.error_groups(names, size=_SIZE)
    return PageContent("errors", "Errors", {"groups": groups, "queue": queue, "queues": names})


async def seen(request: PageRequest) -> list[str]:
    """Queues in which something failed, as far as they exist for this person."""
    return [name for name in await request.hx.jobs.inspector.failing() if request.operator.sees_queue(name)]


async def error(request: PageRequest) -> PageContent:
    """One group, and where its last tasks are now."""
    queue, signature = request.queue(), request.params["signature"]
    inspector = request.hx.jobs.inspector
    groups = await inspector.error_groups([queue], size=_ALL)
    group = next((each for each in groups if each.signature == signature), None)
    if group is None:
        raise NotFound("no such failures are known", hint="groups are kept for 30 days after the last failure")
    tasks = await asyncio.gather(*(_task(inspector, group, task_id) for task_id in group.ids))
    values = {
        "group": group,
        "tasks": list(zip(group.ids, tasks, strict=True)),
        "by_hour": _by_hour(group),
        "search": _search(request, group),
        "all": f"state:retry,archived queue={quoted(queue)} sig:{quoted(signature)}",
        "lengths": _SPANS,
        "open": sum(task is not None and task.state in _OPEN for task in tasks),
    }
    return PageContent("error", group.error or group.message, values)


def _search(request: PageRequest, group: ErrorGroup) -> str:
    """A query that finds the tasks of a group: what its failures say is in each task, but for what was left out.

    It stands in an address, so it has no text that the formatter hides.
    """
    words = [group.error.rpartition(".")[2]]
    if not request.show(What("error", group.message, group.type)).hidden:
        words.append(max(_LEFT_OUT.split(group.message), key=len).strip())
    errors = "".join(f" error~{quoted(word)}" for word in words if word)
    return f"state:retry,archived queue={quoted(group.queue)} type={quoted(group.type)}{errors}"


def _by_hour(group: ErrorGroup) -> list[tuple[str, int, int]]:
    first = group.last_seen - timedelta(hours=len(group.by_hour) - 1)
    hours = (first + timedelta(hours=n) for n in range(len(group.by_hour)))
    return [(f"{hour:%H}:00 UTC", count, count) for hour, count in zip(hours, group.by_hour, strict=True)]


async def _task(inspector: Inspector, group: ErrorGroup, task_id: str) -> TaskInfo | None:
    try:
        return await inspector.task(group.queue, task_id)
    except NotFound:
        return None
