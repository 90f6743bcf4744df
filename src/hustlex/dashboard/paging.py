"""Pages of a list that is read whole: each begins behind the last thing of the page before, wherever that is by now."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import msgspec

from hustlex.core.cursor import opened, sealed, strange

T = TypeVar("T")


class ListPage(msgspec.Struct, Generic[T], frozen=True):
    """Some things of a list. first: how many stand before them. count: of all. before, after: cursors of the pages on
    either side, "" = the first page, or none; None = there is no page before."""

    shown: list[T]
    first: int
    count: int
    before: str | None
    after: str


def page_of(things: Iterable[T], key: Callable[[T], tuple[Any, ...]], cursor: str, size: int) -> ListPage[T]:
    """The next ``size`` things by their keys. key: numbers and texts, different for each thing. Raises Misuse for a
    cursor that was not given out."""
    place, ordered = opened(cursor, tuple), sorted(things, key=key)
    try:
        first = 0 if place is None else bisect_right(ordered, place, key=key)
    except TypeError:
        raise strange() from None

    def behind(at: int) -> str:
        return sealed(key(ordered[at - 1])) if 0 < at < len(ordered) else ""

    before = behind(first - size) if first else None
    return ListPage(ordered[first : first + size], first, len(ordered), before, behind(first + size))
