"""What can be set on the rate limit room. The defaults fit an API process; prefer them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec

from hustlex.core.breaker import BreakerOptions
from hustlex.errors import ConfigurationError
from hustlex.ratelimit.types import Decision


class RateLimitOptions(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of the room.

    check_budget: the most that one check may take, connecting included; 1 ms to 10 s. breaker: when the server is
    left alone. expected_replicas: processes that share the limits, for policies that count locally when it is away.
    local_deny: repeat refusals from memory. remembered: callers kept in memory, 1.2 to 1.6 kB each. exempt: identities
    that are never limited. on_decision: told of every decision; must not block and must not raise.

    Raises ConfigurationError.
    """

    check_budget: timedelta = timedelta(milliseconds=100)
    breaker: BreakerOptions = BreakerOptions()
    expected_replicas: int = 1
    local_deny: bool = True
    remembered: int = 20_000
    exempt: frozenset[str] = frozenset()
    on_decision: Callable[[Decision], None] | None = None

    def __post_init__(self) -> None:
        if not timedelta(milliseconds=1) <= self.check_budget <= timedelta(seconds=10):
            raise ConfigurationError("check_budget is 1 ms to 10 s")
        if self.expected_replicas < 1 or self.remembered < 2:
            raise ConfigurationError("expected_replicas is at least 1, remembered at least 2")
