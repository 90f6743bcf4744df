"""Is anything wrong, and where? One sentence for each trouble, the worst first. Judges what was read; asks nobody.

The console's home shows the sentences; the exporter tells which rules found something.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from hustlex.core.words import duration, percent
from hustlex.jobs import ErrorGroup, PeriodicInfo, QueueSummary, Server, Vitals
from hustlex.jobs.inspect.standing import state_of
from hustlex.metrics.history import RoomHistory

_LONG_WAIT = timedelta(seconds=60)
_OVERDUE = timedelta(seconds=60)
_FULL_ARCHIVE = 9_000
_MANY_FAILED = 20
_FAILED_SHARE = 0.05
_OFTEN = timedelta(hours=1)
_LONG_BLOCK_S = 1.0


JOB_RULES = ("workers", "unserved", "waiting", "orphans", "quarantine", "paused", "full", "archive", "failing")
ROOM_RULES = ("codes", "cache", "limits")
RULES = (*JOB_RULES, "cron", "errors", *ROOM_RULES, "refused", "breakers", "claims")
"""By which something needs attention. The console's home knows one more: doctor."""


class Trouble(msgspec.Struct, frozen=True):
    """One thing to look at."""

    rule: str
    """One of ``RULES``, or of home's own."""
    level: str
    """fail or warn."""
    words: str
    path: tuple[str, ...]
    """Where to look, as ``PageRequest.url`` takes it."""
    link: str = "open"


def _waiting(tasks: int) -> str:
    return "1 task waits" if tasks == 1 else f"{tasks:,} tasks wait"


def of_jobs(
    queues: Sequence[QueueSummary], servers: Sequence[Server], entries: Sequence[PeriodicInfo], now: datetime
) -> list[Trouble]:
    """What needs a person, the worst first."""
    found = list(_of_workers(servers))
    found += [trouble for queue in queues for trouble in _of_queue(queue, servers)]
    found += [trouble for entry in entries for trouble in _of_entry(entry, now)]
    return sorted(found, key=lambda trouble: trouble.level != "fail")


def _of_workers(servers: Sequence[Server]) -> Iterator[Trouble]:
    """Of each worker what does not work; of each task type that it blocks, however many workers."""
    blocked: dict[str, list[float]] = {}
    for server in servers:
        told = server.vitals or Vitals()
        for part, why in told.trouble.items():
            yield Trouble("workers", "fail", f"worker {server.host}:{server.pid}: {part}: {why}", ("workers",))
        for task_type, seconds in told.blocks.items():
            if seconds >= _LONG_BLOCK_S:
                blocked.setdefault(task_type, []).append(seconds)
        if told.lag >= _LONG_BLOCK_S and not told.blocks:
            words = f"worker {server.host}:{server.pid}: its event loop answered nobody for {duration(told.lag)}"
            yield Trouble("workers", "warn", words, ("workers",))
    for task_type, times in blocked.items():
        where = "a worker" if len(times) == 1 else f"{len(times)} workers"
        words = f"{task_type} keeps the event loop of {where} for {duration(max(times))}: nothing else runs meanwhile"
        yield Trouble("workers", "warn", words, ("workers",))


