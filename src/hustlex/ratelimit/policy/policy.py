"""A policy: how much, how long, counted how."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any, Literal

import msgspec

from hustlex.core import check
from hustlex.core.time import to_ms
from hustlex.errors import Misuse

Algorithm = Literal["strict", "log", "counter", "fixed", "gcra", "leases"]
"""How a policy counts; ``hustlex limit explain`` prints what each promises.

strict: never more than ``limit`` in any window, in constant memory; sustains at least K / (K + 1) of it (K buckets).
log: never more than ``limit`` in any window, exactly; 13 to 79 bytes per unit. counter: up to 2 * limit - 1 in the
worst window, about the limit in ordinary traffic. fixed: up to 2 * limit around the turn of a window. gcra: a token
bucket: ``burst`` at once, then one every ``window / limit``. leases: ``limit`` holders at once, each for ``window`` at
a time.

A server's clock that is set back shuts nobody out for longer than without that: one window, two of a counter. Where a
window of counter or fixed is lived through again, its later units are void: each step back may let ``limit`` more pass.
"""
OnError = Literal["local", "open", "closed"]
"""When the server cannot be asked. local: this process counts alone, ``limit / expected_replicas``. open: let through.
closed: refuse."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LONGEST_WINDOW = timedelta(days=366)
_SHORTEST_WINDOW = timedelta(milliseconds=1)
_LARGEST_LOG = 10_000
_MOST_BUCKETS = 100
_known_ms = lru_cache(256)(to_ms)  # asked for with each answer over HTTP
_EXACT = 2**53


class Penalty(msgspec.Struct, frozen=True):
    """Ban who is refused too often: ``strikes`` refusals within ``per`` ban for ``ban``, then twice as long each time.

    A ban lasts at most 24 hours; a level is forgotten for each 24 hours without a refusal.
    """

    strikes: int = 10
    per: timedelta = timedelta(minutes=10)
    ban: timedelta = timedelta(minutes=5)

    def __post_init__(self) -> None:
        check.whole("strikes", self.strikes, 1, 1_000_000)
        check.duration("per", self.per, timedelta(seconds=1), timedelta(hours=24))
        check.duration("ban", self.ban, timedelta(seconds=1), timedelta(hours=24))


class Policy(msgspec.Struct, frozen=True):
    """At most ``limit`` units per ``window`` and caller. Raises Misuse."""

    name: str
    """Its name: 1 to 64 of ``A-Z a-z 0-9 _ . -``, shown to clients in the RateLimit headers."""
    limit: int
    """Units in a window, 1 or more; a log holds at most 10,000."""
    window: timedelta
    """Length of the window in whole milliseconds up to 366 days; at least 1 second for counter and fixed, whose keys
    name the second it starts; for leases the life of one."""
    algorithm: Algorithm = "strict"
    """How it counts; see Algorithm."""
    cost: int = 1
    """Units that one call takes."""
    burst: int | None = None
    """Units at once, with gcra only; default ``limit``, which admits up to 2 * limit - 1 in a window and warns."""
    buckets: int = 20
    """Parts of the window, 1 to 100, with strict only: more sustain more of the limit, for 10 bytes each."""
    count_denied: bool = False
    """Whether refused calls are charged too (strict, counter and fixed)."""
    on_error: OnError = "local"
    """What happens when the server cannot be asked; see OnError."""
    shadow: bool = False
    """Whether it judges, but lets all calls through."""
    reserve: Mapping[str, float] | tuple[tuple[str, float], ...] = ()
    """Shares of the limit kept for classes of calls, as ``{"critical": 0.2}``: others are judged against 0.8 of it."""
    penalty: Penalty | None = None
    """Bans those who are refused too often; see Penalty."""
    prefetch: timedelta | None = None
    """For hot keys, take units for this long in advance (1 to 250 ms): any interval then admits what one longer by
    that much would."""
    local_deny: bool = True
    """Whether refusals are remembered in this process for up to 2 s."""
    overridable: bool = False
    """Whether ``set_limit`` is obeyed, which costs one read more."""

    def __post_init__(self) -> None:
        _kinds(self)
        if isinstance(self.reserve, Mapping):
            msgspec.structs.force_setattr(self, "reserve", tuple(sorted(self.reserve.items())))
        for complaint in _complaints(self):
            raise Misuse(f"policy {self.name}: {complaint}")
        if self.algorithm == "gcra" and self.burst is None:
            warnings.warn(
                f"policy {self.name}: gcra with a burst of the whole limit admits up to {2 * self.limit - 1} in a "
                "window; set burst, or use 'strict'",
                stacklevel=2,
            )

    @property
    def window_ms(self) -> int:
        """The window in milliseconds."""
        return _known_ms(self.window)

    @property
    def shares(self) -> tuple[tuple[str, float], ...]:
        """What is reserved, by class."""
        return tuple(self.reserve.items()) if isinstance(self.reserve, Mapping) else self.reserve

    @property
    def capacity(self) -> int:
        """The most units that can be taken at once: the burst of a gcra, else the limit."""
        return self.burst or self.limit if self.algorithm == "gcra" else self.limit

    def units(self, cost: int) -> int:
        """What a call of this cost takes; a call takes one place, whatever it costs."""
        return 1 if self.algorithm == "leases" else self.cost * cost

    def limit_for(self, tier: str) -> int:
        """What calls of this class are judged against: all but what is reserved for others, at least 1."""
        kept = sum(share for name, share in self.shares if name != tier)
        return max(1, int(self.capacity * (1 - kept) + 1e-9))


