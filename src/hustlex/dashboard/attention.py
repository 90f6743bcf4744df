"""Is anything wrong, and where? One sentence for each trouble, the worst first. Judges what was read; asks nobody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from hustlex.dashboard.words import duration
from hustlex.jobs import ErrorGroup, PeriodicInfo, QueueSummary, Server
from hustlex.jobs.inspect.standing import state_of

_LONG_WAIT = timedelta(seconds=60)
_OVERDUE = timedelta(seconds=60)
_FULL_ARCHIVE = 9_000
_MANY_FAILED = 20
_FAILED_SHARE = 0.05
_OFTEN = timedelta(hours=1)


class Trouble(msgspec.Struct, frozen=True):
    """One thing to look at."""

    level: str
    """fail or warn."""
    words: str
    path: tuple[str, ...]
    """Where to look, as ``PageRequest.url`` takes it."""
    link: str = "open"


def of_jobs(
    queues: Sequence[QueueSummary], servers: Sequence[Server], entries: Sequence[PeriodicInfo], now: datetime
) -> list[Trouble]:
    """What needs a person, the worst first."""
    found = [trouble for queue in queues for trouble in _of_queue(queue, servers)]
    found += [trouble for entry in entries for trouble in _of_entry(entry, now)]
    return sorted(found, key=lambda trouble: trouble.level != "fail")


def _of_queue(queue: QueueSummary, servers: Sequence[Server]) -> Iterator[Trouble]:
    page = ("queues", queue.name)
    state = state_of(queue, servers)
    if state == "unserved":
        yield Trouble("fail", f"queue {queue.name}: nobody serves it, {queue.unfinished:,} tasks wait", page)
    elif queue.latency > _LONG_WAIT and state != "paused":
        yield Trouble("fail", f"queue {queue.name}: the next task has waited {duration(queue.latency)}", page)
    if queue.orphans:
        yield Trouble(
            "fail", f"queue {queue.name}: {queue.orphans:,} tasks lost their worker and wait to be recovered", page
        )
    if state == "paused" and queue.pending:
        yield Trouble("warn", f"queue {queue.name}: paused, {queue.pending:,} tasks wait", page)
    if state == "full":
        yield Trouble("warn", f"queue {queue.name}: full, enqueueing is refused", page)
    if queue.archived > _FULL_ARCHIVE:
        yield Trouble(
            "warn", f"queue {queue.name}: the archive holds {queue.archived:,} and drops the oldest at 10,000", page
        )
    if queue.failed_today > _MANY_FAILED and queue.failed_today > _FAILED_SHARE * queue.processed_today:
        share = 100 * queue.failed_today / max(queue.processed_today, 1)
        yield Trouble(
            "warn", f"queue {queue.name}: {share:.0f} % of today's attempts failed ({queue.failed_today:,})", page
        )


def _of_entry(entry: PeriodicInfo, now: datetime) -> Iterator[Trouble]:
    if entry.next_at is not None and now.astimezone(UTC) - entry.next_at > _OVERDUE:
        late = duration(now.astimezone(UTC) - entry.next_at)
        yield Trouble("fail", f"cron {entry.spec} {entry.type}: it should have fired {late} ago", ("cron",))


def of_errors(groups: Sequence[ErrorGroup], now: datetime) -> list[Trouble]:
    """Failures of one kind that come often: more than 20 in the present hour."""
    found = []
    for group in groups:
        count = group.by_hour[-1]
        if count > _MANY_FAILED and now.astimezone(UTC) - group.last_seen < _OFTEN:
            what = f"{group.error or group.message} in {group.type}: {count:,} failures in an hour"
            found.append(Trouble("warn", what, ("errors", group.queue, group.signature)))
    return found
