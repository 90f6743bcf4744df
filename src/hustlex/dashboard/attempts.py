"""What became of a task, as a line of moments, as far as it was written down; and commands that name the task."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from hustlex.core.redact import What
from hustlex.dashboard.request import PageRequest
from hustlex.jobs import Explanation, Item, Log, Progress, Result, State, TaskInfo

_TOGETHER = timedelta(seconds=2)
"""A failure and the change of state that it caused are written down by two calls."""
_FAILED = (State.RETRY, State.ARCHIVED)
_LONGEST_COMMAND = 4_096
_VERBS: dict[State, tuple[str, ...]] = {
    State.ACTIVE: ("follow", "cancel"),
    State.SCHEDULED: ("run",),
    State.RETRY: ("run",),
    State.ARCHIVED: ("run",),
}
_LAST = datetime.max.replace(tzinfo=UTC)


class LineEntry(msgspec.Struct, frozen=True):
    """One thing that happened, or will."""

    at: datetime | None
    """None = nobody wrote down when."""
    what: str
    """A state, or log, progress, result."""
    text: str = ""
    kind: str = "log"
    """As what the formatter is asked about the text."""
    whole: bool = False
    """Whether the moment is known to the second only."""

    @property
    def order(self) -> datetime:
        """Its place in the line: what is known to the second stands behind the others of that second."""
        return _LAST if self.at is None else min(self.at, _LAST - _TOGETHER) + timedelta(seconds=self.whole)


def line_of(task: TaskInfo, seen: Explanation, items: Sequence[Item]) -> list[LineEntry]:
    """The earliest first."""
    told = [_told(item, task) for item in items]
    found = [*told, *_recorded(task, told), *_now(task, seen)]
    return sorted(found, key=lambda entry: entry.order)


def _told(item: Item, task: TaskInfo) -> LineEntry:
    match item:
        case Log():
            return LineEntry(item.at, "log", item.text)
        case Progress():
            return LineEntry(item.at, "progress", f"{item.fraction:.0%} {item.text}".strip(), "progress")
        case Result():
            return LineEntry(item.at, "result")
    error = task.last_error if item.state in _FAILED and _near(item.at, task.last_failed_at) else item.error
    return LineEntry(item.at, item.state.value if item.state else "ended", error, "error")


def _near(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and abs(one - other) < _TOGETHER


def _recorded(task: TaskInfo, told: Sequence[LineEntry]) -> Iterator[LineEntry]:
    """What the task itself says, unless its job told the same."""
    failed, done = task.last_failed_at, task.completed_at
    if failed and not any(entry.what in _FAILED and _near(entry.at, failed) for entry in told):
        yield LineEntry(failed, "failed", task.last_error, "error", whole=True)
    if done and not any(entry.what == State.COMPLETED and _near(entry.at, done) for entry in told):
        yield LineEntry(done, State.COMPLETED.value, whole=True)


def _now(task: TaskInfo, seen: Explanation) -> Iterator[LineEntry]:
    """Where it is, and what is planned."""
    if seen.pending_since:
        yield LineEntry(seen.pending_since, "pending", "could start from here on")
    if seen.running_since:
        yield LineEntry(seen.running_since, "active", f"began on {seen.running_on}")
    if task.state in (State.SCHEDULED, State.RETRY) and task.next_process_at:
        yield LineEntry(task.next_process_at, "next start")


def gap_of(task: TaskInfo) -> str:
    """What the line cannot show, in a sentence; "" = nothing."""
    if task.retried < 2:
        return ""
    return f"It failed at least {task.retried} times; the error of the last failure alone is kept with a task."


def spans_of(seen: Explanation) -> list[tuple[str, timedelta]]:
    """How long it waits or runs by now."""
    now = datetime.now(UTC)
    known = (("Waits", seen.pending_since), ("Runs", seen.running_since))
    return [(word, max(now - since, timedelta(0))) for word, since in known if since]


def commands_of(request: PageRequest, queue: str, task_id: str, task: TaskInfo | None) -> list[str]:
    """The same on a command line; none for names that a shell's line cannot hold."""
    verbs = ["explain", "show", *_VERBS.get(task.state, ())] if task is not None else ["explain"]
    made = [f"hustlex task {verb} {_words(queue, task_id)}" for verb in verbs]
    if task is not None:
        made += _enqueue(request, task)
    return [each for each in made if each.isprintable() and len(each) <= _LONGEST_COMMAND]


def _enqueue(request: PageRequest, task: TaskInfo) -> Iterator[str]:
    """To enqueue one like it, where nothing of its payload is hidden and it is JSON."""
    if task.payload and len(task.payload) > _LONGEST_COMMAND:
        return
    try:
        parsed = json.loads(task.payload) if task.payload else None
    except (ValueError, RecursionError):
        return
    seen = request.show(What("payload", parsed, task.type))
    if not seen.hidden and seen.value == parsed:
        payload = [json.dumps(parsed, ensure_ascii=False)] if task.payload else []
        yield f"hustlex task enqueue {_words(task.queue, task.type, *payload)}"


def _words(queue: str, *words: str) -> str:
    """Options first, and a sign that they end where a word looks like one."""
    end = "-- " if any(word.startswith("-") for word in words) else ""
    return f"--queue {shlex.quote(queue)} {end}{shlex.join(words)}"
