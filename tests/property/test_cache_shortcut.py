"""The short way of a hit and the long one, given the same bytes: one value, or the long way is asked for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hustlex.cache import frame, reading, shortcut
from hustlex.cache.codec import ValueCodec
from hustlex.cache.plan import CachePlan
from hustlex.cache.policy import policy
from hustlex.cache.reading import Looked, Usable
from hustlex.core.time import server_clock
from hustlex.errors import Unavailable
from tests.unit.test_cache_flows import HandComputations

_STAMPS = [bytes([n]) * frame.STAMP_BYTES for n in range(3)]
_SOFTER = _STAMPS[0][: frame.HARD] + b"soft"
_VALUES: list[Any] = [None, 0, 12, "a", "x" * 9000, {"a": 1}, {"a": None}, [1, 2]]


def plan(schema_version: int = 0) -> CachePlan[Any]:
    limits = policy(ttl=timedelta(minutes=1), tags=("users",), schema_version=schema_version)
    return CachePlan("n", ValueCodec(Any, limits), limits, HandComputations(), prefix="", clock=server_clock)


PLAN, OTHER = plan(), plan(1)
TAGS = PLAN.fixed_tags


@st.composite
def stored(draw: st.DrawFn) -> bytes:
    """What may be under an entry's key: mostly an entry, of this type or another, whole or broken."""
    codec = draw(st.sampled_from([PLAN, PLAN, PLAN, OTHER])).codec
    tags = draw(st.sampled_from([TAGS, TAGS, TAGS, TAGS[:1], TAGS[::-1], (*TAGS, "more"), ()]))
    body = codec.encode(draw(st.sampled_from(_VALUES)))
    fresh_ms = draw(st.sampled_from([60_000, 60_000, 1, 0]))
    raw = codec.pack(body, fresh_ms, 1, tuple((tag, draw(st.sampled_from(_STAMPS[:2]))) for tag in tags))
    kind, place = (
        draw(st.sampled_from(["whole", "whole", "cut", "changed", "bare"])),
        draw(st.integers(0, len(raw) - 1)),
    )
    if kind == "cut":
        return raw[:place]
    if kind == "changed":
        return raw[:place] + bytes([draw(st.integers(0, 255))]) + raw[place + 1 :]
    return body if kind == "bare" else raw


def long_way(looked: Looked) -> Any:
    """What a read by the long way serves; LONG for anything that is not a fresh value."""
    flow = reading.read(PLAN, "cache:n:1", TAGS, looked=looked)
    try:
        next(flow)
    except StopIteration as stop:
        found = stop.value
        return found.entry.value if isinstance(found, Usable) and found.state == "fresh" else shortcut.LONG
    return shortcut.LONG  # it asks for tags that only the entry knew


@given(stored(), st.tuples(*[st.sampled_from([*_STAMPS[:1], *_STAMPS, _SOFTER, None])] * len(TAGS)))
def test_the_short_way_finds_what_the_long_one_would(raw: bytes, stamps: tuple[bytes | None, ...]) -> None:
    looked = Looked(raw, stamps)
    value = shortcut.hit(PLAN, TAGS, looked)
    if value is not shortcut.LONG:
        assert value == long_way(looked)


def test_a_fresh_entry_under_its_stamps_goes_the_short_way_and_nothing_else_does() -> None:
    stamps = tuple(_STAMPS[: len(TAGS)])
    tagged = tuple(zip(TAGS, stamps, strict=True))
    body = PLAN.codec.encode({"id": 7})

    def hit(raw: Any, now: tuple[Any, ...] = stamps) -> Any:
        return shortcut.hit(PLAN, TAGS, Looked(raw, now))

    fresh = PLAN.codec.pack(body, 60_000, 1, tagged)
    assert hit(fresh) == {"id": 7} == long_way(Looked(fresh, stamps))
    others = [
        hit(PLAN.codec.pack(body, 0, 1, tagged)),
        hit(OTHER.codec.pack(body, 60_000, 1, tagged)),
        hit(PLAN.codec.pack(body, 60_000, 1, tagged[:1])),
        hit(PLAN.codec.pack(body, 60_000, 1, (*tagged, ("more", _STAMPS[0])))),
        hit(PLAN.codec.pack(b"null", 60_000, 1, tagged)),
        hit(fresh, (_SOFTER, *stamps[1:])),
        hit(fresh, (None, *stamps[1:])),
        hit(fresh, (Unavailable("away"), *stamps[1:])),
        hit(None, ()),
        hit(Unavailable("away"), ()),
    ]
    assert all(other is shortcut.LONG for other in others)
