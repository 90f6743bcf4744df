"""What this process remembers of each subject: who, at one endpoint, by one list of policies.

Its packed operation, its last answer, refusals that still hold, units taken in advance.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from hustlex.core import check
from hustlex.core.check import Id
from hustlex.ratelimit.engine import replies
from hustlex.ratelimit.engine.compiler import CompiledPolicies, Window, key_prefix
from hustlex.ratelimit.engine.local_counts import LocalCounts
from hustlex.ratelimit.engine.ops import NOBODY, CheckRequest, PendingCheck, SubjectKey
from hustlex.ratelimit.options import RateLimitOptions
from hustlex.ratelimit.policy.sensitive import refuse_open
from hustlex.ratelimit.types import Decision, Outcome

_WORTH_REMEMBERING_S = 0.05
_LONGEST_DENIAL_S = 2.0
_LONGEST_BAN_S = 60.0
_RATE_S = 1.0
_SHORTEST_RATE_S = 0.02
_FEWEST = 2
_LONGEST_ID = 65_536
"""Whoever limits by a header's value may have long ones; their end is a digest in the key."""
_spending = threading.Lock()


class SubjectState:
    """watching: allowing replies need a second look (shadow policies, prefetch).
    remembering: refusals.
    exempt: never limited.
    last: the latest reply, for when the server is away.
    denied_until: of the monotonic clock; only calls of at least denied_cost are refused by it.
    pending: its usual check, packed, for this window.
    usual: by which its replies are read.
    local: what was counted here.
    key: by which it is found.
    """

    __slots__ = (
        "__weakref__",
        "clock",
        "compiled",
        "denial",
        "denied_at",
        "denied_cost",
        "denied_tier",
        "denied_until",
        "exempt",
        "key",
        "key_prefix",
        "last",
        "local",
        "pending",
        "rate_calls",
        "rate_since",
        "remembering",
        "seeded",
        "stock",
        "stock_until",
        "stocked",
        "taking_until",
        "usual",
        "watching",
        "window",
    )

    def __init__(
        self, compiled: CompiledPolicies, key_prefix: str, clock: Callable[[], float], key: SubjectKey = NOBODY
    ) -> None:
        self.key = key
        self.compiled = compiled
        self.key_prefix = key_prefix
        self.clock = clock
        self.watching = compiled.shadows or compiled.prefetch_s > 0
        self.remembering = True
        self.exempt = False
        self.window: Window | None = None
        self.usual: CheckRequest | None = None
        self.pending: PendingCheck | None = None
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

    def remember(self, decision: Decision, tier: str) -> None:
        """Remember a refusal for as long as it is sure to hold, within bounds."""
        banned = decision.outcome is Outcome.BANNED
        if not banned and not (decision.outcome is Outcome.DENIED and self.compiled.remembers):
            return
        rest = decision.retry_after.total_seconds()
        if rest >= _WORTH_REMEMBERING_S and self.remembering:
            self.denied_at = self.clock()
            self.denied_until = self.denied_at + min(rest, _LONGEST_BAN_S if banned else _LONGEST_DENIAL_S)
            self.denied_cost = 1 if banned else decision.cost
            self.denied_tier = tier
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
        if self.stock < cost or not 0 < self.stock_until - self.clock() <= self.compiled.prefetch_s:
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
        if now < self.taking_until or not self.last or self.usual is None:
            return 0
        elapsed = max(now - self.rate_since, _SHORTEST_RATE_S)
        needed = int(self.rate_calls / elapsed * self.compiled.prefetch_s)
        if needed < _FEWEST:
            return 0
        extra = min(needed, replies.remaining(self.usual, self.last) // (2 * replicas)) - 1
        if extra <= 0:
            return 0
        self.taking_until = now + self.compiled.prefetch_s
        return extra


class Subjects:
    """A bounded table that forgets who was not asked for lately: two generations, no bookkeeping per hit.

    young: for a first look, by whoever is in a hurry. Safe to share by threads.
    """

    def __init__(self, prefix: str, options: RateLimitOptions, clock: Callable[[], float]) -> None:
        self._prefix = prefix
        self._options = options
        self._clock = clock
        self._half = max(1, options.remembered // 2)
        self._lock = threading.Lock()
        self.young: dict[SubjectKey, SubjectState] = {}
        self._old: dict[SubjectKey, SubjectState] = {}

    def of(self, compiled: CompiledPolicies, given: Id, place: Id) -> SubjectState:
        """By plain text: equal ids of other types lead to the same subject, each time on this longer way.

        Raises Misuse, and ConfigurationError for policies that may not stand at this endpoint.
        """
        identity = check.identity("identity", given, longest=_LONGEST_ID)
        endpoint = check.identity("endpoint", place, longest=_LONGEST_ID)
        key = (compiled.serial, identity, endpoint)
        with self._lock:
            subject = self._find(key)
            if subject is None:
                refuse_open(compiled.policies, endpoint)
                subject = SubjectState(compiled, key_prefix(self._prefix, identity, endpoint), self._clock, key)
                subject.remembering = self._options.local_deny
                subject.exempt = identity in self._options.exempt
                self._keep(key, subject)
        return subject

    def find(self, key: SubjectKey) -> SubjectState | None:
        """One that is still remembered."""
        with self._lock:
            return self._find(key)

    def _find(self, key: SubjectKey) -> SubjectState | None:
        subject = self.young.get(key)
        if subject is None:
            subject = self._old.pop(key, None)
            if subject is not None:
                self._keep(key, subject)
        return subject

    def _keep(self, key: SubjectKey, subject: SubjectState) -> None:
        """Put one in; when the young are many, the old go."""
        if len(self.young) >= self._half:
            self._old, self.young = self.young, {}
        self.young[key] = subject
