"""What an operator sees of an entry: whether it is there and why, never its value."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Literal

import msgspec
from msgspec.structs import replace

from hustlex.cache import frame, keys, ops
from hustlex.cache.frame import HARD
from hustlex.cache.types import EntryKey, Key
from hustlex.core import check
from hustlex.core.lua import load
from hustlex.core.op import Batch, Flow, Reply, do
from hustlex.errors import Error, Misuse

_LOOK = load("hustlex.cache", "look")
_LONGEST = 4096

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


class TagState(msgspec.Struct, frozen=True):
    """A tag of an entry."""

    tag: str
    """As it stands in keys; ``*`` and the cache's name is what ``clear`` invalidates."""
    state: Literal["valid", "stale", "invalid"]
    """``stale`` and ``invalid``: by an invalidation since the entry was computed, soft or hard (or the server lost the
    stamp)."""

    def __str__(self) -> str:
        return f"{self.tag} ({self.state})"


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
    tags: tuple[TagState, ...] = ()
    """Its tags, and what has become of them."""


def look(prefix: str, name: str, key: Key, now_ms: int) -> Flow[EntryState]:
    """The state of one entry of the cache of this name. Raises Misuse."""
    return look_at(prefix, keys.entry(prefix, keys.logical(keys.check_name(name), key)), now_ms)


def look_by_name(prefix: str, given: str, now_ms: int) -> Flow[EntryState]:
    """The same by its name in Redis, with or without what stands before each. Raises Misuse."""
    text = check.text("key", given, longest=_LONGEST).removeprefix(prefix).removeprefix("cache:")
    if not keys.is_logical(text):
        raise Misuse("this is no key of a cache", hint="pass its name in Redis, as cache:user:42")
    return look_at(prefix, keys.entry(prefix, text), now_ms)


def look_at(prefix: str, entry: EntryKey, now_ms: int) -> Flow[EntryState]:
    """Two round trips for an entry with tags, whose stamps lie in other slots."""
    asked = _LOOK.op((entry, keys.lease(prefix, entry)), (now_ms,), partial(_state, entry))
    state, tags = yield from do(asked)
    stamps = (yield Batch(tuple(ops.stamped(keys.stamp(prefix, tag), 0) for tag, _ in tags))) if tags else []
    failed = next((stamp for stamp in stamps if isinstance(stamp, Error)), None)
    if failed is not None:
        raise failed
    judged = tuple(_judged(tag, then, now) for (tag, then), now in zip(tags, stamps, strict=True))
    return replace(state, tags=judged, why=state.why + _because(judged))


def _state(entry: EntryKey, reply: Reply) -> tuple[EntryState, frame.Tags]:
    now, size, left, head, letter, lease_left = reply
    kind, created, fresh, tags = _head(bytes(head))
    lease = _LEASES.get(bytes(letter).decode("latin-1"), "")
    state = EntryState(
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
    return state, tags


def _head(head: bytes) -> tuple[Kind, int, int, frame.Tags]:
    """What is stored, when it was (server's clock, ms), for how long it is fresh, and its tags."""
    if not head:
        return "absent", 0, 0, ()
    found = frame.header(head)
    if found is None:
        return ("plain" if head[0] != frame.MAGIC else "unreadable"), 0, 0, ()
    return ("none" if found.negative else "value"), found.created_ms, found.fresh_ms, found.tags


def _judged(tag: str, then: bytes, now: bytes | None) -> TagState:
    if now is None or now[:HARD] != then[:HARD]:
        return TagState(tag, "invalid")
    return TagState(tag, "valid" if now == then else "stale")


def _because(tags: tuple[TagState, ...]) -> str:
    """What its tags make of it, the worst first."""
    for state, words in (("invalid", "was invalidated since, so reads miss"), ("stale", "was made stale since")):
        found = [_called(each.tag) for each in tags if each.state == state]
        if found:
            return f"; {' and '.join(found)} {words}"
    return ""


def _called(tag: str) -> str:
    return f"the whole cache {tag[1:]}" if tag.startswith("*") else f"its tag {tag}"


def _ms(milliseconds: int) -> timedelta:
    return timedelta(milliseconds=max(0, milliseconds))
