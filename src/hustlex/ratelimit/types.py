"""What a check answers."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol, Self

import msgspec

from hustlex.errors import Unsuccessful


class Outcome(enum.StrEnum):
    """Why a call was let through or not."""

    ALLOWED = "allowed"
    DENIED = "denied"
    BANNED = "banned"
    """Refused too often; see Penalty."""
    COST_TOO_LARGE = "cost_too_large"
    """The call costs more than a whole limit: waiting will not help."""
    EXEMPT = "exempt"
    SHADOW_DENIED = "shadow_denied"
    """Let through; a shadow policy would have refused."""
    ALLOWED_DEGRADED = "allowed_degraded"
    DENIED_DEGRADED = "denied_degraded"
    """The server could not be asked; the policy's ``on_error`` decided."""


class Source(enum.StrEnum):
    """Who decided."""

    REDIS = "redis"
    LOCAL_DENY = "local_deny"
    PREFETCH = "prefetch"
    LOCAL_FALLBACK = "local_fallback"
    FAIL_OPEN = "fail_open"
    FAIL_CLOSED = "fail_closed"
    EXEMPTION = "exemption"


class PolicyState(msgspec.Struct, frozen=True):
    """One policy after a check."""

    policy: str
    """Its name."""
    limit: int
    """What holds for this caller."""
    window: timedelta
    """In which time."""
    allowed: bool
    """Whether this policy alone lets the call through."""
    remaining: int
    """Units left, 0 or more."""
    retry_after: timedelta
    """How long to wait: 0 when allowed, else the exact time after which the same call passes if nobody
    else calls; -1 ms when it never will."""
    more_after: timedelta
    """Until at least one unit more is left."""
    reset_after: timedelta
    """Until the whole limit is free again. For leases these are upper bounds: a holder may release earlier."""


Brief = tuple[str, int, timedelta, int, int]
"""Of a policy's state what clients are told: its name, limit and window, units left, microseconds until one more is."""


def brief_of(state: PolicyState) -> Brief:
    """The same of a state that is worked out."""
    return state.policy, state.limit, state.window, state.remaining, state.more_after // _MICROSECOND


_MICROSECOND = timedelta(microseconds=1)
NEVER = timedelta(milliseconds=-1)
_NOTHING = PolicyState("", 0, timedelta(0), True, 0, timedelta(0), timedelta(0), timedelta(0))


class Receipt(Protocol):
    """What ``refund``, ``heartbeat`` and ``release`` need of a decision. Opaque: keep it, read nothing out of it."""

    @property
    def lease(self) -> str:
        """The id of the place that was asked for, or ""."""
        ...

    @property
    def caller(self) -> str:
        """Who is limited, as it stands in the keys."""
        ...

    def states(self, age_us: int = 0) -> tuple[PolicyState, ...]:
        """Each policy, ``age_us`` after the reply. Worked out when asked for, which is rarely."""
        ...

    def briefs(self, age_us: int = 0) -> Sequence[Brief]:
        """The same, no more than each answer over HTTP needs."""
        ...


class Decision(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The answer to one call; true in a condition when the call is allowed.

    With several policies limit, remaining, reset_after and policy (its name) are those of the decisive one: of the
    violated ones the one with the longest wait, else the one with the fewest units left. All that is no field is worked
    out when it is asked for.
    """

    allowed: bool
    """Whether the call may go on."""
    outcome: Outcome
    """Why, or why not."""
    cost: int
    """As asked."""
    source: Source
    """Who decided."""
    receipt: Receipt | None = None
    """For ``refund``, ``heartbeat`` and ``release``; None of a decision that no limiter made."""
    age_s: float = 0.0
    """How long ago the server said so, of a refusal that is repeated from memory."""
    parts: tuple[Decision, ...] = ()
    """Of ``check_all``: the decision of each subject."""

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def caller(self) -> str:
        """Who is limited, as it stands in the limit's keys, encoded; "" of several, or when no limiter decided."""
        return self.receipt.caller if self.receipt is not None and not self.parts else ""

    def or_raise(self) -> Self:
        """This decision when the call is allowed; else raises Unsuccessful, which carries it as ``outcome``."""
        if not self.allowed:
            raise Unsuccessful(f"the call is {self.outcome}: policy {self.policy}, wait {self.retry_after}", self)
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Decision):
            return NotImplemented
        return self._reported() == other._reported()

    __hash__ = None  # type: ignore[assignment]

    def _reported(self) -> tuple[object, ...]:
        return self.allowed, self.outcome, self.cost, self.per_policy

    def __repr__(self) -> str:
        return f"Decision({self.outcome}, source={self.source}, cost={self.cost}, per_policy={self.per_policy})"

    @property
    def lease(self) -> str:
        """The id of the place that a policy of leases gave; "" when there is none."""
        return self.receipt.lease if self.allowed and self.receipt is not None else ""

    @property
    def degraded(self) -> bool:
        """Whether the server could not be asked."""
        return self.outcome in (Outcome.ALLOWED_DEGRADED, Outcome.DENIED_DEGRADED)

    @property
    def per_policy(self) -> tuple[PolicyState, ...]:
        """Each policy, in the order of the call; of a ban only the one that bans."""
        return () if self.receipt is None else self.receipt.states(round(self.age_s * 1e6))

    @property
    def briefs(self) -> Sequence[Brief]:
        """What clients are told of each policy."""
        return () if self.receipt is None else self.receipt.briefs(round(self.age_s * 1e6) if self.age_s else 0)

    @property
    def violated(self) -> tuple[str, ...]:
        """Names of the policies that refuse the call (shadow ones included), in the order of the call."""
        return tuple(state.policy for state in self.per_policy if not state.allowed)

    @property
    def decisive(self) -> PolicyState:
        """The policy that decided, see above."""
        states = self.per_policy or (_NOTHING,)
        violated = [state for state in states if not state.allowed]
        if self.allowed or not violated:
            return min(states, key=lambda state: state.remaining)
        hopeless = [state for state in violated if state.retry_after == NEVER]
        return hopeless[0] if hopeless else max(violated, key=lambda state: state.retry_after)

    @property
    def policy(self) -> str:
        return self.decisive.policy

    @property
    def limit(self) -> int:
        return self.decisive.limit

    @property
    def remaining(self) -> int:
        return self.decisive.remaining

    @property
    def retry_after(self) -> timedelta:
        """As in PolicyState; after a denial the longest wait."""
        return timedelta(0) if self.allowed else self.decisive.retry_after

    @property
    def reset_after(self) -> timedelta:
        return self.decisive.reset_after


class WrongWindow(msgspec.Struct, frozen=True):
    """Nothing was decided: ask again, knowing that the server's clock says now_ms."""

    now_ms: int
