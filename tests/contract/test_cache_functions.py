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
from hustlex.sync import HustleX as BlockingHustleX
from tests.conftest import PATIENCE
from tests.contract.test_cache import PATIENT, QUARTER, every_key_ends

__all__ = ["every_key_ends"]

T = TypeVar("T")
asked: list[Any] = []
answer: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    """What the functions below use is the module's: of a function around them it would want a template."""
    asked.clear()
    answer.clear()


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
    answer.append(value)

    @cache.cached()
    async def load(what: Any) -> Any:
        asked.append(what)
        return answer[0]

    for _ in range(3):
        found = await load("x")
        assert found == value
        assert type(found) is type(value)
    assert asked == ["x"]


async def test_equal_calls_are_one_and_others_are_others(hx: Any) -> None:
    cache = hx.cache("v", int, ttl=QUARTER, timeout=PATIENT)

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

    async def add(a: int, b: int) -> int:
        asked.append(a)
        return a + b

    more = cache.cached("v:sum:{a}:{b}")(functools.partial(add, b=1))
    assert [await more(5), await more(5), await more(5, b=2)] == [6, 6, 7]
    assert asked == [5, 5]


async def _plus(a: int, b: int) -> int:
    return a + b


async def test_what_a_partial_holds_is_in_its_key(url: str) -> None:
    async with HustleX(url, timeout=PATIENCE) as hx:
        cache = hx.cache("v", int, ttl=QUARTER, timeout=PATIENT)
        five = cache.cached()(functools.partial(_plus, 5, b=1))
        six = cache.cached()(functools.partial(_plus, 6, b=1))
        assert [await five(), await five(b=2), await six(), await five()] == [6, 7, 7, 6]


class Times:
    """Its methods, and it, depend on more than their arguments."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    async def times(self, n: int) -> int:
        return self.factor * n

    async def __call__(self, n: int) -> int:
        return self.factor * n

    @classmethod
    async def plain(cls, n: int) -> int:
        return n


def _closure(factor: int) -> Any:
    async def times(n: int) -> int:
        return factor * n

    return times


def _decorated(function: Any) -> Any:
    async def around(n: int) -> Any:
        return await function(n)

    return around


STATEFUL = {
    "decorated without wraps": lambda: _decorated(Times(2).times),
    "closure": lambda: _closure(2),
    "closure in a partial": lambda: functools.partial(_closure(2), n=1),
    "bound method": lambda: Times(2).times,
    "class method": lambda: Times.plain,
    "object": lambda: Times(2),
}


@pytest.mark.parametrize("kind", STATEFUL)
async def test_what_depends_on_more_than_its_arguments_wants_a_template(url: str, kind: str) -> None:
    async with HustleX(url, timeout=PATIENCE) as hx:
        cache = hx.cache("v", int, ttl=QUARTER, timeout=PATIENT)
        with pytest.raises(Misuse, match="needs a key template"):
            cache.cached()(STATEFUL[kind]())
        assert await cache.cached("v:{n}")(STATEFUL[kind]())(n=5) in (5, 10)


def test_a_lambda_wants_a_template(url: str) -> None:
    with BlockingHustleX(url, timeout=PATIENCE) as hx:
        cache = hx.cache("v", int, ttl=QUARTER, timeout=PATIENT)
        with pytest.raises(Misuse, match="a lambda needs a key template"):
            cache.cached()(lambda n: n)
        assert cache.cached("v:{n}")(lambda n: n)(5) == 5


async def test_a_function_may_call_itself(url: str) -> None:
    async with HustleX(url, timeout=PATIENCE) as hx:
        cache = hx.cache("v", int, ttl=QUARTER, timeout=PATIENT)

        @cache.cached()
        async def load(n: int) -> int:
            return 1 if n < 2 else n * await load(n - 1)

        assert await load(3) == 6


async def test_two_functions_have_no_template_in_common(hx: Any) -> None:
    cache = hx.cache("v", int, ttl=QUARTER, timeout=PATIENT)

    @cache.cached("v:{gig}")
    async def price(gig: int) -> int:
        return gig

    with pytest.raises(Misuse, match=r"weight would be served what .*price computed"):

        @cache.cached("v:{it}")
        async def weight(it: int) -> int:
            return 2 * it

    @cache.cached("v:{gig}")
    async def price(gig: int) -> int:  # noqa: F811 - defined anew, as in each request
        return gig

    assert await price(1) == 1
