"""What the jobs room answers. Asynq's words; times are aware datetimes in UTC, durations are timedelta."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import Generic

import msgspec

from hustlex.core import outcome
from hustlex.core.generics import T
from hustlex.errors import Error, Misuse


class State(enum.StrEnum):
    """Where a task is. The value is the text stored on the wire."""

    ACTIVE = "active"
    PENDING = "pending"
    SCHEDULED = "scheduled"
    RETRY = "retry"
    ARCHIVED = "archived"
    COMPLETED = "completed"
    AGGREGATING = "aggregating"


class PayloadError(Misuse):
    """A payload does not fit the parameters of its task; a retry of the same bytes cannot help."""


class Enqueued(outcome.Outcome, Generic[T], frozen=True, eq=False):
    """The task was accepted. state: PENDING, SCHEDULED or AGGREGATING. T: what its handler returns."""

    id: str
    queue: str
    state: State

    def __eq__(self, other: object) -> bool:
        """Whoever answered it."""
        if not isinstance(other, Enqueued):
            return NotImplemented
        return (self.id, self.queue, self.state) == (other.id, other.queue, other.state)

    def __hash__(self) -> int:
        return hash((self.id, self.queue))


class Duplicate(outcome.Failure, frozen=True):
    """Nothing was enqueued: another task holds the uniqueness lock. of: its id."""

    of: str
    queue: str


class IdTaken(outcome.Failure, frozen=True):
    """Nothing was enqueued: the queue has a task of the id ``of``. state: where that is; None = nobody can tell.

    A completed or archived one blocks its id until its retention ends, or ``if_finished="replace"`` is given.
    """

    of: str
    queue: str
    state: State | None = None


class Debounced(outcome.Failure, frozen=True):
    """Nothing was added: the task that waits under the same lock got the new payload and a later start. of: its id."""

    of: str
    queue: str


class QueueFull(outcome.Failure, frozen=True):
    """Nothing was enqueued: the queue holds as many unfinished tasks as ``limit_queue`` allows, or more.

    size: pending, active, scheduled, retry and waiting in groups. Slow down, or enqueue again later.
    """

    queue: str
    size: int
    limit: int


class NeverRuns(msgspec.Struct, frozen=True):
    """Cancelled: it waited, and no worker will ever start it. It is in the archive, with the error "canceled".

    was: PENDING, SCHEDULED, RETRY or AGGREGATING; None: a step of a workflow that had not started, and is in no queue.
    """

    id: str
    queue: str
    was: State | None


class Stopping(msgspec.Struct, frozen=True):
    """Cancelled while it ran: its worker was told to stop it, and whatever comes of that, it is not tried again.

    A handler that ends well all the same has succeeded. heard: how many connections of workers heard of it at once; a
    Python worker that did not finds it within 5 s. A Go worker stops the task, and tries it again by Asynq's rules,
    unless a Python worker takes it before.
    """

    id: str
    queue: str
    heard: int


class TooLate(msgspec.Struct, frozen=True):
    """Nothing was cancelled: it has ended. state: COMPLETED or ARCHIVED; None = no queue knows it (any more)."""

    id: str
    queue: str
    state: State | None


Cancellation = NeverRuns | Stopping | TooLate
Outcome = Enqueued[T] | Duplicate | IdTaken | Debounced | QueueFull


class PartlyEnqueued(Error):
    """Some of many tasks could not be enqueued. results: one outcome or error per task, in the order given."""

    def __init__(self, results: list[Outcome | Error], *, op: str = "") -> None:
        failed = [result for result in results if isinstance(result, Error)]
        super().__init__(
            f"{len(failed)} of {len(results)} tasks were not enqueued: {failed[0].message}",
            op=op,
            hint="look at results before repeating any",
        )
        self.results = results
        self.maybe_executed = any(error.maybe_executed for error in failed)


class TaskInfo(msgspec.Struct, frozen=True):
    """A stored task. None in a time means never, or none set.

    payload, result: None when empty or absent. timeout, retention: zero when none.
    next_process_at: for scheduled and retry tasks; now for pending ones.
    orphaned: an active task whose lease is over (its worker died or hangs; it will be recovered).
    crashes: how many of our workers died with it since it was enqueued or last run by hand; too many archive it.
    parked_since: workers put it off again and again since then, because none that saw it knows its type.
    """

    id: str
    queue: str
    type: str
    payload: bytes | None
    state: State
    max_retry: int
    retried: int
    last_error: str
    last_failed_at: datetime | None
    timeout: timedelta
    deadline: datetime | None
    group: str
    next_process_at: datetime | None
    retention: timedelta
    completed_at: datetime | None
    result: bytes | None
    headers: dict[str, str]
    orphaned: bool = False
    crashes: int = 0
    parked_since: datetime | None = None

    def __repr__(self) -> str:
        """Without payload, result, headers and error: they may hold personal data."""
        return f"TaskInfo({self.type!r}, id={self.id!r}, queue={self.queue!r}, state={self.state.value!r})"


class QueueInfo(msgspec.Struct, frozen=True):
    """A queue at one instant. processed and failed count attempts that ended; failed ones are in both.

    latency: how long the next pending task has waited. memory_bytes: an estimate from at most 20 tasks per state.
    groups: how many groups have tasks waiting; aggregating: how many tasks wait in them. limit: of unfinished tasks,
    see ``Jobs.limit_queue``; None = none.
    """

    name: str
    pending: int
    active: int
    scheduled: int
    retry: int
    archived: int
    completed: int
    aggregating: int
    groups: int
    processed_today: int
    failed_today: int
    processed: int
    failed: int
    paused: bool
    latency: timedelta
    memory_bytes: int
    limit: int | None

    @property
    def size(self) -> int:
        """All tasks of the queue, in every state."""
        return (
            self.pending + self.active + self.scheduled + self.retry + self.archived + self.completed + self.aggregating
        )


class DayStats(msgspec.Struct, frozen=True):
    """Attempts that ended on one UTC day, written ``YYYY-MM-DD``."""

    day: str
    processed: int
    failed: int


class GroupInfo(msgspec.Struct, frozen=True):
    """A group and how many tasks wait in it."""

    name: str
    size: int


class RunningTask(msgspec.Struct, frozen=True):
    """A task in the hands of a worker process, as of its last heartbeat (up to 5 seconds ago)."""

    id: str
    type: str
    queue: str
    payload: bytes | None
    started_at: datetime
    deadline: datetime | None


class Server(msgspec.Struct, frozen=True):
    """A worker process that sent a heartbeat in the last 10 seconds. status: new, active, stopped or closed."""

    id: str
    host: str
    pid: int
    concurrency: int
    queues: dict[str, int]
    strict_priority: bool
    status: str
    started_at: datetime
    active_worker_count: int
    running: tuple[RunningTask, ...]


class PeriodicInfo(msgspec.Struct, frozen=True):
    """A periodic entry of a live scheduler. options: Asynq's texts, as ``Queue("low")``. previous_at: None = never."""

    id: str
    spec: str
    type: str
    payload: bytes | None
    options: tuple[str, ...]
    next_at: datetime | None
    previous_at: datetime | None


class EnqueueEvent(msgspec.Struct, frozen=True):
    """One firing of a periodic entry."""

    task_id: str
    at: datetime
