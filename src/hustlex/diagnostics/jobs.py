"""Do the jobs run? Periodic entries that cannot fire or were refused, tasks that nobody takes or that wait. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hustlex.diagnostics.findings import DoctorFinding
from hustlex.diagnostics.job_facts import JobFacts

_MOST_NAMED = 5
_LATE_S = 300
_MANY_ARCHIVED = 1_000


def judge_jobs(facts: JobFacts | None) -> Iterator[DoctorFinding]:
    """One finding for each check; one that is unknown for a user who may not look at jobs."""
    if facts is None:
        hint = "allow the rights of jobs (hustlex doctor --acl), or ask as another user"
        yield DoctorFinding("state", "jobs", "unknown", "this user may not look at jobs", hint)
        return
    for name, check in _CHECKS.items():
        detail, trouble, hint = check(facts)
        yield (
            DoctorFinding("state", name, "warn", trouble, hint)
            if trouble
            else DoctorFinding("state", name, "ok", detail)
        )


def _schedules(facts: JobFacts) -> tuple[str, str, str]:
    broken = [f"{entry.name!r} ({entry.trouble})" for entry in facts.entries if entry.trouble]
    trouble = f"{len(broken)} entries can never fire: {_few(broken)}" if broken else ""
    hint = "change them with hx.jobs.schedules.change, or remove them"
    return f"{len(facts.entries)} periodic entries", trouble, hint


def _refused(facts: JobFacts) -> tuple[str, str, str]:
    latest = sorted(facts.refused.items(), key=lambda pair: pair[1].last_at, reverse=True)
    lines = [f"{name!r} {each.count} times, last {each.last_at:%Y-%m-%d %H:%M} ({each.why})" for name, each in latest]
    trouble = f"{len(lines)} entries were not enqueued: {_few(lines)}" if lines else ""
    hint = "the task before was not finished, or its queue is full: look with hx.jobs.explain"
    return "no periodic entry was refused in the last days", trouble, hint


def _queues(facts: JobFacts) -> tuple[str, str, str]:
    found = facts.orphans
    lines = [f"{queue!r} ({count} tasks)" for queue, count in sorted(found.queues.items())]
    among = f"{found.looked} queues" if found.looked == found.known else f"{found.looked} of {found.known} queues"
    trouble = f"no living worker serves {_few(lines)}" if lines else ""
    hint = "start a worker with --queue, or see whether the name is meant"
    return f"a worker serves each of {among} that has tasks", trouble, hint


def _types(facts: JobFacts) -> tuple[str, str, str]:
    lines = [f"{name!r} in {', '.join(map(repr, queues))}" for name, queues in facts.orphans.types.items()]
    trouble = f"no living worker has handlers for {_few(lines)}" if lines else ""
    hint = "deploy a worker that defines them, or see whether the names are meant"
    unsure = _few(map(repr, facts.orphans.unsure))
    fine = "no task waits for a worker that knows its type"
    return f"{fine}, as far as workers tell: not of {unsure}" if unsure else fine, trouble, hint


def _waiting(facts: JobFacts) -> tuple[str, str, str]:
    waits = {name: each.oldest_s for name, each in facts.backlogs.items()}
    late = {name: seconds for name, seconds in waits.items() if seconds > _LATE_S}
    paused = [name for name in late if facts.backlogs[name].paused]
    lines = [f"{n!r}{', paused,' * (n in paused)} for {seconds / 60:.0f} minutes" for n, seconds in late.items()]
    more = "start more workers, or give the queue more of them (--queue)"
    hint = f"hustlex queue resume {paused[0]}" if paused and len(paused) == len(late) else more
    detail = f"the oldest task that could run has waited {max(waits.values(), default=0.0):.1f} s"
    return detail, f"tasks wait in {_few(lines)}" if lines else "", hint


def _archived(facts: JobFacts) -> tuple[str, str, str]:
    counts = {name: each.archived for name, each in facts.backlogs.items()}
    lines = [f"{name!r} ({count})" for name, count in counts.items() if count >= _MANY_ARCHIVED]
    hint = "look why (hx.jobs.inspector.tasks), then run or delete them; the oldest are dropped at 10,000"
    return (
        f"{sum(counts.values())} tasks were given up",
        f"many tasks were given up in {_few(lines)}" if lines else "",
        hint,
    )


def _lost(facts: JobFacts) -> tuple[str, str, str]:
    lines = [f"{name!r} ({each.lost})" for name, each in facts.backlogs.items() if each.lost]
    trouble = f"workers died and nobody took their tasks back: {_few(lines)}" if lines else ""
    return (
        "no task is left with a worker that died",
        trouble,
        "start a worker that serves the queue: it takes them back",
    )


def _few(lines: Iterable[str]) -> str:
    lines = list(lines)
    more = f" and {len(lines) - _MOST_NAMED} more" if len(lines) > _MOST_NAMED else ""
    return ", ".join(lines[:_MOST_NAMED]) + more


_CHECKS = {
    check.__name__.removeprefix("_"): check
    for check in (_schedules, _refused, _queues, _types, _waiting, _archived, _lost)
}
JOB_CHECKS = frozenset({"jobs", *_CHECKS})
"""Their names: what they find names queues, types and entries."""
