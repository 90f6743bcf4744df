"""What each algorithm sends and what its numbers mean: pure arithmetic, in microseconds.

``numbers`` are those that its Lua fragment reports: after the charge when the call was charged.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

import msgspec

from hustlex.ratelimit.policy.policy import Policy
from hustlex.ratelimit.types import NEVER, PolicyState

_MS = 1000
_NONE, _MICROSECOND = timedelta(0), timedelta(microseconds=1)


class Reading(msgspec.Struct, frozen=True):
    """One policy in one reply. now_ms: the server's clock. over: it refuses. cost: units of the call."""

    policy: Policy
    limit: int
    numbers: Sequence[int]
    now_ms: int
    over: bool
    cost: int

    @property
    def hopeless(self) -> bool:
        """Whether it refuses such a call for ever."""
        return self.over and self.cost > self.limit


class Waits(msgspec.Struct, frozen=True):
    """Units left; microseconds until the same call passes, until a unit more is left, until all are."""

    remaining: int
    retry: int
    more: int
    reset: int


class Arithmetic(Protocol):
    """letter: of its key; "" for windowed counts. width: numbers that it reports. script: of a plain policy alone.

    counted: which of its numbers each call that passes adds to.
    """

    letter: str
    width: int
    script: str
    counted: int

    def script_window(self, policy: Policy) -> int:
        """The script's ``window``."""
        ...

    def script_extra(self, policy: Policy, limit: int, start_ms: int) -> int:
        """The script's ``extra``: what else the kind must know."""
        ...

    def waits(self, seen: Reading) -> Waits:
        """What the numbers mean."""
        ...

    def left(self, policy: Policy, limit: int, numbers: Sequence[int], now_ms: int) -> tuple[int, int]:
        """Of that units left, and microseconds until one more is: all that is told with each answer over HTTP."""
        ...


