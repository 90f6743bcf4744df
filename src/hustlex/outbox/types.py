"""What the relay answers."""

from __future__ import annotations

import msgspec


class OutboxStanding(msgspec.Struct, frozen=True):
    """What waits in an outbox, for hooks."""

    pending: int
    """Jobs that no queue has taken yet, parked ones left out; 10,000 stands for any number beyond."""
    lag_s: float
    """How long the oldest of them has waited, in seconds."""


class Relayed(msgspec.Struct, frozen=True):
    """What became of rows that were claimed."""

    enqueued: int = 0
    """Accepted by their queue."""
    duplicates: int = 0
    """The queue knew the id, another task held the uniqueness lock, or a waiting one was put off (debounce); as with
    a plain enqueue, nothing is left to do."""
    parked: int = 0
    """Set aside with the reason."""
    left: int = 0
    """Refused, for a full queue, or not sent because the server is away; they stay and are tried again."""

    @property
    def claimed(self) -> int:
        """All rows that were looked at."""
        return self.enqueued + self.duplicates + self.parked + self.left

    def __add__(self, other: Relayed) -> Relayed:
        return Relayed(
            self.enqueued + other.enqueued,
            self.duplicates + other.duplicates,
            self.parked + other.parked,
            self.left + other.left,
        )
