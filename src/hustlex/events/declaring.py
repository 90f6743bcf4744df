"""What a channel is declared with, judged."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.events.cursors import Declared
from hustlex.events.names import ChannelTemplate
from hustlex.events.ops import Retention
from hustlex.events.subscription import NOWHERE
from hustlex.events.types import Position
from hustlex.events.wire import EventCodec

MOST_KEPT = 100
KEPT = timedelta(minutes=5)

_KINDS = ("live", "replay", "latest")
_OPTIONS = frozenset(("idem", "version", "since", "conflate", "limit", "reverse"))
_LARGEST = 10_000
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=7)
_META = timedelta(days=30)
_IDEM = timedelta(minutes=5)


def declared(
    template: ChannelTemplate, event_type: Any, kind: str, size: int, ttl: timedelta, max_payload: int
) -> Declared:
    """A channel family. Raises Misuse."""
    check.one_of("kind", kind, _KINDS)
    check.whole("size", size, 1, _LARGEST)
    check.duration("ttl", ttl, _SHORTEST, _LONGEST)
    codec = EventCodec(event_type, max_payload)
    if kind == "live":
        return Declared(template, codec, None)
    if template.parameters & _OPTIONS:
        raise Misuse(f"a placeholder cannot be called {min(template.parameters & _OPTIONS)}", hint="rename it")
    meta = max(_META, 10 * ttl)
    sizes = Retention(1 if kind == "latest" else size, *(_ms(each) for each in (ttl, meta, _IDEM)))
    return Declared(template, codec, sizes, latest=kind == "latest")


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


def position_of(name: str, value: object) -> Position | None:
    """A position, or its text; text that is none is a position behind which nothing is kept."""
    if value is None or isinstance(value, Position):
        return value
    return Position.parse(check.text(name, value, longest=4096, blank=True)) or NOWHERE
