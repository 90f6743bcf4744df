"""Operations of the cache, each on one key, or on the pair of an entry and its lease, which share a slot.

timeout_ms: how long a read waits for the server before its caller computes instead.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Effect, Op, Reply, command

_GETL = load("hustlex.cache", "getl")
_FILL = load("hustlex.cache", "fill")
_PUT = load("hustlex.cache", "put")
_RELEASE = load("hustlex.cache", "release")
_RENEW = load("hustlex.cache", "renew")
_COOL = load("hustlex.cache", "cool")
_EXPIRE = load("hustlex.cache", "expire")
_HOLD = load("hustlex.cache", "hold")
_STAMP = load("hustlex.cache", "stamp")
_SOFTEN = load("hustlex.cache", "soften")
_EPOCH = load("hustlex.cache", "epoch")
_TURN = load("hustlex.cache", "turn")
_REPORT = load("hustlex.cache", "report")

COMPUTING = "t"
COOLING = "c"

_GROUPS = 64
_EPOCH_MS = 7 * 86_400_000


class Ours(msgspec.Struct, frozen=True):
    """The lease is the caller's."""


class Found(msgspec.Struct, frozen=True):
    """The entry exists after all. left_ms: until it leaves the server."""

    raw: bytes
    left_ms: int = 0


class Busy(msgspec.Struct, frozen=True):
    """Somebody else's lease. kind: its first letter. left_ms: until it runs out by itself, 0 when not known."""

    kind: str
    left_ms: int


def get(entry: str, timeout_ms: int, *, large: bool = False) -> Op[bytes | None]:
    """The stored bytes. May be kept, and sent again."""
    return Op("cache.get", Effect.READ, (entry,), ("GET", entry), _raw, None, timeout_ms, [], large=large)


def life(entry: str, timeout_ms: int) -> Op[int]:
    """Milliseconds until the entry leaves the server; negative when it has none."""
    return command("cache.life", Effect.READ, "PTTL", entry, keys=(entry,), decode=int, timeout_ms=timeout_ms)


def getl(entry: str, lease: str, lease_value: str, lease_ms: int, timeout_ms: int) -> Op[Ours | Found | Busy]:
    """After a miss: read again or take the lease."""
    return _GETL.op((entry, lease), (lease_value, lease_ms), _claim, timeout_ms=timeout_ms)


def take(
    entry: str, lease: str, lease_value: str, lease_ms: int, timeout_ms: int
) -> tuple[Op[Ours | Busy], Op[bytes | None], Op[int]]:
    """Take the lease although an entry exists; the entry is read again after it, in the same batch."""

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
        life(entry, timeout_ms),
    )


def fill(entry: str, lease: str, lease_value: str, now_ms: int, value: bytes, px_ms: int, timeout_ms: int) -> Op[bool]:
    """Store what was computed under the lease. False: the lease is gone."""
    return _FILL.op((entry, lease), (lease_value, now_ms, value, px_ms), _status, timeout_ms=timeout_ms)


def put(entry: str, lease: str, now_ms: int, value: bytes, px_ms: int, version: int = 0) -> Op[bool]:
    """Store, and end every computation of the entry. False: what is there has a higher version."""
    return _PUT.op((entry, lease), (now_ms, value, px_ms, version), _status)


def release(lease: str, lease_value: str, timeout_ms: int) -> Op[bool]:
    """Give the lease back. False: it was gone."""
    return _RELEASE.op((lease,), (lease_value,), _status, timeout_ms=timeout_ms)


def renew(lease: str, lease_value: str, lease_ms: int, timeout_ms: int) -> Op[bool]:
    """Keep the lease. False: it is gone."""
    return _RENEW.op((lease,), (lease_value, lease_ms), _status, timeout_ms=timeout_ms)


def cool(lease: str, lease_value: str, cooldown_ms: int, timeout_ms: int) -> Op[bool]:
    """Nobody computes for a while. False: the lease was gone."""
    return _COOL.op((lease,), (lease_value, cooldown_ms), _status, timeout_ms=timeout_ms)


def unlink(entry: str, lease: str) -> Op[Any]:
    """Hard invalidation: entry and lease in one command, so that a computation under way cannot store."""
    return command("cache.delete", Effect.IDEMPOTENT, "UNLINK", entry, lease, keys=(entry, lease), decode=int)


def expire(entry: str, lease: str) -> Op[Any]:
    """Soft invalidation."""
    return _EXPIRE.op((entry, lease), (), _status)


def hold(entry: str, lease: str, hold_ms: int) -> Op[Any]:
    """Hard invalidation, and nobody stores for a while."""
    return _HOLD.op((entry, lease), (hold_ms,), _status)


# -- tags


def stamp(key: str, fresh: bytes, needed_ms: int, timeout_ms: int) -> Op[bytes]:
    """The stamp of a tag, made if there is none."""
    return _STAMP.op((key,), (fresh, needed_ms), bytes, timeout_ms=timeout_ms)


def stamped(key: str, timeout_ms: int) -> Op[bytes | None]:
    """The stamp of a tag, if there is one."""
    return command("cache.stamped", Effect.READ, "GET", key, keys=(key,), decode=_raw, timeout_ms=timeout_ms)


def drop(key: str) -> Op[Any]:
    """Hard invalidation of a tag: without its stamp no entry under it counts."""
    return command("cache.drop", Effect.IDEMPOTENT, "UNLINK", key, keys=(key,), decode=int)


def soften(key: str, ending: bytes) -> Op[Any]:
    """Soft invalidation of a tag."""
    return _SOFTEN.op((key,), (ending,), _status)


def epoch(key: str, identity: bytes, timeout_ms: int) -> Op[dict[bytes, bytes]]:
    """Which groups of tags were invalidated, by numbers that change."""
    return _EPOCH.op((key,), (identity, _EPOCH_MS), _pairs, timeout_ms=timeout_ms)


def turn(key: str, mark: bytes, groups: Iterable[int]) -> Op[bool]:
    """Change the numbers of these groups. Must have been answered before the tags are dropped."""
    return _TURN.op((key,), (mark, _EPOCH_MS, mark, *groups), _status)


def report(key: str, keep_ms: int, most: int, counts: Mapping[str, int], timeout_ms: int) -> Op[bool]:
    """Add these counts to those of all processes."""
    flat = (part for count in counts.items() for part in count)
    return _REPORT.op((key,), (keep_ms, most, *flat), _status, timeout_ms=timeout_ms)


def counted(key: str) -> Op[dict[str, int]]:
    """What all processes have counted in some minutes."""
    return command("cache.counted", Effect.READ, "HGETALL", key, keys=(key,), decode=_numbers)


def group(tag: str) -> int:
    """Which of 64 a tag belongs to."""
    return zlib.crc32(tag.encode()) % _GROUPS


def _pairs(reply: Reply) -> dict[bytes, bytes]:
    flat = list(reply.items()) if isinstance(reply, dict) else list(zip(reply[::2], reply[1::2], strict=True))
    return {bytes(field): bytes(value) for field, value in flat}


def _numbers(reply: Reply) -> dict[str, int]:
    return {field.decode("utf-8", "replace"): int(times) for field, times in _pairs(reply).items()}


def _raw(reply: Reply) -> bytes | None:
    return None if reply is None else bytes(reply)


def _claim(reply: Reply) -> Ours | Found | Busy:
    if reply[0] == 0:
        return Ours()
    if reply[0] == 1:
        return Found(bytes(reply[1]), int(reply[2]))
    return Busy(bytes(reply[2]).decode("latin-1"), max(0, int(reply[1])))


def _status(reply: Reply) -> bool:
    return bool(reply[0] == 1)
