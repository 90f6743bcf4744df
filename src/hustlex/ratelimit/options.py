"""What can be set on the rate limit room. The defaults fit an API process; prefer them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec

from hustlex.core import bounds, check
from hustlex.core.breaker import BreakerOptions
from hustlex.ratelimit.types import Decision


class RateLimitOptions(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of the room. Raises ConfigurationError."""

    timeout: timedelta = timedelta(milliseconds=100)
    """The most that one check may take, connecting included; 1 ms to 10 s."""
    breaker: BreakerOptions = BreakerOptions()
    """When the server is left alone."""
    expected_replicas: int = 1
    """Processes that share the limits, for policies that count locally when it is away."""
    local_deny: bool = True
    """Whether to repeat refusals from memory."""
    remembered: int = 20_000
    """Callers kept in memory, 1.5 to 2.5 kB each."""
    exempt: frozenset[check.Id] = frozenset()
    """Identities that are never limited."""
    on_decision: Callable[[Decision], None] | None = None
    """Told of every decision; must not block and must not raise."""

    def __post_init__(self) -> None:
        bounds.within("timeout", self.timeout, timedelta(milliseconds=1), timedelta(seconds=10))
        bounds.within("expected_replicas", self.expected_replicas, 1, 1_000_000)
        bounds.within("remembered", self.remembered, 2, 100_000_000)
        with bounds.options():
            check.instance("breaker", self.breaker, BreakerOptions)
            check.flag("local_deny", self.local_deny)
            check.instance("exempt", self.exempt, frozenset, set, list, tuple, hint="pass a set of identities")
            msgspec.structs.force_setattr(self, "exempt", frozenset(_plain(each) for each in self.exempt))
            if self.on_decision is not None:
                check.function("on_decision", self.on_decision)


def _plain(identity: check.Id) -> str:
    return check.identity("exempt", identity, longest=65_536)
