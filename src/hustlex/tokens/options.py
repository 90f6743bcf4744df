"""The room's settings: what a user sets (TokenOptions), and the same in milliseconds (Policy)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Literal

import msgspec

from hustlex.core import bounds, check
from hustlex.core.durability.level import LEVELS, Durability, Level, briefly
from hustlex.core.time import positive_ms, to_ms
from hustlex.errors import ConfigurationError
from hustlex.tokens.keyset import KeySet
from hustlex.tokens.types import Alarm

Mode = Literal["stateless", "bounded", "strict"]
"""How sure a check is; see ``Tokens.check``."""

OnAlarm = Callable[[Alarm], Awaitable[None] | None]
"""Told of each alarm; may be async where the front is. What it raises is logged and changes nothing."""

_MINUTE = timedelta(minutes=1)
_LONGEST_LEEWAY = _LONGEST_GRACE = 5 * _MINUTE
_SHORTEST_STALENESS = timedelta(seconds=1)
_ENDS = {
    "phone": (timedelta(days=7), timedelta(days=3)),
    "aal2": (timedelta(hours=12), timedelta(minutes=30)),
}
"""By profile: the absolute end of a session, and how long it may lie idle (NIST SP 800-63B for AAL2)."""


class TokenOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one issuer; all processes of an application use the same.

    Raises Misuse for a duration below 1 ms, ConfigurationError for values that do not fit.
    """

    keys: KeySet | None = None
    """What signs access tokens; default keys derived from the secret, which ``rotate_keys`` moves."""
    first_key: int = 1
    """The generation of derived keys to start with; raise it after ``retire_key``, as Redis may forget what it was
    told."""
    issuer: str = "hustlex"
    """Who makes the tokens, not empty."""
    audience: str = "hustlex"
    """Whom they are for, not empty."""
    access_ttl: timedelta = 15 * _MINUTE
    """Life of an access token."""
    jitter: float = 0.05
    """Share of ``access_ttl``, 0 to 0.5, by which it is shortened at random, so that tokens made together do not expire
    together."""
    profile: Literal["phone", "aal2"] = "phone"
    """How long sessions last: "phone" (7 days, 3 days idle) or "aal2" (12 hours, 30 minutes idle; longer values are
    refused)."""
    refresh_ttl: timedelta | None = None
    """The absolute end of a session, counted from login and never moved; default the profile's."""
    idle: timedelta | None = None
    """A session not used this long is over; default the profile's."""
    leeway: timedelta = timedelta(seconds=30)
    """Tolerated between clocks, 0 to 5 minutes."""
    grace: timedelta = timedelta(seconds=10)
    """How long a spent refresh token still gets the same successor, 0 to 5 minutes; each second is one more for a
    thief, too."""
    on_reuse: Literal["session", "user"] = "session"
    """Whether a stolen refresh token ends its "session" or everything of the "user"."""
    sessions_per_user: int = 10
    """At this many a login ends the oldest session."""
    evict_oldest: bool = True
    """False: at that many the login is refused; a session that ran idle keeps its place until its absolute end."""
    staleness: timedelta = timedelta(seconds=2)
    """How old a revocation that a bounded check missed may be at most, from 1 s."""
    away: Literal["closed", "stateless"] = "closed"
    """What bounded checks do when that bound is over and the server cannot be asked: "closed" raises Unavailable,
    "stateless" accepts all but known revocations."""
    durability: Level = "memory"
    """What waits until it is safe when it takes rights away: "replica" for up to 50 ms until a replica has it, "fsync"
    and "replica_fsync" for up to 1.5 s and 2.5 s until it is on the disk; see ``RevokedAll.durable``."""
    on_alarm: OnAlarm | None = None
    """Told when a refresh token was in wrong hands, to warn its owner; see Alarm."""

    def __post_init__(self) -> None:
        policy_of(self)


class TokenPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every token of one issuer.

    touch_ms: a session's last activity is noted at most this often. most_replays: answers to one spent refresh token.
    """

    issuer: str
    audience: str
    access_ms: int
    jitter_ms: int
    refresh_ms: int
    idle_ms: int
    leeway_ms: int
    grace_ms: int
    cap: int
    evict: bool
    end_user: bool
    durability: Durability | None
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


def policy_of(options: TokenOptions) -> TokenPolicy:
    """Check the settings; raises as TokenOptions says."""
    _kinds(options)
    refresh_ttl, idle = _ends(options)
    _check(options, refresh_ttl)
    access_ms = positive_ms("access_ttl", options.access_ttl)
    return TokenPolicy(
        issuer=options.issuer,
        audience=options.audience,
        access_ms=access_ms,
        jitter_ms=int(access_ms * options.jitter),
        refresh_ms=positive_ms("refresh_ttl", refresh_ttl),
        idle_ms=positive_ms("idle", idle),
        leeway_ms=to_ms(options.leeway),
        grace_ms=to_ms(options.grace),
        cap=options.sessions_per_user,
        evict=options.evict_oldest,
        end_user=options.on_reuse == "user",
        durability=briefly(options.durability),
    )


def _ends(options: TokenOptions) -> tuple[timedelta, timedelta]:
    longest, longest_idle = _ENDS[options.profile]
    refresh_ttl = longest if options.refresh_ttl is None else options.refresh_ttl
    idle = longest_idle if options.idle is None else options.idle
    if options.profile == "aal2" and (refresh_ttl > longest or idle > longest_idle):
        raise ConfigurationError("the aal2 profile ends a session after 12 hours, or 30 idle minutes, at the latest")
    return refresh_ttl, idle


def _check(options: TokenOptions, refresh_ttl: timedelta) -> None:
    if options.access_ttl > refresh_ttl:
        raise ConfigurationError("access_ttl is longer than refresh_ttl", hint="an access token is the short-lived one")


def _kinds(options: TokenOptions) -> None:
    """Each option by itself."""
    least, nothing = timedelta(milliseconds=1), timedelta(0)
    with bounds.options():
        for name, words in _WORDS.items():
            check.one_of(name, getattr(options, name), words)
        for name in ("access_ttl", "refresh_ttl", "idle"):
            if (value := getattr(options, name)) is not None or name == "access_ttl":
                check.duration(name, value, least)
        check.duration("leeway", options.leeway, nothing, _LONGEST_LEEWAY)
        check.duration("grace", options.grace, nothing, _LONGEST_GRACE)
        check.duration("staleness", options.staleness, _SHORTEST_STALENESS)  # the feed is asked every half second
        check.text("issuer", options.issuer)
        check.text("audience", options.audience)
        check.number("jitter", options.jitter, 0, 0.5)
        check.whole("first_key", options.first_key, 1, 2**31 - 1)
        check.whole("sessions_per_user", options.sessions_per_user, 1, 1_000_000)
        check.flag("evict_oldest", options.evict_oldest)
        if options.keys is not None:
            check.instance("keys", options.keys, KeySet)
        if options.on_alarm is not None:
            check.function("on_alarm", options.on_alarm)


_WORDS = {
    "profile": tuple(_ENDS),
    "on_reuse": ("session", "user"),
    "away": ("closed", "stateless"),
    "durability": LEVELS,
}
