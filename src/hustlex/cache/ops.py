"""Operations of the cache. All on one key pair: the entry and its lease, which share a slot.

timeout_ms: how long a read waits for the server before its caller computes instead.
"""

from __future__ import annotations

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Effect, Op, Reply, command

_GETL = load("hustlex.cache", "getl")
_FILL = load("hustlex.cache", "fill")
_PUT = load("hustlex.cache", "put")
_RELEASE = load("hustlex.cache", "release")
_RENEW = load("hustlex.cache", "renew")

COMPUTING = "t"


class Ours(msgspec.Struct, frozen=True):
    """The lease is the caller's."""


class Found(msgspec.Struct, frozen=True):
    """The entry exists after all."""

    raw: bytes


class Busy(msgspec.Struct, frozen=True):
    """Somebody else's lease. kind: its first letter. left_ms: until it runs out by itself, 0 when not known."""

    kind: str
    left_ms: int


def get(entry: str, timeout_ms: int) -> Op[bytes | None]:
    """The stored bytes."""
    return command("cache.get", Effect.READ, "GET", entry, keys=(entry,), decode=_raw, timeout_ms=timeout_ms)


def life(entry: str, timeout_ms: int) -> Op[int]:
    """Milliseconds until the entry leaves the server; negative when it has none."""
    return command("cache.life", Effect.READ, "PTTL", entry, keys=(entry,), decode=int, timeout_ms=timeout_ms)


def getl(entry: str, lease: str, lease_value: str, lease_ms: int, timeout_ms: int) -> Op[Ours | Found | Busy]:
    """After a miss: read again or take the lease."""
    return _GETL.op((entry, lease), (lease_value, lease_ms), _claim, timeout_ms=timeout_ms)


def take(
    entry: str, lease: str, lease_value: str, lease_ms: int, timeout_ms: int
) -> tuple[Op[Ours | Busy], Op[bytes | None]]:
    """Take the lease although an (unusable) entry exists; the entry is read again after it, in the same batch."""

    def holder(reply: Reply) -> Ours | Busy:
        before = None if reply is None else bytes(reply).decode("latin-1")
        return Ours() if before in (None, lease_value) else Busy(str(before)[:1], 0)

    return (
        command(
            "cache.take",
            Effect.IDEMPOTENT,
            "SET",
            lease,
            lease_value,
            "NX",
            "GET",
            "PX",
            lease_ms,
            keys=(lease,),
            decode=holder,
            timeout_ms=timeout_ms,
        ),
        get(entry, timeout_ms),
    )


def fill(entry: str, lease: str, lease_value: str, now_ms: int, value: bytes, px_ms: int, timeout_ms: int) -> Op[bool]:
    """Store what was computed under the lease. False: the lease is gone."""
    return _FILL.op((entry, lease), (lease_value, now_ms, value, px_ms), _status, timeout_ms=timeout_ms)


def put(entry: str, lease: str, now_ms: int, value: bytes, px_ms: int) -> Op[bool]:
    """Store, whatever is there, and end every computation of the entry."""
    return _PUT.op((entry, lease), (now_ms, value, px_ms), _status)


def release(lease: str, lease_value: str, timeout_ms: int) -> Op[bool]:
    """Give the lease back. False: it was gone."""
    return _RELEASE.op((lease,), (lease_value,), _status, timeout_ms=timeout_ms)


def renew(lease: str, lease_value: str, lease_ms: int, timeout_ms: int) -> Op[bool]:
    """Keep the lease. False: it is gone."""
    return _RENEW.op((lease,), (lease_value, lease_ms), _status, timeout_ms=timeout_ms)


def unlink(entry: str, lease: str) -> Op[int]:
    """Hard invalidation: entry and lease in one command, so that a computation under way cannot store."""
    return command("cache.delete", Effect.IDEMPOTENT, "UNLINK", entry, lease, keys=(entry, lease), decode=int)


def _raw(reply: Reply) -> bytes | None:
    return None if reply is None else bytes(reply)


def _claim(reply: Reply) -> Ours | Found | Busy:
    if reply[0] == 0:
        return Ours()
    if reply[0] == 1:
        return Found(bytes(reply[1]))
    return Busy(bytes(reply[2]).decode("latin-1"), max(0, int(reply[1])))


def _status(reply: Reply) -> bool:
    return bool(reply[0] == 1)
