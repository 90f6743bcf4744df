"""What this process remembers of one subject: its packed call, its last answer, refusals, units taken in advance."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from hustlex.ratelimit.engine.compiler import CompiledPolicies, Window
from hustlex.ratelimit.engine.fallback import LocalCounts
from hustlex.ratelimit.types import Decision, Outcome

if TYPE_CHECKING:
    from hustlex.ratelimit.engine.pending import Call, Sent

T = TypeVar("T")

_WORTH_REMEMBERING_S = 0.05
_LONGEST_DENIAL_S = 2.0
_LONGEST_BAN_S = 60.0
_RATE_S = 1.0
_SHORTEST_RATE_S = 0.02
_spending = threading.Lock()


class SubjectState:
    """watching: allowing replies need a second look (shadow policies, prefetch). remembering: refusals. exempt: never
    limited. last: the latest reply, for when the server is away. denied_until: of the monotonic clock; only calls of at
    least denied_cost are refused by it. sent: its usual call, packed; call: by which its replies are read.
    """

    __slots__ = (
        "__weakref__",
        "call",
        "clock",
        "compiled",
        "denial",
        "denied_at",
        "denied_cost",
        "denied_tier",
        "denied_until",
        "exempt",
        "key_prefix",
        "last",
        "local",
        "rate_calls",
        "rate_since",
        "remembering",
        "seeded",
        "sent",
        "stock",
        "stock_until",
        "stocked",
        "taking_until",
        "watching",
        "window",
    )

    def __init__(self, compiled: CompiledPolicies, key_prefix: str, clock: Callable[[], float]) -> None:
        self.compiled = compiled
        self.key_prefix = key_prefix
        self.clock = clock
        self.watching = compiled.shadows or compiled.prefetch_s > 0
        self.remembering = True
        self.exempt = False
        self.window: Window | None = None
        self.call: Call | None = None
        self.sent: Sent | None = None
        self.last = self.seeded = self.stocked = b""
        self.local: LocalCounts | None = None
        self.denial: Decision | None = None
        self.denied_until = self.denied_at = 0.0
        self.denied_cost = 0
        self.denied_tier = ""
        self.stock = self.rate_calls = 0
        self.stock_until = self.rate_since = 0.0
        self.taking_until = 0.0

    # -- refusals

    def remember(self, decision: Decision) -> None:
        """Remember a refusal for as long as it is sure to hold, within bounds."""
        banned = decision.outcome is Outcome.BANNED
        if not banned and not (decision.outcome is Outcome.DENIED and self.compiled.remembers):
            return
        rest = decision.retry_after.total_seconds()
        if rest >= _WORTH_REMEMBERING_S and self.remembering:
            self.denied_at = self.clock()
            self.denied_until = self.denied_at + min(rest, _LONGEST_BAN_S if banned else _LONGEST_DENIAL_S)
            self.denied_cost = 1 if banned else decision.cost
            self.denied_tier = decision.call.asked.tier
            self.denial = decision

    def eased(self) -> None:
        """Units were given back: a refusal may no longer hold. What was taken in advance is still paid for."""
        self.denied_until, self.denial = 0.0, None
        self.last = b""

    def forget(self) -> None:
        """What was remembered may no longer be true."""
        self.eased()
        self.stock = 0

    # -- prefetch

    def spend(self, cost: int) -> bool:
        """Take from what was fetched in advance."""
        if not 0 < self.stock_until - self.clock() <= self.compiled.prefetch_s:
            return False
        with _spending:  # no two threads may spend one unit
            enough = self.stock >= cost
            self.stock -= cost * enough
        return enough

    def stock_up(self, units: int, reply: bytes) -> None:
        """Units that the shared limit has given, to be spent within the policy's hold; the rest is dropped."""
        self.stocked = reply
        self.taking_until = 0.0
        until = self.clock() + self.compiled.prefetch_s
        with _spending:
            self.stock, self.stock_until = units, until

    def worth_taking(self, replicas: int) -> int:
        """Units to take in advance: as used lately, and never much of what is left. One call at a time."""
        now = self.clock()
        if not 0 <= now - self.rate_since <= _RATE_S:
            self.rate_since, self.rate_calls = now, 1
        if now < self.taking_until or not self.last or self.call is None:
            return 0
        elapsed = max(now - self.rate_since, _SHORTEST_RATE_S)
        left = self.call.read(self.last, 0)[0].remaining
        extra = min(int(self.rate_calls / elapsed * self.compiled.prefetch_s), left // (2 * replicas)) - 1
        if extra > 0:
            self.taking_until = now + self.compiled.prefetch_s
        return max(0, extra)


class Remembered(Generic[T]):
    """A bounded table that forgets what was not asked for lately: two generations, no bookkeeping per hit."""

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self.young: dict[tuple[int, object, object], T] = {}
        self._old: dict[tuple[int, object, object], T] = {}

    def find(self, key: tuple[int, object, object]) -> T | None:
        """The value, made young again."""
        value = self.young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self.keep(key, value)
        return value

    def keep(self, key: tuple[int, object, object], value: T) -> None:
        """Put a value in; when the young are many, the old go."""
        if len(self.young) >= self._half:
            self._old, self.young = self.young, {}
        self.young[key] = value

    def __len__(self) -> int:
        return len(self.young) + len(self._old)
