"""What a bulk act is, and how far it is."""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec

from hustlex.jobs.types import State


class BulkVerb(enum.StrEnum):
    """What is done to each task."""

    RUN = "run"
    """Into pending, behind what is there; of a scheduled, retry, archived, completed or aggregating task."""
    RETRY = "retry"
    """The same, of those alone that failed: retry and archived."""
    ARCHIVE = "archive"
    DELETE = "delete"
    CANCEL = "cancel"
    """As ``Jobs.cancel``: never started, or stopped and not tried again."""
    RESCHEDULE = "reschedule"
    """Another start, of a scheduled or retry task."""


class BulkPhase(enum.StrEnum):
    """How far a bulk act is."""

    SEARCHING = "searching"
    """Its tasks are being looked for."""
    READY = "ready"
    """They are known, and nothing was done to them: it waits to be started."""
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    """Ended before all was done. Nothing more is done to the rest."""
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"


class ItemOutcome(enum.StrEnum):
    """What became of one task of a bulk act; the letter stands in the report."""

    WAITS = "-"
    DONE = "d"
    MOVED = "m"
    """Left as it is: its state is not what it was when it was found, or it ended and another task holds its lock."""
    GONE = "g"
    """It is there no more."""
    REFUSED = "f"
    """Left as it is: who started the act may not touch its queue."""
    UNDONE = "u"
    """Put back to where it was."""
    KEPT = "k"
    """Could not be put back: it moved on, its id is taken, or what was kept of it is gone."""


class BulkItem(msgspec.Struct, frozen=True, array_like=True):
    """A task that was found. state: where it was then; it is left alone when it is elsewhere."""

    queue: str
    id: str
    state: State
    type: str


class BulkCount(msgspec.Struct, frozen=True):
    """How many tasks were found of one type in one state of a queue."""

    queue: str
    state: State
    type: str
    count: int


class Bulk(msgspec.Struct, frozen=True):
    """A bulk act. It is kept for a day after its last step."""

    id: str
    verb: BulkVerb
    label: str
    """What was looked for, as it may be shown."""
    by: str
    """Who asked for it."""
    phase: BulkPhase
    made_at: datetime
    moved_at: datetime
    """When its last step ended."""
    planned: int = 0
    """Tasks found; at most 20,000."""
    looked_at: int = 0
    unread: int = 0
    """Tasks that may be among those sought, but are too large to look into, or cannot be decoded: nothing is done to
    them."""
    complete: bool = True
    """False: there are more than 20,000."""
    counts: tuple[BulkCount, ...] = ()
    """What was found, most first; at most 50."""
    queues: tuple[str, ...] = ()
    """Of what was found, in order."""
    sample: tuple[BulkItem, ...] = ()
    """The first ten."""
    at: int = 0
    """How many were gone through, also on the way back."""
    done: int = 0
    skipped: int = 0
    undone: int = 0
    trouble: str = ""
    """Why the last step was not made."""
    start_at: datetime | None = None
    """Of those that are given another start, when that is."""

    @property
    def ended(self) -> bool:
        """Whether nothing more is done by itself."""
        return self.phase in (BulkPhase.STOPPED, BulkPhase.DONE, BulkPhase.UNDONE)

    @property
    def moving(self) -> bool:
        """Whether steps are to be made."""
        return self.phase in (BulkPhase.SEARCHING, BulkPhase.RUNNING, BulkPhase.UNDOING)

    @property
    def can_be_undone(self) -> bool:
        """Whether tasks can be put back: what was archived, deleted or given another start is kept for an hour."""
        kept = (BulkVerb.ARCHIVE, BulkVerb.DELETE, BulkVerb.RESCHEDULE)
        return self.verb in kept and self.done > 0 and self.phase in (
            BulkPhase.DONE, BulkPhase.STOPPED, BulkPhase.PAUSED,
        )  # fmt: skip


class BulkReport(msgspec.Struct, frozen=True):
    """What became of some of its tasks, in the order in which they were found."""

    items: tuple[tuple[BulkItem, ItemOutcome], ...]
    number: int
    """The page, from 1."""
    last: int