class _Windowed:
    letter, width, script, counted = "", 2, "check_counter", 1

    def script_window(self, policy: Policy) -> int:
        return policy.window_ms

    def script_extra(self, policy: Policy, limit: int, start_ms: int) -> int:  # noqa: ARG002
        return start_ms

    def waits(self, seen: Reading) -> Waits:
        policy, numbers, now_ms = seen.policy, seen.numbers, seen.now_ms
        remaining, more = self.left(policy, seen.limit, numbers, now_ms)
        goal = max(0, seen.limit - seen.cost)
        retry, reset = (self._until(each, policy, numbers, now_ms) for each in (goal, 0))
        return Waits(remaining, retry, more, reset)

    def left(self, policy: Policy, limit: int, numbers: Sequence[int], now_ms: int) -> tuple[int, int]:
        used = self._used(policy, numbers, now_ms)
        return max(0, limit - used), self._until(used - 1, policy, numbers, now_ms) if used else 0

    def _used(self, policy: Policy, numbers: Sequence[int], now_ms: int) -> int:
        window, (previous, current) = policy.window_ms, numbers
        return current - (-previous * (window - now_ms % window) // window)

    def _until(self, goal: int, policy: Policy, numbers: Sequence[int], now_ms: int) -> int:
        """Until the estimate has fallen to the goal, in this window or, as the previous one, in the next."""
        if self._used(policy, numbers, now_ms) <= goal:
            return 0
        window, (previous, current) = policy.window_ms, numbers
        elapsed = now_ms % window
        if current <= goal:
            return _MS * (window - (goal - current) * window // previous - elapsed)
        if policy.algorithm == "fixed":
            return _MS * (window - elapsed)
        return _MS * (2 * window - goal * window // current - elapsed)


class _Strict:
    letter, width, script, counted = "b", 4, "check_strict", 0

    def script_window(self, policy: Policy) -> int:
        return -(-policy.window_ms // policy.buckets)

    def script_extra(self, policy: Policy, limit: int, start_ms: int) -> int:  # noqa: ARG002
        return -(-policy.window_ms // self.script_window(policy))

    def waits(self, seen: Reading) -> Waits:
        (used, _, newest, freeing), (remaining, more) = (
            seen.numbers,
            _left(self, seen),
        )
        if not used:
            return Waits(remaining, 0, 0, 0)
        width, newborn = self._newborn(seen.policy, seen.now_ms)
        retry, reset = newborn - freeing * width, newborn - newest * width
        return Waits(remaining, max(0, retry) * _MS, more, max(0, reset) * _MS)

    def left(self, policy: Policy, limit: int, numbers: Sequence[int], now_ms: int) -> tuple[int, int]:
        used, oldest, _, _ = numbers
        if not used:
            return limit, 0
        width, newborn = self._newborn(policy, now_ms)
        rest_ms = newborn - oldest * width
        return (limit - used if limit > used else 0), (rest_ms * _MS if rest_ms > 0 else 0)

    def _newborn(self, policy: Policy, now_ms: int) -> tuple[int, int]:
        """Milliseconds of a bucket, and until one of age 0 has left the span, and the one behind it."""
        window = policy.window_ms
        width = -(-window // policy.buckets)
        return width, (now_ms // width - (-window // width) + 1) * width - now_ms


class _Log:
    letter, width, script, counted = "z", 4, "check_log", 0

    def script_window(self, policy: Policy) -> int:
        return policy.window_ms * _MS

    def script_extra(self, policy: Policy, limit: int, start_ms: int) -> int:  # noqa: ARG002
        return 0

    def waits(self, seen: Reading) -> Waits:
        used, retry, more, reset = seen.numbers
        return Waits(max(0, seen.limit - used), retry, more, reset)

    def left(self, policy: Policy, limit: int, numbers: Sequence[int], now_ms: int) -> tuple[int, int]:  # noqa: ARG002
        used, _, more, _ = numbers
        return max(0, limit - used), more


class _Gcra:
    """window: microseconds per unit, rounded up. extra: the burst in microseconds."""

    letter, width, script, counted = "g", 1, "check_gcra", 0

    def script_window(self, policy: Policy) -> int:
        return -(-policy.window_ms * _MS // policy.limit)

    def script_extra(self, policy: Policy, limit: int, start_ms: int) -> int:  # noqa: ARG002
        return limit * self.script_window(policy)

    def waits(self, seen: Reading) -> Waits:
        unit, (ahead,), (remaining, more) = (
            self.script_window(seen.policy),
            seen.numbers,
            _left(self, seen),
        )
        burst = self.script_extra(seen.policy, seen.limit, 0)
        return Waits(remaining, max(0, ahead + seen.cost * unit - burst), more, ahead)

    def left(self, policy: Policy, limit: int, numbers: Sequence[int], now_ms: int) -> tuple[int, int]:  # noqa: ARG002
        unit, (ahead,) = self.script_window(policy), numbers
        burst = self.script_extra(policy, limit, 0)
        remaining = max(0, (burst - ahead) // unit)
        return remaining, ahead + (remaining + 1) * unit - burst if ahead else 0


class _Leases:
    letter, width, script, counted = "c", 3, "", 0

    def script_window(self, policy: Policy) -> int:
        return policy.window_ms

    def script_extra(self, policy: Policy, limit: int, start_ms: int) -> int:  # noqa: ARG002
        return 0

    def waits(self, seen: Reading) -> Waits:
        used, first, last = seen.numbers
        return Waits(max(0, seen.limit - used), first * _MS, first * _MS, last * _MS)

    def left(self, policy: Policy, limit: int, numbers: Sequence[int], now_ms: int) -> tuple[int, int]:  # noqa: ARG002
        used, first, _ = numbers
        return max(0, limit - used), first * _MS


def _left(kind: Arithmetic, seen: Reading) -> tuple[int, int]:
    return kind.left(seen.policy, seen.limit, seen.numbers, seen.now_ms)


_WINDOWED = _Windowed()
ARITHMETIC: dict[str, Arithmetic] = {
    "fixed": _WINDOWED,
    "counter": _WINDOWED,
    "strict": _Strict(),
    "log": _Log(),
    "gcra": _Gcra(),
    "leases": _Leases(),
}


def shown_limit(policy: Policy, limit: int) -> int:
    """The limit that clients are told: of a gcra the policy's, as its own is the burst."""
    return policy.limit if policy.algorithm == "gcra" else limit


def state_of(seen: Reading, age_us: int) -> PolicyState:
    """A policy's state, ``age_us`` after the reply."""
    waits = ARITHMETIC[seen.policy.algorithm].waits(seen)

    def left(us: int) -> timedelta:
        return (us - age_us) * _MICROSECOND if us > age_us else _NONE

    retry = _NONE
    if seen.over:
        retry = NEVER if seen.hopeless else left(waits.retry)
    return PolicyState(
        seen.policy.name,
        shown_limit(seen.policy, seen.limit),
        seen.policy.window,
        not seen.over,
        waits.remaining,
        retry,
        left(waits.more),
        left(waits.reset),
    )
