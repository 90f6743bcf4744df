"""Where a search stopped, as text that its next page begins with. Nothing in it is trusted but as a place to look."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import msgspec

from hustlex.core import cursor as cursors
from hustlex.errors import Misuse

MOST_ANCHORS = 24
_LONGEST_ANCHORS = 1_000
_SCORE = re.compile(rb"-?\d{1,20}(\.\d{1,20})?(e[+-]?\d{1,3})?|-?inf")
_DIGEST = re.compile(rb"[0-9a-f]{40}")
_SINCE = re.compile(rb"\d{0,25}")


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """The last task that was looked at in one place.

    at: where in a list it stood, from the end that runs first. word: its score in a sorted set, since when it is
    pending in a list, the digest of its id among those that are running. ids: it, and of a list those before it, the
    last first: whichever still stands there tells where to go on.
    """

    at: int
    word: bytes
    ids: tuple[bytes, ...]


class Stop(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended. about: a digest of the query. queue, place: where to go on; mark: None = from its start."""

    about: bytes
    queue: str
    place: int
    mark: Mark | None


def about(query: str) -> bytes:
    """What ties a cursor to its query."""
    return hashlib.blake2b(query.encode("utf-8", "replace"), digest_size=6).digest()


def opened(cursor: object, query: str, kinds: Sequence[str]) -> Stop | None:
    """Where to go on; None for "". kinds: of the places. Raises Misuse for what was not given out for this query."""
    stop = cursors.opened(cursor, Stop)
    if stop is None:
        return None
    if stop.about != about(query):
        raise Misuse("cursor is another search's", hint="begin anew, without one")
    fits = any(_sound(stop.mark, kind) for kind in kinds[stop.place : stop.place + 1]) if stop.mark else True
    if not (0 <= stop.place < 100 and fits):
        raise cursors.strange()
    return stop


def anchored(newest: list[bytes], before: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """As many as a cursor has room for; at least one."""
    kept, room = list[bytes](), _LONGEST_ANCHORS
    for name in (*newest, *before)[:MOST_ANCHORS]:
        room -= len(name)
        if kept and room < 0:
            break
        kept.append(name)
    return tuple(kept)


def since(word: bytes) -> bytes:
    """Since when a task is pending, as a mark has it; whatever another producer wrote there."""
    return word if _SINCE.fullmatch(word) else b""


def _sound(mark: Mark, kind: str) -> bool:
    known = {"list": _SINCE, "hands": _DIGEST}.get(kind, _SCORE)
    return bool(known.fullmatch(mark.word)) and 0 <= mark.at < 2**40 and 0 < len(mark.ids) <= MOST_ANCHORS
