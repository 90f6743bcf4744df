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
    """One task at one instant. Its repr hides the words: errors may hold personal data."""

    id: str
    queue: str
    """"" when no queue knows the task."""
    state: State | None
    """None = there is no task (yet)."""
    causes: tuple[Cause, ...]
    """Why it is not running, or that it is; the most telling first."""
    words: tuple[str, ...]
    """The same for people, a fact each."""
    next_start: datetime | None = None
    """Not before then; None = not known, or never."""
    ahead: int | None = None
    """Pending tasks that are next before it, -1 = 1,000 or more, None = it is not pending."""
    served_by: tuple[str, ...] = ()
    """``host:pid`` of the living workers that take tasks of its queue."""
    running_on: str | None = None
    """``host:pid`` of the one that runs it."""
    pending_since: datetime | None = None
    """Since when it could start, None = it is not pending."""
    running_since: datetime | None = None
    """When the attempt began that runs now, None = none does, or its worker has not told yet."""
    retried: int = 0
    """Attempts repeated because they failed."""
    max_retry: int = 0
    """How many of those there may be."""
    crashes: int = 0
    """Attempts repeated because a worker died."""
    repeats: tuple[str, ...] = ()
    """Why it ran more than once, as far as that is recorded."""
    last_error: str = ""
    """Of the last attempt, "" = none."""
    lock_holder: str | None = None
    """Id of the task that has its uniqueness lock, "" = nobody, None = it has no lock."""
    lock_left: timedelta = timedelta(0)
    """How long that lock lasts."""
    group: str = ""
    """"" = none."""
    waits_for: tuple[Dependency, ...] = ()
    """The steps it waits for, those to blame first, 20 at most."""

    @property
    def text(self) -> str:
        """All words, as one paragraph."""
        return " ".join(self.words)

    def __repr__(self) -> str:
        return f"Explanation(id={self.id!r}, queue={self.queue!r}, causes={[cause.value for cause in self.causes]})"
