"""Which address shows which page, and how often an open page is rendered anew."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from hustlex.dashboard.names import from_url
from hustlex.dashboard.pages import (
    audit,
    bulk,
    cache,
    codes,
    cron,
    errors,
    events,
    groups,
    home,
    idempotency,
    limits,
    people,
    quarantine,
    queues,
    redis,
    tasks,
    workers,
    workflows,
)
from hustlex.dashboard.request import View


class PageRoute(msgspec.Struct, frozen=True):
    """A page. pattern: of its path, names in braces. room: who may see it, "" = all. tick_s: live, 0 = not. asks: it
    has a form whose answer is the same page."""

    pattern: str
    view: View
    room: str = "jobs"
    tick_s: float = 5.0
    asks: bool = False


ROUTES = (
    PageRoute("/", home.home, ""),
    PageRoute("/queues", queues.queues),
    PageRoute("/queues/{queue}", queues.queue),
    PageRoute("/tasks", tasks.tasks),
    PageRoute("/tasks/{queue}/{id}", tasks.task, tick_s=2.0, asks=True),
    PageRoute("/bulk", bulk.bulks, tick_s=10.0),
    PageRoute("/bulk/{id}", bulk.bulk, tick_s=2.0),
    PageRoute("/errors", errors.errors),
    PageRoute("/errors/{queue}/{signature}", errors.error),
    PageRoute("/workers", workers.workers, tick_s=10.0),
    PageRoute("/cron", cron.cron, tick_s=10.0),
    PageRoute("/cron/{id}", cron.entry, tick_s=10.0),
    PageRoute("/workflows", workflows.workflows),
    PageRoute("/workflows/{queue}/{id}", workflows.workflow, tick_s=10.0),
    PageRoute("/groups", groups.groups),
    PageRoute("/quarantine", quarantine.quarantine),
    PageRoute("/people", people.people, "people", 0, asks=True),
    PageRoute("/codes", codes.codes, "people", 30.0),
    PageRoute("/limits", limits.limits, "limits", 0, asks=True),
    PageRoute("/cache", cache.cache, "cache", 0, asks=True),
    PageRoute("/idempotency", idempotency.idempotency, "idempotency", 0),
    PageRoute("/events", events.events, "events", 0, asks=True),
    PageRoute("/events/tail/{name}", events.tail, "events", 1.0),
    PageRoute("/redis", redis.redis, "redis", 30.0),
    PageRoute("/audit", audit.audit, "audit", 10.0),
)
_PATTERNS = [(route, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.pattern))) for route in ROUTES]


def match(path: str) -> tuple[PageRoute, Mapping[str, str]] | None:
    """The page of a path, and the names in it; None when there is none."""
    for route, pattern in _PATTERNS:
        if found := pattern.fullmatch(path):
            names = {name: from_url(coded) for name, coded in found.groupdict().items()}
            known = {name: text for name, text in names.items() if text is not None}
            return (route, known) if len(known) == len(names) else None
    return None
