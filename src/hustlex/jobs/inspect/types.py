"""What an operator sees. Asynq's words; times are aware datetimes in UTC, durations are timedelta."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from hustlex.jobs.lease.heartbeat import ServedTypes
from hustlex.jobs.types import State


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
    served: ServedTypes | None = None
    """The task types it has handlers for; None for a process that does not tell, as Go's."""


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
