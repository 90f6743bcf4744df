"""``/groups``: what waits to become a batch, and why not yet?"""

from __future__ import annotations

from hustlex.core.redact import What
from hustlex.dashboard.pages.workers import living_servers
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.jobs import FoundGroups, QueueSummary
from hustlex.jobs.inspect.standing import serving

_SIZE = 40
_MOST_LINKED = 100
_VERBS = (("run_all", "Run each", False), ("archive_all", "Archive", False), ("delete_all", "Delete", True))


async def groups(request: PageRequest) -> PageContent:
    """The groups of one queue, as many as fit, and the queues that have some."""
    inspector = request.hx.jobs.inspector
    summaries = await inspector.summaries()
    having = [each for each in summaries if each.groups and request.operator.sees_queue(each.name)]
    having.sort(key=lambda each: (-each.groups, each.name))
    chosen, cursor = _chosen(request, having), request.cursor()
    found = FoundGroups((), "", 0, 0)
    if chosen:
        found = await inspector.scan_groups(chosen.name, cursor=cursor, size=_SIZE)
    values = {
        "queues": having[:_MOST_LINKED],
        "more_queues": max(0, len(having) - _MOST_LINKED),
        "queue": chosen,
        "found": found,
        "names": [_name(request, group.name) for group in found.groups],
        "cursor": cursor,
        "served": bool(chosen and serving(chosen.name, await living_servers(request))),
        "verbs": _VERBS,
    }
    return PageContent("groups", "Groups", values)


def _chosen(request: PageRequest, having: list[QueueSummary]) -> QueueSummary | None:
    wanted = request.word("queue")
    return next((each for each in having if each.name == wanted), having[0] if having else None)


def _name(request: PageRequest, group: str) -> str:
    """A group's name as far as it may be shown: applications name them by users, too."""
    return str(request.show(What("group", group)).value)
