"""The short way of a hit: an entry that is fresh beyond doubt is told by comparing bytes.

It is what a cache finds nearly always, and the long way (``reading.judge`` inside a flow) spends most of a hit's CPU on
what is not there. Whatever is not exactly this goes the long way, with what was read.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from hustlex.cache import frame
from hustlex.cache.plan import CachePlan
from hustlex.cache.reading import Looked

LONG: Final = object()
"""What ``hit`` answers where the long way must be gone."""


def hit(plan: CachePlan[Any], tags: tuple[str, ...], looked: Looked) -> Any:
    """The value, or LONG. tags: all that the entry is expected to have."""
    raw, stamps = looked.raw, looked.stamps
    if type(raw) is not bytes or plan.clock():
        return LONG
    section = _section(tags, stamps)
    body = frame.fresh_body(raw, plan.codec.start, section) if section else None
    if body is None:
        return LONG
    try:
        value = plan.codec.decode(body)
    except Exception:  # noqa: BLE001 - as in ``ValueCodec.read``
        return LONG
    counts = plan.counts
    counts.answered()
    counts.fresh += 1
    return value


@lru_cache(1024)
def _section(tags: tuple[str, ...], stamps: tuple[Any, ...]) -> bytes:
    """As it stands in a frame; empty when a stamp is not there."""
    if not all(type(stamp) is bytes for stamp in stamps):
        return b""
    return frame.packed_tags(tuple(zip(tags, stamps, strict=True)))
