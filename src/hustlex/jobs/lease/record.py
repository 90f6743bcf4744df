"""What workers tell beside their work: how queues stand, and which failures they saw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Arg, Op
from hustlex.jobs.keys import HISTORY, QueueKeys, failure_groups

_RECORD = load("hustlex.jobs", "lease/record_history")
_NOTE = load("hustlex.jobs", "lease/note_errors")

MOST_QUEUES = 500
"""Queues whose history is kept, about 60 KB each."""
MOST_AT_ONCE = 100
"""Queues in one call: others wait for 3 ms."""
MOST_GROUPS = 100
"""Of one queue, about 1.5 KB each."""
GROUPS_LIVE_S = 30 * 86_400
MOST_IDS = 10
"""Of the tasks that failed last, kept of each group."""


class QueueMeasure(msgspec.Struct, frozen=True, gc=False):
    """How a queue stands, as its keys tell: whoever worked on it, in whatever language."""

    processed: int
    """Attempts that ended since ever."""
    failed: int
    """Attempts that failed since ever."""
    unfinished: int
    """Tasks that are pending, active, scheduled or to be tried again."""
    waited_ms: int
    """How long the next pending task has waited."""


class FailureKind(msgspec.Struct, frozen=True):
    """What failures of one signature have in common."""

    type: str
    """Of the tasks."""
    error: str
    """The class of the exception, "" where a text is all that is known."""
    place: str
    """Where in the application it was raised, "" where that is not known."""
    message: str
    """What it said, without numbers, ids, addresses and what stood in quotes."""


class FailureCount(msgspec.Struct, frozen=True):
    """Failures of one signature that a worker saw."""

    signature: str
    kind: FailureKind
    count: int
    ids: tuple[str, ...]
    """Of the last tasks, newest first."""


def history(measures: Iterable[tuple[str, QueueMeasure]], now_ms: int) -> Op[None]:
    """Add to the minutes and hours of queues. The numbers are as they stand: told again, they add nothing."""
    rows: list[Arg] = []
    for name, seen in measures:
        rows += (name, seen.processed, seen.failed, seen.unfinished, seen.waited_ms)
    return _RECORD.op((f"{HISTORY}queues", f"{HISTORY}failing"), (now_ms, MOST_QUEUES, *rows), _nothing)


def failures(queue: QueueKeys, counts: Sequence[FailureCount], now_ms: int) -> Op[None]:
    """Count failures of one queue."""
    rows: list[Arg] = []
    for seen in counts:
        rows += (seen.signature, seen.count, msgspec.json.encode(seen.kind), msgspec.json.encode(seen.ids))
    return _NOTE.op(failure_groups(queue), (now_ms, MOST_GROUPS, GROUPS_LIVE_S, *rows), _nothing)


def _nothing(_: object) -> None:
    """It was noted."""
