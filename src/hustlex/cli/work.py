"""What the doctor says of the jobs: periodic entries that cannot fire or were refused, and tasks that nobody takes."""

from __future__ import annotations

from collections.abc import Iterable

from hustlex.cli.checks import DoctorFinding
from hustlex.drivers.blocking import Driver
from hustlex.errors import Refused
from hustlex.jobs.inspect import orphans
from hustlex.jobs.inspect.orphans import Orphans
from hustlex.jobs.schedule import ops as schedules
from hustlex.jobs.schedule.periodic import ScheduleInfo

_MOST_NAMED = 5


def findings(driver: Driver) -> list[DoctorFinding]:
    """Ask, and judge; nothing for a user who may not look at jobs."""
    try:
        entries, refused = driver.run(schedules.listed(0)), driver.run(schedules.refused())
        found = driver.follow(orphans.find(0))
    except Refused:
        return []
    return [_schedules(entries), _refused(refused), _queues(found), _types(found)]


def _schedules(entries: list[ScheduleInfo]) -> DoctorFinding:
    broken = [f"{entry.name!r} ({entry.trouble})" for entry in entries if entry.trouble]
    if not broken:
        return DoctorFinding("state", "schedules", "ok", f"{len(entries)} periodic entries")
    hint = "change them with hx.jobs.schedules.change, or remove them"
    return DoctorFinding("state", "schedules", "warn", f"{len(broken)} entries can never fire: {_few(broken)}", hint)


def _refused(refused: dict[str, schedules.Refusals]) -> DoctorFinding:
    latest = sorted(refused.items(), key=lambda pair: pair[1].last_at, reverse=True)
    if not latest:
        return DoctorFinding("state", "refused", "ok", "no periodic entry was refused in the last days")
    told = [f"{name!r} {each.count} times, last {each.last_at:%Y-%m-%d %H:%M} ({each.why})" for name, each in latest]
    hint = "the task before was not finished, or its queue is full: look with hx.jobs.explain"
    return DoctorFinding("state", "refused", "warn", f"{len(told)} entries were not enqueued: {_few(told)}", hint)


def _queues(found: Orphans) -> DoctorFinding:
    told = [f"{queue!r} ({count} tasks)" for queue, count in sorted(found.queues.items())]
    among = f"{found.looked} queues" if found.looked == found.known else f"{found.looked} of {found.known} queues"
    if not told:
        return DoctorFinding("state", "queues", "ok", f"a worker serves each of {among} that has tasks")
    hint = "start a worker with --queue, or see whether the name is meant"
    return DoctorFinding("state", "queues", "warn", f"no living worker serves {_few(told)}", hint)


def _types(found: Orphans) -> DoctorFinding:
    told = [f"{name!r} in {', '.join(map(repr, queues))}" for name, queues in found.types.items()]
    if not told:
        return DoctorFinding("state", "types", "ok", "no task waits for a worker that knows its type")
    hint = "deploy a worker that defines them, or see whether the names are meant"
    return DoctorFinding("state", "types", "warn", f"workers did not know {_few(told)}", hint)


def _few(told: Iterable[str]) -> str:
    told = list(told)
    more = f" and {len(told) - _MOST_NAMED} more" if len(told) > _MOST_NAMED else ""
    return ", ".join(told[:_MOST_NAMED]) + more
