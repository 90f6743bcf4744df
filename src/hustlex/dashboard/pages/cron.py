"""``/cron`` and ``/cron/{id}``: did it fire, and when next?"""

from __future__ import annotations

from hustlex.dashboard.request import PageContent, PageRequest

_SIZE = 50


async def cron(request: PageRequest) -> PageContent:
    """Entries that our schedulers know, and those of living schedulers of any language."""
    schedules = await request.hx.jobs.schedules.all()
    known = {schedule.id for schedule in schedules}
    entries = [each for each in await request.hx.jobs.inspector.scheduler_entries() if each.id not in known]
    return PageContent("cron", "Cron", {"schedules": schedules, "entries": entries})


async def entry(request: PageRequest) -> PageContent:
    """When one entry fired, and which tasks that made."""
    entry_id, page = request.params["id"], request.page_number()
    schedule = next((each for each in await request.hx.jobs.schedules.all() if each.id == entry_id), None)
    events = await request.hx.jobs.inspector.enqueue_events(entry_id, page=page, size=_SIZE)
    values = {"id": entry_id, "schedule": schedule, "events": events, "number": page, "more": len(events) == _SIZE}
    return PageContent("entry", f"Cron {schedule.name if schedule else entry_id}", values)
