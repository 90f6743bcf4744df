"""How long a call goes on: until its deadline, and beyond it while a server that it needs is being replaced."""

from __future__ import annotations

from typing import Any

from hustlex.core.op import Effect, Op
from hustlex.drivers.faults import Failure, Lost, NotSent, misplaced

FAILOVER_S = 10.0
REMEMBERED_S = 9.0
"""What may have run is repeated no later than this after it began: scripts remember their requests for 10 seconds."""
FOR_EVER = float("-inf")
_APART_S = 30.0
"""A server that failed nobody for so long was back in between."""


class Outage:
    """Since when one server fails its callers."""

    def __init__(self) -> None:
        self._began = self._last = FOR_EVER

    def noted(self, now: float) -> float:
        """It has failed one more; when that began."""
        if now - self._last > _APART_S:
            self._began = now
        self._last = now
        return self._began


class Patience:
    """Of one call. until: when it gives up.

    Operations with a time of their own keep it: who asks has something else to do.
    """

    def __init__(self, op: Op[Any], deadline: float, seconds: float) -> None:
        self.until = self._deadline = deadline
        self._seconds = seconds
        self._op = op
        self._limit = float("inf")

    def learn(self, failure: Failure, replaced_by: float) -> None:
        """An attempt failed. replaced_by: when another server is to be in the place of this one, at the latest."""
        if self._op.timeout_ms or not (misplaced(failure) or isinstance(failure, NotSent | Lost)):
            return
        if isinstance(failure, Lost) and self._op.effect is Effect.IDEMPOTENT:
            self._limit = self._deadline - self._seconds + REMEMBERED_S
        self.until = max(self._deadline, min(replaced_by, self._limit))

    def attempt(self, now: float) -> float:
        """The deadline of an attempt that begins now."""
        return self._deadline if self.until <= self._deadline else min(self.until, now + self._seconds)
