"""Aggregation: many tasks of a group become one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

import msgspec

from hustlex.core import check
from hustlex.jobs import functions
from hustlex.jobs.checks import seconds
from hustlex.jobs.enqueue.job import Job
from hustlex.jobs.keys import LONGEST_NAME

GRACE = timedelta(seconds=60)
"""Asynq's default: a group is aggregated once nothing was added for this long."""
UNLIMITED = timedelta(0)

_SECOND = timedelta(seconds=1)


class GroupedTask(msgspec.Struct, frozen=True):
    """One task of a batch. payload: None when empty; ``task.arguments(payload)`` gives its typed arguments."""

    id: str
    type: str
    payload: bytes | None
    headers: dict[str, str]

    def __repr__(self) -> str:
        """Without payload and headers: they may hold personal data."""
        return f"GroupedTask({self.type!r}, id={self.id!r})"


AggregateFunction = Callable[[str, list[GroupedTask]], Job | Awaitable[Job]]
"""Makes one job of a group's tasks, in the order in which they were added; async, or plain and run in a thread. It may
be called again with the same tasks: when it raises, takes longer than two minutes, or its worker dies."""


class Aggregate(msgspec.Struct, frozen=True):
    """How the groups whose names start with ``pattern`` are aggregated.

    A batch is made when nothing was added for ``grace`` (at least 1 second), when the oldest task has waited for
    ``max_delay`` (0 = no limit), or when ``max_size`` tasks wait (0 = no limit; a batch then holds all that wait).
    Durations are cut to whole seconds.
    """

    pattern: str
    function: AggregateFunction
    grace: timedelta = GRACE
    max_delay: timedelta = UNLIMITED
    max_size: int = 0

    def __post_init__(self) -> None:
        if self.pattern != "":
            check.text("group", self.pattern, longest=LONGEST_NAME)
        functions.check(f"the aggregate function of {self.pattern!r}", self.function)
        check.duration("grace", self.grace, _SECOND)
        seconds("max_delay", self.max_delay)
        check.whole("max_size", self.max_size)


def longest(aggregates: Iterable[Aggregate], group: str) -> Aggregate | None:
    """The one whose pattern is the longest that the group's name starts with."""
    fitting = (aggregate for aggregate in aggregates if group.startswith(aggregate.pattern))
    return max(fitting, key=lambda aggregate: len(aggregate.pattern), default=None)
