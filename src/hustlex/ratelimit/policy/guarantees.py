"""What a policy promises, proven: the most that any interval can admit. Pure; tests hold it against the scripts."""

from __future__ import annotations

import math
from datetime import timedelta

import msgspec

from hustlex.core import check
from hustlex.ratelimit.policy.algorithms import ARITHMETIC
from hustlex.ratelimit.policy.policy import Policy

_MS = timedelta(milliseconds=1)


class Guarantee(msgspec.Struct, frozen=True):
    """One policy's sheet."""

    policy: str
    """Its name."""
    algorithm: str
    """How it counts."""
    limit: int
    """What it says."""
    window: timedelta
    """In which time."""
    worst: int | None
    """The most units in any window of its length, however the calls arrive; None: no such bound."""
    at_once: int | None
    """The most in one instant; None: no bound, as of a shadow policy."""
    sustains: float
    """The share of the limit that a steady overload gets, at least."""
    reason: str
    """Why that is so, in one sentence."""
    flags: tuple[str, ...]
    """What a reader should question."""

    @property
    def exceedable(self) -> bool:
        """Whether more than the limit can be admitted in a window, or of leases at once."""
        return self.at_once is None or (self.worst or 0) > self.limit

    @property
    def promise(self) -> str:
        """The sheet's one line."""
        if self.at_once is None:
            return "refuses nobody"
        if self.worst is None:
            return f"at most {self.at_once:,} at once; no bound on how many begin in a while"
        return f"at most {self.worst:,} in any {spoken(self.window)}"


def bound(policy: Policy, length: timedelta) -> int | None:
    """The most units that a half-open interval of this length can admit (of a call's class: all classes together).

    None for leases, which do not bound it, and for shadow policies. Prefetched units may be spent later by the hold.
    """
    check.instance("policy", policy, Policy)
    check.duration("length", length)
    if policy.shadow or policy.algorithm == "leases":
        return None
    length_ms = math.ceil((length + (policy.prefetch or timedelta(0))) / _MS)
    limit, window = policy.limit, policy.window_ms
    if length_ms <= 0:
        return 0
    if policy.algorithm in ("strict", "log"):
        return limit * -(-length_ms // window)
    if policy.algorithm == "fixed":
        return limit * (-(-length_ms // window) + 1) if length_ms > 1 else limit
    if policy.algorithm == "counter":
        if length_ms > window:
            return limit * (length_ms // window + 2)
        return max(limit, -(-limit * (window + length_ms) // window) - 1)
    return policy.capacity + (length_ms * 1000 - 1) // ARITHMETIC["gcra"].script_window(policy)


def sheet(policy: Policy) -> Guarantee:
    """The guarantee of one policy."""
    check.instance("policy", policy, Policy)
    sustains = 1.0
    if policy.algorithm == "strict" and not policy.shadow:
        span = ARITHMETIC["strict"].script_extra(policy, 0, 0)
        sustains = span / (span + 1)
    return Guarantee(
        policy.name,
        policy.algorithm,
        policy.limit,
        policy.window,
        bound(policy, policy.window),
        None if policy.shadow else policy.capacity,
        round(sustains, 3),
        _REASONS["shadow" if policy.shadow else policy.algorithm],
        tuple(_flags(policy)),
    )


_REASONS = {
    "strict": "each whole bucket that overlaps the window counts, the oldest too",
    "log": "every unit of the last window is remembered",
    "counter": "the previous window is taken to have been even; a burst at its end was not",
    "fixed": "a burst at a window's end and one at the next one's begin stand side by side",
    "gcra": "a full burst, then one unit each window / limit",
    "shadow": "a shadow policy judges, and lets everything through",
    "leases": "a holder may give its place back, and another take it, any number of times",
}


def _flags(policy: Policy) -> list[str]:
    found = []
    worst = bound(policy, policy.window)
    if policy.shadow:
        return []
    if policy.algorithm == "gcra" and policy.capacity == policy.limit:
        found.append(f"burst = limit: admits {worst:,}, not {policy.limit:,}, in a window; lower burst, or use strict")
    elif worst is not None and worst > policy.limit:
        found.append(f"more than its limit of {policy.limit:,} in the worst window; strict never admits more")
    if policy.on_error == "open":
        found.append("no limit while the server is away")
    if policy.on_error == "local":
        found.append("while the server is away each process admits its share, limit / expected_replicas, by itself")
    if policy.overridable:
        found.append("callers with a limit of their own (set_limit) are bound by that")
    if policy.prefetch is not None:
        found.append(f"prefetch: units may be spent {spoken(policy.prefetch)} after they were counted")
    return found


def spoken(duration: timedelta) -> str:
    """``90 s``, ``2 h``, ``250 ms``: in the largest unit that keeps it whole."""
    ms = duration // _MS
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if ms % size == 0 and ms >= size:
            return f"{ms // size} {unit}"
    return f"{ms} ms"
