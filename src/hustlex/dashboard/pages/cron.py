"""``/cron`` and ``/cron/{id}``: did it fire, and when next?"""

from __future__ import annotations

import re
from collections.abc import Iterable

from hustlex.dashboard.paging import page_of
from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.errors import NotFound
from hustlex.jobs import PeriodicInfo, ScheduleInfo
from hustlex.jobs.enqueue.options import DEFAULT_QUEUE

_SIZE = 50
_QUEUE = re.compile(r'Queue\("(.*)"\)')


def queue_of(schedule: ScheduleInfo) -> str:
    """Where its tasks go."""
    return schedule.job.options.get("queue", DEFAULT_QUEUE)


def queue_named(options: Iterable[str]) -> str:
    """The same of an entry of another program, by Asynq's texts, as ``Queue("low")``."""
    return next((found[1] for option in options if (found := _QUEUE.fullmatch(option))), DEFAULT_QUEUE)


def spec_of(schedule: ScheduleInfo) -> tuple[str, str]:
    """A spec and its time zone, as they are typed."""
    head, _, rest = schedule.spec.partition(" ")
    return (rest.strip(), head.partition("=")[2]) if head.startswith(("TZ=", "CRON_TZ=")) else (schedule.spec, "UTC")


async def cron(request: PageRequest) -> PageContent:
    """Entries that our schedulers know, by name, and behind them those of living schedulers of any language."""
    schedules = await request.hx.jobs.schedules.all()
    known = {schedule.id for schedule in schedules}
    others = [each for each in await request.hx.jobs.inspector.scheduler_entries() if each.id not in known]
    seen: list[ScheduleInfo | PeriodicInfo] = []
    seen += (each for each in schedules if request.operator.sees_queue(queue_of(each)))
    seen += (each for each in others if request.operator.sees_queue(queue_named(each.options)))
    page = page_of(seen, _place, request.behind(), _SIZE)
    shown = [each for each in page.shown if isinstance(each, ScheduleInfo)]
    values = {"list": page, "schedules": shown, "entries": page.shown[len(shown) :]}
    return PageContent("cron", "Cron", values)


def _place(each: ScheduleInfo | PeriodicInfo) -> tuple[int, str, str]:
    return (0, each.name, each.id) if isinstance(each, ScheduleInfo) else (1, each.type, each.id)


async def entry(request: PageRequest) -> PageContent:
    """When one entry fired, and which tasks that made."""
    entry_id, cursor = request.params["id"], request.behind()
    schedule = next((each for each in await request.hx.jobs.schedules.all() if each.id == entry_id), None)
    if not (request.operator.sees_queue(queue_of(schedule)) if schedule else request.operator.sees_all_queues):
        raise NotFound("there is no such entry")
    found = await request.hx.jobs.inspector.enqueue_events(entry_id, cursor=cursor, size=_SIZE)
    spec, zone = spec_of(schedule) if schedule else ("", "")
    values = {
        "spec": spec,
        "zone": zone,
        "id": entry_id,
        "schedule": schedule,
        "queue": queue_of(schedule) if schedule else "",
        "events": found.events,
        "cursor": cursor,
        "next": found.cursor,
    }
    return PageContent("entry", f"Cron {schedule.name if schedule else entry_id}", values)
