"""The room's settings, checked once. Milliseconds inside, timedelta at the door."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from hustlex.core.time import positive_ms, to_ms
from hustlex.errors import ConfigurationError

_LONGEST_LEEWAY = timedelta(minutes=5)
_LONGEST_GRACE = timedelta(minutes=5)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every token of one issuer.

    touch_ms: a session's last activity is noted at most this often. most_replays: answers to one spent refresh token.
    """

    issuer: str
    audience: str
    access_ms: int
    refresh_ms: int
    idle_ms: int
    leeway_ms: int
    grace_ms: int
    cap: int
    evict: bool
    touch_ms: int = 60_000
    most_replays: int = 100

    @property
    def keep_ms(self) -> int:
        """How long a session's record outlives it: until its last access token is dead."""
        return self.access_ms + self.leeway_ms

    @property
    def coalesce_ms(self) -> int:
        """Longer than the grace: so a token superseded within the grace is always the immediate predecessor."""
        return self.grace_ms + 1000

    @property
    def life_ms(self) -> int:
        """The longest that anything of a session may still matter."""
        return self.refresh_ms + self.keep_ms


def policy(
    *,
    issuer: str,
    audience: str,
    access_ttl: timedelta,
    refresh_ttl: timedelta,
    idle: timedelta,
    leeway: timedelta,
    grace: timedelta,
    sessions_per_user: int,
    evict_oldest: bool,
) -> Policy:
    """Check the settings. Raises Misuse for a duration below 1 ms, ConfigurationError for values that do not fit."""
    if not issuer or not audience:
        raise ConfigurationError("issuer and audience must not be empty")
    if not timedelta(0) <= leeway <= _LONGEST_LEEWAY or not timedelta(0) <= grace <= _LONGEST_GRACE:
        raise ConfigurationError("leeway and grace must be between 0 and 5 minutes")
    if access_ttl > refresh_ttl:
        raise ConfigurationError("access_ttl is longer than refresh_ttl", hint="an access token is the short-lived one")
    if sessions_per_user < 1:
        raise ConfigurationError(f"sessions_per_user must be at least 1, not {sessions_per_user}")
    return Policy(
        issuer=issuer,
        audience=audience,
        access_ms=positive_ms("access_ttl", access_ttl),
        refresh_ms=positive_ms("refresh_ttl", refresh_ttl),
        idle_ms=positive_ms("idle", idle),
        leeway_ms=to_ms(leeway),
        grace_ms=to_ms(grace),
        cap=sessions_per_user,
        evict=evict_oldest,
    )
