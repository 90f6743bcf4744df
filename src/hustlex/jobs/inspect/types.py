"""What an operator sees. Asynq's words; times are aware datetimes in UTC, durations are timedelta."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from hustlex.jobs.lease.heartbeat import ServedTypes
from hustlex.jobs.lease.vitals import Vitals
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
    """A stored task. None in a time means never, or none set."""

    id: str
    queue: str
    type: str
    payload: bytes | None
    """None when empty."""
    state: State
    max_retry: int
    """Retries it may have after the first failure."""
    retried: int
    """Retries it has had."""
    last_error: str
    """"" = it has not failed."""
    last_failed_at: datetime | None
    timeout: timedelta
    """Of one attempt; zero when none."""
    deadline: datetime | None
    group: str
    """"" = none."""
    next_process_at: datetime | None
    """For scheduled and retry tasks; now for pending ones."""
    retention: timedelta
    """Zero when it is not kept."""
    completed_at: datetime | None
    result: bytes | None
    """What it returned or wrote; None when nothing."""
    headers: dict[str, str]
    orphaned: bool = False
    """An active task whose lease is over: its worker died or hangs, it will be recovered."""
    crashes: int = 0
    """How many of our workers died with it since it was enqueued or last run by hand; too many archive it."""
    parked_since: datetime | None = None
    """Workers put it off again and again since then, because none that saw it knows its type."""

    def __repr__(self) -> str:
        """Without payload, result, headers and error: they may hold personal data."""
        return f"TaskInfo({self.type!r}, id={self.id!r}, queue={self.queue!r}, state={self.state.value!r})"


class QueueInfo(msgspec.Struct, frozen=True):
    """A queue at one instant, in numbers of tasks."""

    name: str
    pending: int
    active: int
    scheduled: int
    retry: int
    archived: int
    completed: int
    aggregating: int
    """Tasks that wait in groups; of more than 100 groups, about."""
    groups: int
    """How many groups have tasks waiting."""
    processed_today: int
    failed_today: int
    processed: int
    """Attempts that ended, failed ones among them."""
    failed: int
    """Attempts that failed."""
    paused: bool
    latency: timedelta
    """How long the next pending task has waited."""
    memory_bytes: int
    """An estimate from at most 20 tasks per state."""
    limit: int | None
    """Of unfinished tasks, see ``Jobs.limit_queue``; None = none."""

    @property
    def size(self) -> int:
        """All tasks of the queue, in every state."""
        return (
            self.pending + self.active + self.scheduled + self.retry + self.archived + self.completed + self.aggregating
        )


class QueueSummary(msgspec.Struct, frozen=True):
    """A queue at one instant, as far as it can be told at a cost that does not depend on its size."""

    name: str
    pending: int
    active: int
    scheduled: int
    retry: int
    archived: int
    completed: int
    groups: int
    """How many groups have tasks waiting; how many tasks those are, ``Inspector.queue`` counts."""
    processed_today: int
    failed_today: int
    processed: int
    """Attempts that ended, failed ones among them."""
    failed: int
    """Attempts that failed."""
    paused: bool
    latency: timedelta
    """How long the next pending task has waited."""
    orphans: int
    """Active tasks whose lease is over: their worker died or hangs."""
    limit: int | None
    """Of unfinished tasks, see ``Jobs.limit_queue``; None = none."""
    quarantined: int
    """Messages set aside because nobody could read them."""
    waits_since: datetime | None
    """When the next pending task became pending; None = none waits."""

    @property
    def unfinished(self) -> int:
        """Tasks that are still to be done, without those that wait in groups."""
        return self.pending + self.active + self.scheduled + self.retry


class DayStats(msgspec.Struct, frozen=True):
    """Attempts that ended on one UTC day, written ``YYYY-MM-DD``."""

    day: str
    processed: int
    failed: int


class GroupInfo(msgspec.Struct, frozen=True):
    """A group and how many tasks wait in it."""

    name: str
    size: int
    oldest_at: datetime | None = None
    """When the one that waits longest came; None = not asked for."""
    newest_at: datetime | None = None
    """When the last one came; None = not asked for."""


class FoundGroups(msgspec.Struct, frozen=True):
    """A page of a queue's groups, in no order."""

    groups: tuple[GroupInfo, ...]
    """About as many as were asked for."""
    cursor: str
    """Where the next page begins, "" = this is the last."""
    number: int
    """Of all groups of the queue in which tasks wait."""
    aggregating: int
    """Batches that were taken and are being made into a task."""


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
    vitals: Vitals | None = None
    """Its event loop, its memory and what is wrong with it; None for a process that does not tell, as Go's."""


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


class FoundEvents(msgspec.Struct, frozen=True):
    """A page of an entry's firings, newest first. cursor: where the next page begins, "" = this is the last."""

    events: tuple[EnqueueEvent, ...]
    cursor: str
