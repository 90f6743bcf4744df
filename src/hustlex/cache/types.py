"""What callers of the cache are given, and what they may hand in."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Final, Generic, Literal, TypeVar

import msgspec

from hustlex.core.check import Id

V = TypeVar("V")

Part = Id
"""One piece of a key. 42 and "42" are the same piece, and so are an enum member and its value."""

Format = Literal["frame", "plain"]
"""frame: 30 bytes of header before the JSON. plain: bare JSON, for readers that are not this package."""


class EntryKey(str):
    """A whole Redis key, prefix included, as ``key()`` of a cached function gives it; taken as it is."""

    __slots__ = ()


Key = Part | tuple[Part, ...] | EntryKey
"""What follows the cache's name: ``users.get(42)`` is ``cache:user:42``, ``gigs.get(("category", "design"))`` is
``cache:gigs:category:design``."""


class Missing(enum.Enum):
    """The type of MISSING, so that ``value is MISSING`` narrows."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
"""Nothing is cached; distinct from a cached None: ``await users.get(42, default=MISSING)``."""


class Hit(msgspec.Struct, Generic[V], frozen=True):
    """A cached value. fresh_for: how long it still counts. age: since it was stored; None in format "plain", and where
    it was made stale. state: fresh, early (it is time to compute it anew) or stale."""

    value: V | None
    fresh_for: timedelta
    age: timedelta | None
    state: str = "fresh"
    tags: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Hit(<{type(self.value).__name__}>, {self.state}, fresh_for={self.fresh_for!r}, age={self.age!r})"


class Miss(msgspec.Struct, frozen=True):
    """No usable value: absent, expired, unreadable, or the server could not be asked."""


class Warmed(msgspec.Struct, frozen=True):
    """What ``warm`` did: stored; present: there already, or computed elsewhere; left: not tried, the server failed."""

    stored: int
    present: int
    left: int
