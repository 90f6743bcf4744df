"""What ``Jobs.explain`` answers: why a task is where it is, in fields and in words."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta

import msgspec

from hustlex.jobs.types import State


class Cause(enum.StrEnum):
    """Why a task is not running, or that it is.

    HELD: a worker has leased it and has not reported its start: it just began, or waits for a slot or a permit.
    LEASE_OVER: its worker died or hangs; it will be recovered. UNKNOWN_TYPE: no worker that took it has a handler for
    its type. STEP_FAILED: a step before it is archived, gone, or can never start.
    PARKED: nobody could read its message, so it was set aside. NO_TRACE: no queue knows it.
    """

    RUNNING = "running"
    HELD = "held"
    LEASE_OVER = "lease_over"
    PENDING = "pending"
    PAUSED = "paused"
    NOBODY_SERVES = "nobody_serves"
    SCHEDULED = "scheduled"
    RETRY = "retry"
    UNKNOWN_TYPE = "unknown_type"
    GROUP = "group"
    ARCHIVED = "archived"
    COMPLETED = "completed"
    WAITS_FOR_STEPS = "waits_for_steps"
    STEP_FAILED = "step_failed"
    PARKED = "parked"
    NO_TRACE = "no_trace"


class Dependency(msgspec.Struct, frozen=True):
    """A step that another still waits for. cause: where it is. error: of its last attempt, "" = none."""

    queue: str
    id: str
    cause: Cause
    error: str

    def __repr__(self) -> str:
        return f"Dependency({self.queue!r}, {self.id!r}, {self.cause.value!r})"


class Explanation(msgspec.Struct, frozen=True):
    """One task at one instant. Its repr hides the words: errors may hold personal data.

    queue: "" when no queue knows the task. state: None = there is no task (yet). causes: the most telling first.
    words: the same for people, a fact each. next_start: not before then; None = not known, or never.
    ahead: pending tasks that are next before it, -1 = 10,000 or more, None = it is not pending.
    served_by: ``host:pid`` of the living workers that take tasks of its queue. running_on: of the one that runs it.
    retried, max_retry: attempts repeated because they failed. crashes: attempts repeated because a worker died.
    repeats: why it ran more than once, as far as that is recorded. last_error: "" = none.
    lock_holder: id of the task that has its uniqueness lock, "" = nobody, None = it has no lock; lock_left: how long.
    group: "" = none. waits_for: the steps it waits for, those to blame first, 20 at most.
    """

    id: str
    queue: str
    state: State | None
    causes: tuple[Cause, ...]
    words: tuple[str, ...]
    next_start: datetime | None = None
    ahead: int | None = None
    served_by: tuple[str, ...] = ()
    running_on: str | None = None
    retried: int = 0
    max_retry: int = 0
    crashes: int = 0
    repeats: tuple[str, ...] = ()
    last_error: str = ""
    lock_holder: str | None = None
    lock_left: timedelta = timedelta(0)
    group: str = ""
    waits_for: tuple[Dependency, ...] = ()

    @property
    def text(self) -> str:
        """All words, as one paragraph."""
        return " ".join(self.words)

    def __repr__(self) -> str:
        return f"Explanation(id={self.id!r}, queue={self.queue!r}, causes={[cause.value for cause in self.causes]})"
