"""What fills the servers, by room, as a person may see it: rooms that do not exist for them are among the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

import msgspec

from hustlex.dashboard.operators import Operator
from hustlex.diagnostics import RoomMemory, ServerGlance
from hustlex.diagnostics.contents import OTHER

_RIGHTS = {"otp": "people", "tokens": "people", "pins": "people", "ratelimit": "limits", "console": "audit"}
"""Rooms of the package whose right has another name."""
_FREE = ("metrics", "diagnostics", OTHER)
"""What is nobody's room."""


class ServerFill(msgspec.Struct, frozen=True):
    """What stands in all servers together, as of a while ago. Empty rooms: nothing stands there, or see refused."""

    rooms: tuple[RoomMemory, ...]
    """The largest first."""
    total: int
    """Of their memory; 0 where the user may not ask for it."""
    keys: int
    looked: int
    complete: bool
    """Whether each key was looked at."""
    age: timedelta
    """Of the oldest look."""
    used_bytes: int
    limit_bytes: int
    """0: one of the servers has none."""
    connections: int
    rights: tuple[str, ...]
    """What the user lacks to see it, as ``eval``."""
    silent: tuple[str, ...]
    """Servers that did not answer when they were asked last: state, cache."""
    left_out: int
    """Nodes of a cluster that are not looked at."""


def sees(operator: Operator, room: str) -> bool:
    """Whether the memory of a room is told to this person."""
    return room in _FREE or operator.sees_room(_RIGHTS.get(room, room))


def seen(operator: Operator, rooms: Iterable[RoomMemory]) -> tuple[RoomMemory, ...]:
    """One of each name, the largest first; those that do not exist for this person are other, as what no room made."""
    alike: dict[str, list[RoomMemory]] = {}
    for each in rooms:
        alike.setdefault(each.room if sees(operator, each.room) else OTHER, []).append(each)
    found = [RoomMemory(name, sum(each.keys for each in some), *_summed(some)) for name, some in alike.items()]
    return tuple(sorted(found, key=lambda each: (-(each.memory_bytes or 0), -each.keys)))


def _summed(rooms: list[RoomMemory]) -> tuple[int | None, int | None]:
    """Memory, and how good that is known; None where that of one of them is not."""
    sizes = [each.memory_bytes for each in rooms if each.memory_bytes is not None]
    if len(sizes) < len(rooms):
        return None, None
    return sum(sizes), round(sum((each.tolerance_bytes or 0) ** 2 for each in rooms) ** 0.5)


def fill(
    operator: Operator, looks: Mapping[str, ServerGlance], age: timedelta, silent: tuple[str, ...]
) -> ServerFill | None:
    """Of all servers, by their roles; None where none was looked at yet."""
    if not looks:
        return None
    samples = [each for look in looks.values() for each in look.memory]
    servers = [each for look in looks.values() for each in look.servers]
    limits = [each.limit_bytes for each in servers]
    rights = [right for look in looks.values() for each in look.refused for right in each.rights]
    rooms = seen(operator, (room for each in samples for room in each.rooms))
    return ServerFill(
        rooms, sum(each.memory_bytes or 0 for each in rooms), sum(each.keys for each in samples),
        sum(each.looked for each in samples), all(each.complete for each in samples), age,
        sum(each.memory_bytes for each in servers), sum(limits) if all(limits) else 0,
        sum(each.clients for each in servers), tuple(dict.fromkeys(rights)), silent,
        sum(look.nodes - len(look.servers) for look in looks.values() if look.servers),
    )  # fmt: skip
