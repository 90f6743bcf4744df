"""Functions that carry their cache: whatever their arguments and results are, or one sentence."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import functools
import uuid
from typing import Any, Generic, TypeVar

import msgspec
import pydantic
import pytest

from hustlex.app import HustleX
from hustlex.errors import Misuse
from tests.conftest import PATIENCE
from tests.contract.test_cache import PATIENT, QUARTER, every_key_ends

__all__ = ["every_key_ends"]

T = TypeVar("T")


class Kind(enum.Enum):
    A = "a"


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: decimal.Decimal


class Box(pydantic.BaseModel, Generic[T]):
    held: T = pydantic.Field(alias="heldThing")
    model_config = pydantic.ConfigDict(populate_by_name=True)


class Gig(msgspec.Struct, frozen=True):
    id: int
    tags: set[str]


VALUES: list[tuple[Any, Any]] = [
    (Point, Point(1, decimal.Decimal("1.10"))),
    (Box[int], Box[int](held=3)),
    (Gig, Gig(1, {"a", "b"})),
    (decimal.Decimal, decimal.Decimal("0.10")),
    (dt.datetime, dt.datetime(2026, 1, 2, tzinfo=dt.UTC)),
    (uuid.UUID, uuid.UUID(int=7)),
    (Kind, Kind.A),
    (set[int], {1, 2}),
    (frozenset[str], frozenset("ab")),
    (bytes, b"\x00\xff"),
    (dict[str, list[float]], {"a": [1.5]}),
]


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=lambda part: getattr(part, "__name__", ""))
async def test_what_a_function_returns_comes_back_as_it_was(hx: Any, kind: Any, value: Any) -> None:
    cache = hx.cache("v", kind, ttl=QUARTER, timeout=PATIENT)
    asked = []

    @cache.cached()
    async def load(what: Any) -> Any:
        asked.append(what)
        return value

    for _ in range(3):
        found = await load("x")
        assert found == value
        assert type(found) is type(value)
    assert asked == ["x"]


async def test_equal_calls_are_one_and_others_are_others(hx: Any) -> None:
    cache = hx.cache("v", int, ttl=QUARTER, timeout=PATIENT)
    asked = []

    @cache.cached()
    async def load(a: Any, b: Any = 2, *, c: Any = None) -> int:
        asked.append((a, b, c))
        return len(asked)

    same = [await load(1), await load(1, 2), await load(b=2, a=1), await load(1, c=None, b=2)]
    assert (same, len(asked)) == ([1] * 4, 1)
    others = [
        *("1", True, 1.0, b"1", None, [1], {1}, {"a": 1}, decimal.Decimal(1), uuid.UUID(int=1), Kind.A),
        *(dt.date(2026, 1, 1), dt.timedelta(1), Point(1, decimal.Decimal(1)), Gig(1, set()), Box[int](held=1)),
    ]
    for other in others:
        first = await load(other)
        assert await load(other) == first
    assert len(asked) == 1 + len(others)
    assert await load({"a": 1, "b": 2}) == await load({"b": 2, "a": 1})
    assert await load({3, 1, 2}) == await load({1, 2, 3})


async def test_what_cannot_be_a_key_is_refused(hx: Any) -> None:
    cache = hx.cache("v", int, ttl=QUARTER, timeout=PATIENT)

    @cache.cached()
    async def load(a: Any) -> int:
        return 1

    circle: list[Any] = []
    circle.append(circle)
    for odd in (object(), load, float("nan"), lambda: 1, [object()], iter(()), circle):
        with pytest.raises(Misuse, match="cannot be part of a cache key"):
            await load(odd)
    with pytest.raises(Misuse, match="method"):

        class Shop:
            @cache.cached()
            async def load(self) -> int:
                return 1


async def test_a_method_names_what_counts(url: str) -> None:
    async with HustleX(url, timeout=PATIENCE) as hx:
        await _methods(hx)


async def _methods(hx: HustleX) -> None:
    cache = hx.cache("v", int, ttl=QUARTER, timeout=PATIENT)
    asked = []

    class Shop:
        @cache.cached("v:{gig}", tags=["gig:{gig}"])
        async def price(self, gig: int) -> int:
            asked.append(gig)
            return gig

    assert [await Shop().price(1), await Shop().price(gig=1)] == [1, 1]
    assert asked == [1]
    await hx.cache.invalidate_tags("gig:1")
    assert await Shop().price(1) == 1
    assert asked == [1, 1]


async def test_a_partial_is_a_function_too(hx: Any) -> None:
    cache = hx.cache("v", int, ttl=QUARTER, timeout=PATIENT)
    asked = []

    async def add(a: int, b: int) -> int:
        asked.append(a)
        return a + b

    more = cache.cached("v:sum:{a}:{b}")(functools.partial(add, b=1))
    assert [await more(5), await more(5), await more(5, b=2)] == [6, 6, 7]
    assert asked == [5, 5]
