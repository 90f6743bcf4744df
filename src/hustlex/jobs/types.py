"""Where a task is, and what became of an enqueue."""

from __future__ import annotations

import enum
from typing import Generic

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

    code = "bad_payload"


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


Outcome = Enqueued[T] | Duplicate | IdTaken | Debounced | QueueFull


class PartlyEnqueued(Error):
    """Some of many tasks could not be enqueued. results: one outcome or error per task, in the order given."""

    code = "partly_enqueued"

    def __init__(self, results: list[Outcome | Error], *, op: str = "") -> None:
        failed = [result for result in results if isinstance(result, Error)]
        super().__init__(
            f"{len(failed)} of {len(results)} tasks were not enqueued: {failed[0].message}",
            op=op,
            hint="look at results before repeating any",
        )
        self.results = results
        self.maybe_executed = any(error.maybe_executed for error in failed)
