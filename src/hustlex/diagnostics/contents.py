"""What fills a server, from a sample of its keys: memory by room, what is large, what is used most. Keys are shown as
patterns, see ``seen``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from math import sqrt

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Op, Reply, command
from hustlex.diagnostics.rights import ROOMS, rights
from hustlex.diagnostics.seen import key_pattern

_SAMPLE = load("hustlex.diagnostics", "sample")
_FEWEST = 50
_LISTED = 10
_BESIDE = {"console": "console", "x": "metrics"}
"""Families of what is no room."""
OTHER = "other"


class RoomMemory(msgspec.Struct, frozen=True):
    """What the keys of a room take, reckoned from a sample."""

    room: str
    """As "otp"; "console", "metrics", and "other" for what no room of ours made."""
    keys: int
    """How many there are, about."""
    memory_bytes: int | None
    """What they take, about; None where the user may not ask."""
    tolerance_bytes: int | None
    """Two standard errors of that; 0 where each key was looked at."""


class KeyPattern(msgspec.Struct, frozen=True):
    """Keys of a sample whose names are of one form."""

    pattern: str
    """As ``otp:{*}:*``."""
    room: str
    """Whose they are, as in RoomMemory."""
    keys: int
    """How many of those that were looked at."""
    memory_bytes: int | None
    """What the largest of them takes; None where the user may not ask."""
    frequency: int | None
    """How often that is used which is used most, 0 to 255 on the server's logarithmic scale; None where the policy
    does not count."""


class MemorySample(msgspec.Struct, frozen=True):
    """Some keys of a server, chosen by chance."""

    node: str
    """Of a cluster: its address."""
    keys: int
    """All keys of the database."""
    looked: int
    """How many were looked at; one may be among them twice."""
    complete: bool
    """Whether these are all."""
    rooms: tuple[RoomMemory, ...]
    """The largest first."""
    large: tuple[KeyPattern, ...]
    """Where the largest keys are, 10 at most."""
    hot: tuple[KeyPattern, ...] | None
    """Where those are that are used most, 10 at most; None where the policy (maxmemory-policy) is no LFU and so does
    not count."""


def share(keys: int, nodes: int) -> int:
    """How many keys are looked at on each node."""
    return max(_FEWEST, keys // nodes)


def sample(at: str, node: str, keys: int, prefix: str, *, counting: bool) -> Op[MemorySample]:
    """Look at so many keys, in one step of about 10 us for each. counting: the server's policy is an LFU."""

    def decode(reply: Reply) -> MemorySample:
        _, known, complete, *rows = reply
        return _sampled(node, int(known), bool(complete), rows, prefix, counting)

    # As a plain command: in a cluster a key would only say which node is asked, and the user would need a right to it.
    words = ("EVAL", _SAMPLE.text, 0, keys, int(counting))
    return command(_SAMPLE.name, _SAMPLE.effect, *words, keys=(at,) if at else (), decode=decode)


def room_of(key: str, prefix: str) -> str:
    """Whose a key is, or its pattern."""
    ours = key.startswith(("asynq:", prefix))
    return _families().get(key.removeprefix(prefix).partition(":")[0], OTHER) if ours else OTHER


@cache
def _families() -> dict[str, str]:
    return _BESIDE | {pattern.partition(":")[0]: room for room in ROOMS for pattern in rights((room,)).keys}


def _sampled(
    node: str, known: int, complete: bool, rows: Iterable[tuple[bytes, int, int]], prefix: str, counting: bool
) -> MemorySample:
    found = [_Key(name, size, uses, prefix) for name, size, uses in rows]
    by_room = defaultdict[str, list[int | None]](list)
    for each in found:
        by_room[each.room].append(each.size)
    scale = 1.0 if complete else known / max(len(found), 1)
    rooms = [_reckoned(room, sizes, len(found), scale, complete) for room, sizes in by_room.items()]
    rooms.sort(key=lambda each: (-(each.memory_bytes or 0), -each.keys))
    patterns = _patterns({each.name: each for each in found}.values())
    large = sorted(patterns, key=lambda each: -(each.memory_bytes or 0))
    hot = sorted((each for each in patterns if each.frequency), key=lambda each: -(each.frequency or 0))
    return MemorySample(
        node, known, len(found), complete, tuple(rooms),
        tuple(each for each in large[:_LISTED] if each.memory_bytes), tuple(hot[:_LISTED]) if counting else None,
    )  # fmt: skip


class _Key:
    def __init__(self, name: bytes, size: int, uses: int, prefix: str) -> None:
        self.name, self.pattern = name, key_pattern(name, prefix)
        self.room = room_of(name.decode("utf-8", "replace"), prefix)
        self.size = size if size >= 0 else None
        self.uses = uses if uses >= 0 else None


def _patterns(keys: Iterable[_Key]) -> list[KeyPattern]:
    alike = defaultdict[tuple[str, str], list[_Key]](list)
    for each in keys:
        alike[each.pattern, each.room].append(each)
    return [
        KeyPattern(*of, len(found), _most(each.size for each in found), _most(each.uses for each in found))
        for of, found in alike.items()
    ]


def _most(numbers: Iterable[int | None]) -> int | None:
    return max((number for number in numbers if number is not None), default=None)


def _reckoned(room: str, sizes: list[int | None], looked: int, scale: float, complete: bool) -> RoomMemory:
    keys, known = round(len(sizes) * scale), [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return RoomMemory(room, keys, None, None)
    total, squares = sum(known), sum(size * size for size in known)
    spread = max(0.0, squares - total * total / looked) / max(looked - 1, 1)
    return RoomMemory(room, keys, round(total * scale), 0 if complete else round(2 * scale * sqrt(looked * spread)))
