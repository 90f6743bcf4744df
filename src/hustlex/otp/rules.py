"""Settings of the otp room: one policy per purpose, limits per phone, and which phone numbers are served."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

import msgspec

from hustlex.core.time import positive_ms
from hustlex.errors import ConfigurationError

_PURPOSE = re.compile(r"[a-z][a-z0-9_]{0,31}")
_RESERVED = frozenset({"act", "sends", "cool", "fail", "lock", "grant"})
_LONGEST_LIFE = timedelta(minutes=10)


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f"{name} must be {low} to {high}, not {value}")


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How codes of one purpose behave.

    digits: 6 to 10. lifetime: at most 10 minutes. attempts: wrong codes until a challenge locks, 1 to 10.
    sends: first send and resends of one challenge, 1 to 10. cooldowns: pause after the 1st, 2nd, ... send; the last
    one repeats. active: open challenges per phone, 1 to 10; one more voids the oldest (1 under subject binding).
    resend: "same" repeats the code while at least 120 s of its life remain, "new" always makes another.
    binding: "challenge" ties the code to the request that asked for it; "subject" lets it be checked with the phone
    alone, so anyone who knows the number can use its attempts up.
    needs_context: issue must name what is being approved.
    """

    digits: int = 6
    lifetime: timedelta = timedelta(minutes=5)
    attempts: int = 5
    sends: int = 3
    cooldowns: tuple[timedelta, ...] = tuple(timedelta(seconds=s) for s in (60, 60, 120, 300))
    active: int = 3
    resend: Literal["same", "new"] = "same"
    binding: Literal["challenge", "subject"] = "challenge"
    needs_context: bool = False

    def __post_init__(self) -> None:
        _within("digits", self.digits, 6, 10)
        for name in ("attempts", "sends", "active"):
            _within(name, getattr(self, name), 1, 10)
        if not timedelta(0) < self.lifetime <= _LONGEST_LIFE:
            raise ConfigurationError(f"lifetime must be between 0 and {_LONGEST_LIFE}, not {self.lifetime}")
        if not self.cooldowns:
            raise ConfigurationError("cooldowns must name at least one pause")
        for pause in self.cooldowns:
            positive_ms("cooldown", pause)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one phone may use, over all purposes and challenges, in a rolling 24 hours.

    sends: messages. wrong: wrong codes until the phone is locked; a right code takes its own challenge's back.
    locks: length of the first, second, ... lock; the last repeats, and 24 quiet hours start again at the first.
    """

    sends: int = 10
    wrong: int = 15
    locks: tuple[timedelta, ...] = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=24))

    def __post_init__(self) -> None:
        _within("sends", self.sends, 1, 1000)
        _within("wrong", self.wrong, 1, 100)
        if not self.locks:
            raise ConfigurationError("locks must name at least one duration")
        for lock in self.locks:
            positive_ms("lock", lock)


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """Which phone numbers are served. region: how a number without country code is read. countries: regions allowed.

    Two-letter codes (ISO 3166), as "NG".
    """

    region: str = "NG"
    countries: frozenset[str] = frozenset({"NG"})


POLICIES: Mapping[str, Policy] = {
    "login": Policy(),
    "register": Policy(),
    "pin_reset": Policy(attempts=3),
    "transaction": Policy(resend="new", needs_context=True),
    "default": Policy(binding="subject"),
}
"""The purposes there are when none are given. ``default`` is the seed layout: one record at ``otp:{<ref>}``."""


LIMITS = Limits()
NUMBERS = Numbers()


def check_purposes(policies: Mapping[str, Policy]) -> dict[str, Policy]:
    """A copy, once every name can stand in a key without meaning another key. Raises ConfigurationError."""
    for name in policies:
        if not _PURPOSE.fullmatch(name) or name in _RESERVED:
            raise ConfigurationError(
                f"{name!r} cannot name a purpose",
                hint="a-z, 0-9 and _, at most 32; not " + ", ".join(sorted(_RESERVED)),
            )
    return dict(policies)
