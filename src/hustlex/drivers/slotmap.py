"""Which node of a cluster has which slots, as ``CLUSTER SLOTS`` says. No I/O: both drivers read it here."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from hustlex.core.keys import SLOTS
from hustlex.drivers.faults import FOREIGN, NotSent

Place = tuple[str, int]
"""Host and port."""
ASK_SLOTS = ("CLUSTER", "SLOTS")


class SlotRange(msgspec.Struct, frozen=True):
    """These slots, both ends included, are at this primary."""

    first: int
    last: int
    primary: Place
    replicas: tuple[Place, ...]


def read_slots(reply: Any, asked: str) -> list[SlotRange]:
    """The ranges of a reply. asked: the host that gave it; a node that does not know its own name means that one.

    Raises NotSent when the cluster has no slots yet, or what answers is none.
    """
    try:
        ranges = [_range(entry, asked) for entry in reply]
    except (TypeError, ValueError, LookupError, AttributeError):
        raise NotSent(FOREIGN) from None
    known = [each for each in ranges if each is not None]
    if not known:
        raise NotSent("the cluster has no slots yet")
    return known


def first_slots(ranges: list[SlotRange]) -> list[int]:
    """The first slot of each primary, in order: they name the parts of the data, whoever has them later."""
    first: dict[Place, int] = {}
    for each in ranges:
        first[each.primary] = min(each.first, first.get(each.primary, SLOTS))
    return sorted(first.values())


def reader(each: SlotRange, before: Place | None) -> Place:
    """A replica to read these slots from: the one in use while it is one, else any; the primary where there is none."""
    if not each.replicas or before in each.replicas:
        return before if before in each.replicas else each.primary
    return random.choice(each.replicas)


def _range(entry: Any, asked: str) -> SlotRange | None:
    first, last, *nodes = entry
    if not 0 <= first <= last < SLOTS:
        raise ValueError
    places = [_place(node, asked) for node in nodes]
    if places[0] is None:
        return None
    return SlotRange(first, last, places[0], tuple(place for place in places[1:] if place is not None))


def _place(node: Any, asked: str) -> Place | None:
    """None for a node whose name nobody knows ("?")."""
    host = node[0].decode() if node[0] else asked
    return None if host == "?" else (host, int(node[1]))