def _of_queue(queue: QueueSummary, servers: Sequence[Server]) -> Iterator[Trouble]:
    page = ("queues", queue.name)
    state = state_of(queue, servers)
    if state == "unserved":
        yield Trouble("unserved", "fail", f"queue {queue.name}: nobody serves it, {_waiting(queue.unfinished)}", page)
    elif queue.latency > _LONG_WAIT and state != "paused":
        words = f"queue {queue.name}: the next task has waited {duration(queue.latency)}"
        yield Trouble("waiting", "fail", words, page)
    if queue.orphans:
        words = f"queue {queue.name}: {queue.orphans:,} tasks lost their worker and wait to be recovered"
        yield Trouble("orphans", "fail", words, page)
    if queue.quarantined:
        count = "1 message" if queue.quarantined == 1 else f"{queue.quarantined:,} messages"
        words = f"queue {queue.name}: workers set {count} aside that they could not decode"
        yield Trouble("quarantine", "warn", words, ("quarantine",))
    if state == "paused" and queue.pending:
        yield Trouble("paused", "warn", f"queue {queue.name}: paused, {_waiting(queue.pending)}", page)
    if state == "full":
        yield Trouble("full", "warn", f"queue {queue.name}: full, enqueueing is refused", page)
    if queue.archived > _FULL_ARCHIVE:
        words = f"queue {queue.name}: the archive holds {queue.archived:,} and drops the oldest at 10,000"
        yield Trouble("archive", "warn", words, page)
    if queue.failed_today > _MANY_FAILED and queue.failed_today > _FAILED_SHARE * queue.processed_today:
        share = 100 * queue.failed_today / max(queue.processed_today, 1)
        words = f"queue {queue.name}: {share:.0f} % of today's attempts failed ({queue.failed_today:,})"
        yield Trouble("failing", "warn", words, page)


def _of_entry(entry: PeriodicInfo, now: datetime) -> Iterator[Trouble]:
    if entry.next_at is not None and now.astimezone(UTC) - entry.next_at > _OVERDUE:
        late = duration(now.astimezone(UTC) - entry.next_at)
        yield Trouble("cron", "fail", f"cron {entry.spec} {entry.type}: it should have fired {late} ago", ("cron",))


class ShareRule(msgspec.Struct, frozen=True):
    """When a share of a room's counts is far from what it was. part, whole: of the counts, in their order."""

    words: str
    part: int
    whole: tuple[int, ...]
    factor: float
    """Below 1: it fell below so much of what it was; above: it rose over it."""
    least: int
    """Of the whole, in both spans: less says nothing."""


_SHARES: Mapping[str, ShareRule] = {
    "codes": ShareRule("verified", 1, (0,), 0.5, 20),
    "cache": ShareRule("hits", 0, (0, 1), 0.5, 500),
    "limits": ShareRule("refused", 1, (0, 1), 3.0, 100),
}
_LATELY = timedelta(hours=2)
_SMALL = 0.01


def of_rooms(found: Mapping[str, RoomHistory]) -> list[Trouble]:
    """Shares of the last two hours that are far from those of the day before."""
    return [trouble for room, history in found.items() if (trouble := _of_room(room, history)) is not None]


def _of_room(room: str, history: RoomHistory) -> Trouble | None:
    rule = _SHARES.get(room)
    late = [point.counts for point in history.hours if history.now - point.at < _LATELY]
    early = [point.counts for point in history.hours if history.now - point.at >= _LATELY]
    if rule is None or not late or not early:
        return None
    (part, whole), (part_before, whole_before) = _sums(rule, late), _sums(rule, early)
    if min(whole, whole_before) < rule.least:
        return None
    now, before = part / whole, part_before / whole_before
    far = now < before * rule.factor if rule.factor < 1 else now > max(before, _SMALL) * rule.factor
    share, was = percent(part, whole), percent(part_before, whole_before)
    words = f"{room}: {share} {rule.words} in the last two hours, {was} before"
    return Trouble(room, "warn", words, (room,)) if far else None


def _sums(rule: ShareRule, points: Sequence[tuple[int, ...]]) -> tuple[int, int]:
    return sum(point[rule.part] for point in points), sum(point[n] for point in points for n in rule.whole)


def of_errors(groups: Sequence[ErrorGroup], now: datetime) -> list[Trouble]:
    """Failures of one kind that come often: more than 20 in the present hour. Who muted them knows."""
    found = []
    for group in groups:
        if group.muted:
            continue
        count = group.by_hour[-1]
        if count > _MANY_FAILED and now.astimezone(UTC) - group.last_seen < _OFTEN:
            what = f"{group.error or group.message} in {group.type}: {count:,} failures in an hour"
            found.append(Trouble("errors", "warn", what, ("errors", group.queue, group.signature)))
    return found
