"""Clocks. Production uses the server's own clock inside the scripts; tests hand in theirs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from hustlex.core import check
from hustlex.errors import Misuse

_MILLISECOND = timedelta(milliseconds=1)  # to make one costs ten times the division

Clock = Callable[[], int]
"""Milliseconds since 1970. 0 means: use the server's TIME, read inside the script."""


def server_clock() -> int:
    """The production clock: every script reads the server's own time."""
    return 0


class FixedClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now_ms: int = 1_767_225_600_000) -> None:
        self.now_ms = check.whole("now_ms", now_ms)

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, by: timedelta) -> None:
        """Move forward (or back, with a negative duration)."""
        self.now_ms += to_ms(check.duration("by", by, -check.LONGEST_DURATION))


def to_ms(duration: timedelta) -> int:
    """Whole milliseconds, rounded toward zero."""
    return duration // _MILLISECOND


def positive_ms(name: str, duration: timedelta) -> int:
    """Whole milliseconds of a duration that must be at least 1 ms. Raises Misuse."""
    check.instance(name, duration, timedelta, hint="pass a timedelta, as timedelta(seconds=30)")
    ms = to_ms(duration)
    if ms < 1:
        raise Misuse(f"{name} must be at least 1 millisecond, not {duration!r}", hint="pass a positive timedelta")
    return ms
