"""Policies, and what a check answers."""

from __future__ import annotations

import enum
import re
from datetime import timedelta
from typing import Literal

import msgspec

from hustlex.errors import Misuse

Algorithm = Literal["counter", "log"]
"""How a policy counts.

counter: two integers per caller, whatever the limit. Admits at most ``limit * (1 + L / window)`` in any interval of
length L up to the window: 2 * limit - 1 in the worst window, about the limit in ordinary traffic.
log: one sorted-set entry per unit. Never more than ``limit`` in any window, at 13 to 79 bytes per unit.
"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LONGEST_WINDOW = timedelta(days=366)
_SHORTEST_COUNTER_WINDOW = timedelta(seconds=1)
_SHORTEST_LOG_WINDOW = timedelta(milliseconds=1)
_LARGEST_LOG = 10_000
_EXACT = 2**53


class Policy(msgspec.Struct, frozen=True):
    """At most ``limit`` units per ``window`` and caller.

    name: 1 to 64 of ``A-Z a-z 0-9 _ . -``, shown to clients in the RateLimit headers.
    limit: 1 or more; a log holds at most 10,000. cost: units that one call takes, 1 or more.
    window: whole milliseconds up to 366 days; at least 1 second for a counter, whose keys name the second it starts,
    and 1 millisecond for a log. Raises Misuse.
    """

    name: str
    limit: int
    window: timedelta
    algorithm: Algorithm = "counter"
    cost: int = 1

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Misuse(f"a policy's name is 1 to 64 letters, digits, '_', '.' or '-', not {self.name!r}")
        if self.algorithm not in ("counter", "log"):
            raise Misuse(f"policy {self.name}: algorithm is 'counter' or 'log', not {self.algorithm!r}")
        if self.limit < 1 or self.cost < 1:
            raise Misuse(f"policy {self.name}: limit and cost must be at least 1")
        shortest = _SHORTEST_COUNTER_WINDOW if self.algorithm == "counter" else _SHORTEST_LOG_WINDOW
        if not shortest <= self.window <= _LONGEST_WINDOW or self.window % timedelta(milliseconds=1):
            raise Misuse(
                f"policy {self.name}: the window of a {self.algorithm} is whole milliseconds from {shortest} "
                f"to {_LONGEST_WINDOW}, not {self.window}"
            )
        if self.algorithm == "log" and self.limit > _LARGEST_LOG:
            raise Misuse(f"policy {self.name}: a log holds at most {_LARGEST_LOG} entries", hint="use a counter")
        if self.algorithm == "counter" and self.limit * self.window_ms >= _EXACT:
            raise Misuse(
                f"policy {self.name}: limit times window is too large to count exactly", hint="use a shorter window"
            )

    @property
    def window_ms(self) -> int:
        """The window in milliseconds."""
        return self.window // timedelta(milliseconds=1)


class Outcome(enum.StrEnum):
    """Why a call was let through or not."""

    ALLOWED = "allowed"
    DENIED = "denied"
    COST_TOO_LARGE = "cost_too_large"
    """The call costs more than a whole limit: waiting will not help."""


class PolicyState(msgspec.Struct, frozen=True):
    """One policy after a check.

    allowed: whether this policy alone lets the call through. remaining: units left, 0 or more.
    retry_after: 0 when allowed, else the exact time after which the same call passes if nobody else calls; -1 ms when
    it never will. more_after: until at least one unit more is left. reset_after: until the whole limit is free again.
    """

    policy: str
    limit: int
    window: timedelta
    allowed: bool
    remaining: int
    retry_after: timedelta
    more_after: timedelta
    reset_after: timedelta


class Decision(msgspec.Struct, frozen=True):
    """The answer to one call; true in a condition when the call is allowed.

    With several policies limit, remaining, reset_after and policy (its name) are those of the decisive one: of the
    violated ones the one with the longest wait, else the one with the fewest units left. retry_after: as in
    PolicyState; after a denial the longest wait. cost: as asked. per_policy: each policy, in the order of the call.
    """

    allowed: bool
    outcome: Outcome
    limit: int
    remaining: int
    retry_after: timedelta
    reset_after: timedelta
    policy: str
    cost: int
    per_policy: tuple[PolicyState, ...]

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def violated(self) -> tuple[str, ...]:
        """Names of the policies that refuse the call, in the order of the call."""
        return tuple(state.policy for state in self.per_policy if not state.allowed)


class Elsewhere(msgspec.Struct, frozen=True):
    """The server's clock is outside the windows whose keys were declared. now_ms: what that clock says."""

    now_ms: int
