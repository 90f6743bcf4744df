"""How long a call goes on: until its deadline, and beyond it while a server that it needs is being replaced."""

from __future__ import annotations

from datetime import timedelta
from random import uniform
from typing import Any

from hustlex.core.op import Effect, Op
from hustlex.drivers.faults import Failure, Late, Lost, NotSent, misplaced, scriptless
from hustlex.errors import Error, Unavailable

COMMAND_S = 1.0
FAILOVER_S = 10.0
AGE_S = 3600.0
REMEMBERED_S = 9.0
"""What may have run is repeated no later than this after it began: scripts remember their requests for 10 seconds."""
FOR_EVER = float("-inf")
OPEN_AFTER_S = 10.0
"""A server that could not be reached for so long is tried by one caller at a time; the others fail at once."""
REPEATS_PER_SECOND = 1_000
_LATELY_S = 5.0
_APART_S = 30.0
"""A server that failed nobody for so long was back in between."""


def expiry(opened: float, age: float) -> float:
    """When a connection is to be replaced; not all of a fleet in one moment."""
    return opened + age * uniform(0.9, 1.1)


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

    def over(self) -> None:
        """It serves again."""
        self._began = self._last = FOR_EVER

    def lasts(self, now: float) -> bool:
        """Whether it is away for so long, and was tried so lately, that one caller at a time is enough to look."""
        return now - self._began > OPEN_AFTER_S and now - self._last < _LATELY_S


class FlowOps(tuple[Op[Any], ...]):  # noqa: SLOT001 - a mark
    """Operations that a flow asks for at once: its caller waits for them all."""


class RepeatBudget:
    """How many calls of one driver are sent again in a second, so that a server in trouble is not drowned in them."""

    def __init__(self, per_second: int = REPEATS_PER_SECOND) -> None:
        self._apart = 1 / per_second
        self._next = FOR_EVER

    def pause(self, now: float) -> float:
        """Take the next place; how long it is until then."""
        self._next = max(self._next, now - 1.0) + self._apart
        return max(0.0, self._next - now)


class Patience:
    """Of one call. seconds: how long it may take. attempts: how many were made already. until: when it gives up.

    Operations with a time of their own keep it: who asks has something else to do.
    """

    def __init__(self, op: Op[Any], deadline: float, seconds: float, attempts: int = 0) -> None:
        self.until = self._deadline = deadline
        self.began = deadline - seconds
        self.attempts = attempts
        self.whole_script = False
        """Whether the text of its script is sent, not only its name."""
        self._seconds = seconds
        self._op = op
        self._limit = float("inf")
        self._told: Failure | None = None

    def learn(self, failure: Failure, replaced_by: float) -> None:
        """An attempt failed. replaced_by: when another server is to be in the place of this one, at the latest."""
        silent = isinstance(failure, Late) and failure.silent
        if self._op.timeout_ms or not (silent or misplaced(failure) or isinstance(failure, NotSent | Lost)):
            return
        if isinstance(failure, Lost | Late) and self._op.effect is Effect.IDEMPOTENT:
            self._limit = self.began + REMEMBERED_S
        self.until = max(self._deadline, min(replaced_by, self._limit))

    def reason(self, failure: Failure, now: float) -> Failure:
        """Why the call ends here, if it does: an attempt that is cut short by the end says less than the one before."""
        if now < self.until or self._told is None:
            self._told = failure
        return self._told

    def sends_text(self, failure: Failure) -> bool:
        """Whether only the script's text was missing: then it is sent at once, and once."""
        missing = scriptless(failure) and not self.whole_script
        self.whole_script = self.whole_script or missing
        return missing

    def goes_on(self, now: float) -> bool:
        """Whether its deadline alone is no reason to end."""
        return self.until > max(self._deadline, now) and self._op.effect is not Effect.ONCE

    def attempt(self, now: float) -> float:
        """The deadline of an attempt that begins now, and is counted."""
        self.attempts += 1
        return self._deadline if self.until <= self._deadline else min(self.until, now + self._seconds)

    def told(self, error: Error, now: float, node: str) -> Error:
        """What ends the call, with the call's name, its attempts, its time and the server that was asked last."""
        return error.during(self._op.name).tried(self.attempts, timedelta(seconds=max(0.0, now - self.began)), node)

    def turned_away(self, error: Error, now: float, node: str) -> Error:
        """As ``told``, of an attempt that ended by itself: one that was not admitted is none."""
        self.attempts -= isinstance(error, Unavailable)
        return self.told(error, now, node)
