"""Tunables of the pins room."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from hustlex.core import check
from hustlex.core.bounds import options, several, within

COMMON = frozenset({"0852", "1004", "1973", "1998", "2000", "2001", "2580", "5683", "147258", "159753", "789456"})
"""Often chosen, and not caught by the rules on repeats and sequences."""


class PinOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How PINs behave.

    shortest, longest: digits, 4 to 8. forbidden: PINs that nobody may choose, besides repeats and sequences.
    attempts: wrong ones until the user is locked, 1 to 10. locks: length of the first, second, ... lock; the last
    repeats. quiet: after so long without an attempt, or a lock, all is forgotten.
    memory_kib, passes: cost of the slow hash, Argon2id; 8 MiB to 1 GiB, 1 to 10. threads: hashes at once in this
    process, 1 to 32. waiting: calls that may wait for one of them; more are refused with Overloaded.
    Raises ConfigurationError.
    """

    shortest: int = 4
    longest: int = 8
    forbidden: frozenset[str] = COMMON
    attempts: int = 5
    locks: tuple[timedelta, ...] = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=24))
    quiet: timedelta = timedelta(hours=24)
    memory_kib: int = 19_456
    passes: int = 2
    threads: int = 2
    waiting: int = 128

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
