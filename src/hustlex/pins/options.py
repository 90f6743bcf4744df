"""Tunables of the pins room."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from hustlex.core import check
from hustlex.core.bounds import options, several, within

COMMON = frozenset({"0852", "1004", "1973", "1998", "2000", "2001", "2580", "5683", "147258", "159753", "789456"})
"""Often chosen, and not caught by the rules on repeats and sequences."""


class PinOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How PINs behave. Raises ConfigurationError."""

    shortest: int = 4
    """Fewest digits, 4 to 8."""
    longest: int = 8
    """Most digits, ``shortest`` to 8."""
    forbidden: frozenset[str] = COMMON
    """PINs that nobody may choose, besides repeats and sequences."""
    attempts: int = 5
    """Wrong PINs until the user is locked, 1 to 10."""
    locks: tuple[timedelta, ...] = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=24))
    """Length of the first, second, ... lock; the last repeats."""
    quiet: timedelta = timedelta(hours=24)
    """After so long without an attempt, or a lock, all is forgotten."""
    memory_kib: int = 19_456
    """Memory of the slow hash (Argon2id), 8 MiB to 1 GiB."""
    passes: int = 2
    """Passes of the slow hash over its memory, 1 to 10."""
    threads: int = 2
    """Hashes at once in this process, 1 to 32."""
    waiting: int = 128
    """Calls that may wait for a hash; more are refused with Overloaded."""

    def __post_init__(self) -> None:
        within("shortest", self.shortest, 4, 8)
        within("longest", self.longest, self.shortest, 8)
        within("attempts", self.attempts, 1, 10)
        within("memory_kib", self.memory_kib, 8_192, 1_048_576)
        within("passes", self.passes, 1, 10)
        within("threads", self.threads, 1, 32)
        within("waiting", self.waiting, 0, 100_000)
        several("locks", self.locks)
        within("quiet", self.quiet, timedelta(milliseconds=1), check.LONGEST_DURATION)
        with options():
            check.instance("forbidden", self.forbidden, frozenset, set)
            for pin in self.forbidden:
                check.typed("each of forbidden", pin)
