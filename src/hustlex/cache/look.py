"""What an operator sees of an entry: whether it is there and why, never its value."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec

from hustlex.cache import frame, keys
from hustlex.cache.types import Key
from hustlex.core.lua import load
from hustlex.core.op import Op, Reply

_LOOK = load("hustlex.cache", "look")

Kind = Literal["absent", "value", "none", "plain", "unreadable"]
Waiting = Literal["", "computing", "hold", "cooldown"]

_LEASES: dict[str, Waiting] = {"t": "computing", "h": "hold", "c": "cooldown"}
_WHY: dict[Kind, str] = {
    "absent": "nothing is stored: never computed, expired, or invalidated since",
    "value": "a value is stored; reads get it until it is no longer fresh",
    "none": "a None was computed and is kept for negative_ttl, so that it is not computed again and again",
    "plain": "bare JSON is stored, of a cache in format plain or of another program; its age is not known",
    "unreadable": "something is stored that this version cannot read; reads miss, and the next computation replaces it",
}
_WAITING: dict[Waiting, str] = {
    "": "",
    "computing": "; somebody computes it now, and others wait",
    "hold": "; it is held, and nobody may store until that ends",
    "cooldown": "; the next computation waits until that ends",
}


class EntryState(msgspec.Struct, frozen=True):
    """How one entry stands."""

    key: str
    """Its name in Redis."""
    kind: Kind
    """What is stored."""
    why: str
    """What that means, in a sentence."""
    size: int
    """Bytes that are stored."""
    age: timedelta | None
    """Since it was computed; None when that is not known."""
    fresh_for: timedelta | None
    """How long reads still get it; None when that is not known."""
    leaves_in: timedelta | None
    """When the server drops it; None: nothing is stored, or it has no end."""
    lease: Waiting
    """Whether somebody computes it, or why nobody may; "" when it is free."""
    lease_for: timedelta
    """How long that lasts at most."""


def look(prefix: str, name: str, key: Key, now_ms: int) -> Op[EntryState]:
    """The state of one entry of the cache of this name. Raises Misuse."""
    entry = keys.entry(prefix, keys.logical(keys.check_name(name), key))

    def decode(reply: Reply) -> EntryState:
        now, size, left, head, letter, lease_left = reply
        kind, created, fresh = _head(bytes(head))
        lease = _LEASES.get(bytes(letter).decode("latin-1"), "")
        return EntryState(
            str(entry),
            kind,
            _WHY[kind] + _WAITING[lease],
            size,
            _ms(now - created) if created else None,
            _ms(created + fresh - now) if created else None,
            _ms(left) if left >= 0 else None,
            lease,
            _ms(lease_left) if lease else timedelta(0),
        )

    return _LOOK.op((entry, keys.lease(prefix, entry)), (now_ms,), decode)


def _head(head: bytes) -> tuple[Kind, int, int]:
    """What is stored, when it was (server's clock, ms), and for how long it is fresh."""
    if not head:
        return "absent", 0, 0
    found = frame.header(head)
    if found is None:
        return ("plain" if head[0] != frame.MAGIC else "unreadable"), 0, 0
    return ("none" if found.negative else "value"), found.created_ms, found.fresh_ms


def _ms(milliseconds: int) -> timedelta:
    return timedelta(milliseconds=max(0, milliseconds))
