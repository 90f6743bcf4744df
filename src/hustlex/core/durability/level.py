"""The words for it, and what the server is asked for each."""

from __future__ import annotations

import re
from typing import Any, Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")

Level = Literal["memory", "fsync", "replica", "replica_fsync"]
MEMORY = "memory"
LEVELS = (MEMORY, "fsync", "replica", "replica_fsync")
_ON_DISK = ("fsync", "replica_fsync")


_PATIENCE_MS = {MEMORY: 0, "fsync": 1_500, "replica": 500, "replica_fsync": 2_500}
"""A disk that is forced once a second has it a second later; a replica tells once a second what its disk has."""
BRIEFLY_MS = 50
"""With a replica at hand it is a millisecond; without one nobody should wait for long at a logout."""


def briefly(word: str, replicas: int = 1, wait_ms: int | None = None) -> Durability | None:
    """For a room that answers whether it got that far; None for memory. A disk is given its time."""
    if word == MEMORY:
        return None
    patience_ms = BRIEFLY_MS if wait_ms is None else wait_ms
    return Durability(word, patience_ms if word == "replica" else 0, replicas)


class Durability(msgspec.Struct, frozen=True):
    """What a write waits for. word: one of LEVELS. wait_ms: for so long at most; 0: as long as that may take.
    replicas: how many of them."""

    word: str
    wait_ms: int = 0
    replicas: int = 1

    @property
    def patience_ms(self) -> int:
        """For how long."""
        return self.wait_ms or _PATIENCE_MS[self.word]

    @property
    def local(self) -> bool:
        """Whether the primary's own disk must have it."""
        return self.word in _ON_DISK

    @property
    def copies(self) -> int:
        """How many replicas must have it."""
        return 0 if self.word in (MEMORY, "fsync") else self.replicas

    @property
    def question(self) -> tuple[str | int, ...]:
        """The command that waits for what its own connection wrote before."""
        if self.local:
            return "WAITAOF", 1, self.copies, self.patience_ms
        return "WAIT", self.copies, self.patience_ms

    @property
    def probe(self) -> tuple[str | int, ...] | None:
        """What shows at once whether the server can do it; None when every server can."""
        return ("WAITAOF", 1, 0, 1) if self.local else None


class WaitReply(msgspec.Struct, frozen=True):
    """A reply, and who had the write when it came. local: the primary's disk. replicas: how many."""

    reply: Any
    local: bool
    replicas: int


class Committed(msgspec.Struct, Generic[T], frozen=True):
    """An answer, and whether the write is as safe as it was to be."""

    value: T
    reached: bool
    local: bool
    """Whether the primary's disk has it, as far as was asked."""
    replicas: int
    """How many replicas have it."""
    waited: bool = True
    """False: there was nothing to wait for."""


POLICY = ("CONFIG", "GET", "appendfsync", "appendonly")
_FORCED = {b"appendfsync": b"always", b"appendonly": b"yes"}
_EXACT = (8, 0)


def forced(policy: Any) -> bool:
    """Whether POLICY's reply says that each turn's writes are forced to the disk before they are answered."""
    return bool(policy == _FORCED)


def exact(hello: Any) -> bool:
    """Whether the server that greets says of its disk what is true, however often it is forced.

    Redis 7.2 to 7.4 and every Valkey (8.1 and 9.1 were tried) answer WAITAOF under appendfsync everysec before the
    disk has it, unless a second has passed since it was forced last: redis/redis#13793.
    """
    if not isinstance(hello, dict) or hello.get(b"server") != b"redis":
        return False
    numbers = re.findall(rb"\d+", hello.get(b"version") or b"")
    return tuple(map(int, numbers[:2])) >= _EXACT


def answered(durability: Durability, waited: Any, *, believed: bool) -> tuple[bool, int]:
    """Of WAIT's or WAITAOF's reply: whether the disk has it, and how many replicas. Anything else is no.

    believed: whether what it says of disks is.
    """
    if isinstance(waited, list) and len(waited) == 2:
        return (waited[0] >= 1, int(waited[1])) if believed else (False, 0)
    return False, waited if isinstance(waited, int) and not durability.local else 0


def reached(durability: Durability, found: WaitReply) -> bool:
    """Whether that is enough."""
    return (found.local or not durability.local) and found.replicas >= durability.copies