def _kinds(policy: Policy) -> None:
    """Each field by itself. Raises Misuse."""
    check.text("name", policy.name)
    for name in ("limit", "cost", "buckets", "burst"):
        if (value := getattr(policy, name)) is not None or name != "burst":
            check.whole(name, value, -_EXACT)
    for name in ("window", "prefetch"):
        if (value := getattr(policy, name)) is not None or name != "prefetch":
            check.duration(name, value, -check.LONGEST_DURATION)
    for name in ("count_denied", "shadow", "local_deny", "overridable"):
        check.flag(name, getattr(policy, name))
    check.text("algorithm", policy.algorithm)
    check.text("on_error", policy.on_error)
    if policy.penalty is not None:
        check.instance("penalty", policy.penalty, Penalty)
    check.instance("reserve", policy.reserve, Mapping, tuple, hint='pass shares, as {"critical": 0.2}')
    shares: Iterable[Any] = policy.reserve.items() if isinstance(policy.reserve, Mapping) else policy.reserve
    for each in shares:
        if not isinstance(each, tuple) or len(each) != 2:
            raise Misuse("reserve holds names and shares", hint='pass shares, as {"critical": 0.2}')
        check.text("a class in reserve", each[0])
        check.number("a share in reserve", each[1], -1e9, 1e9)


def _complaints(policy: Policy) -> list[str]:
    """Why a policy cannot be, worst first."""
    kind, window = policy.algorithm, policy.window
    if not _NAME.fullmatch(policy.name):
        return ["a name is 1 to 64 letters, digits, '_', '.' or '-'"]
    if kind not in ("strict", "log", "counter", "fixed", "gcra", "leases"):
        return [f"algorithm is strict, log, counter, fixed, gcra or leases, not {kind!r}"]
    if policy.limit < 1 or policy.cost < 1:
        return ["limit and cost must be at least 1"]
    shortest = timedelta(seconds=1) if kind in ("counter", "fixed") else _SHORTEST_WINDOW
    if not shortest <= window <= _LONGEST_WINDOW or window % _SHORTEST_WINDOW:
        return [f"the window of {kind} is whole milliseconds from {shortest} to {_LONGEST_WINDOW}, not {window}"]
    return [*_of_kind(policy), *_of_extras(policy)]


def _of_kind(policy: Policy) -> list[str]:
    kind, found = policy.algorithm, []
    if kind == "log" and policy.limit > _LARGEST_LOG:
        found.append(f"a log holds at most {_LARGEST_LOG} entries; use strict")
    if policy.limit * policy.window_ms >= _EXACT:
        found.append("limit times window is too large to count exactly; use a shorter window")
    if not 1 <= policy.buckets <= min(_MOST_BUCKETS, policy.window_ms):
        found.append(f"buckets are 1 to {_MOST_BUCKETS}, and at least 1 millisecond each")
    if policy.burst is not None and (kind != "gcra" or not 1 <= policy.burst <= policy.limit):
        found.append("burst is for gcra only, from 1 to the limit")
    if kind == "gcra" and policy.window_ms * 1000 < policy.limit:
        found.append("gcra admits at most one unit per microsecond")
    if kind == "leases" and (policy.cost > 1 or policy.penalty or policy.window < timedelta(seconds=1)):
        found.append("a lease costs 1, lives at least 1 second, and knows no penalty")
    return found


def _of_extras(policy: Policy) -> list[str]:
    kind, found = policy.algorithm, []
    if policy.on_error not in ("local", "open", "closed"):
        found.append("on_error is local, open or closed")
    if policy.count_denied and kind not in ("strict", "counter", "fixed"):
        found.append("count_denied is for strict, counter and fixed")
    if not all(0 < share < 1 for _, share in policy.shares) or sum(share for _, share in policy.shares) >= 1:
        found.append("reserved shares lie between 0 and 1, and so does their sum")
    if policy.overridable and kind == "gcra":
        found.append("a gcra cannot be overridden; use strict")
    if policy.prefetch is not None:
        if not timedelta(milliseconds=1) <= policy.prefetch <= timedelta(milliseconds=250):
            found.append("prefetch is 1 to 250 milliseconds")
        if kind not in ("strict", "counter", "fixed", "gcra") or policy.shadow or policy.penalty or policy.count_denied:
            found.append("prefetch needs a plain strict, counter, fixed or gcra policy")
    return found
