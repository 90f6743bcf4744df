"""Values of a cache: what comes back is what was stored, or it is refused, naming what and never showing it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import uuid
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec
import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, SecretStr, computed_field

from hustlex.cache.codec import ValueCodec
from hustlex.cache.frame import BadFrame, EntryFrame
from hustlex.cache.policy import policy
from hustlex.errors import Misuse

T = TypeVar("T")
POLICY = policy(ttl=dt.timedelta(minutes=1))


class Color(enum.Enum):
    RED = "red"


class Weekday(enum.IntEnum):
    MONDAY = 1


@dataclasses.dataclass
class Point:
    x: Decimal
    y: uuid.UUID
    color: Color


class User(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    id: int
    full_name: str = Field(alias="fullName")
    born: dt.date | None = None


class TwoNames(BaseModel):
    """Read by one name, written by another."""

    id: int = Field(validation_alias="userId", serialization_alias="ID")


class Page(BaseModel, Generic[T]):
    items: list[T]
    more: bool = False

    @computed_field  # type: ignore[prop-decorator]
    @property
    def count(self) -> int:
        return len(self.items)


class Ids(RootModel[list[int]]):
    pass


class Account(BaseModel):
    password: SecretStr


class Hidden(BaseModel):
    id: int
    token: str = Field(exclude=True)


class Base(BaseModel):
    id: int


class Wider(Base):
    extra: int


class Row(msgspec.Struct):
    ratio: float | None
    tags: set[str] = set()


UID = uuid.UUID(int=7)
USER = User(id=1, fullName="Ada", born=dt.date(1815, 12, 10))

GOOD: list[tuple[Any, Any]] = [
    (User, USER),
    (list[User], [USER]),
    (dict[str, User], {"a": USER}),
    (User | None, USER),
    (TwoNames, TwoNames(userId=5)),
    (Page[User], Page[User](items=[USER])),
    (Page[int], Page[int](items=[1, 2])),
    (Ids, Ids([1, 2])),
    (Point, Point(Decimal("1.10"), UID, Color.RED)),
    (Decimal, Decimal("0.1000")),
    (uuid.UUID, UID),
    (Color, Color.RED),
    (Weekday, Weekday.MONDAY),
    (dict[uuid.UUID, int], {UID: 1}),
    (Row, Row(0.5, {"b", "a"})),
    (dt.datetime, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
    (bytes, b"\x00\xff"),
    (tuple[int, ...], (1, 2)),
    (float, 0.1),
    (Any, {"a": [1, None, "x"]}),
]

BAD: list[tuple[Any, Any, str]] = [
    (float, math.nan, "the value is nan"),
    (float | None, math.inf, "the value is inf"),
    (Row, Row(math.nan), r"the value\.ratio is nan"),
    (list[Row], [Row(1.0), Row(-math.inf)], r"the value\[1\]\.ratio is -inf"),
    (dict[str, float | None], {"price": math.nan}, r"the value\.price is nan"),
    (Account, Account(password=SecretStr("hunter2")), r"the value\.password would not come back"),
    (Hidden, Hidden(id=1, token="hunter2"), "the value"),
    (Base, Wider(id=1, extra=2), "the value"),
    (int, "hunter2", "not of the cache's type"),
    (User, {"id": "hunter2"}, "not of the cache's type"),
    (str, "\ud800", "half a character"),
    (Any, object(), "cannot be cached"),
    (Any, {"a": lambda: 1}, "cannot be cached"),
]


@pytest.mark.parametrize(("kind", "value"), GOOD)
def test_a_value_comes_back_as_it_was(kind: Any, value: Any) -> None:
    codec: ValueCodec[Any] = ValueCodec(kind, POLICY)
    copied, body = codec.write(value)
    assert copied == value
    assert type(copied) is type(value)
    assert copied is not value or not isinstance(value, BaseModel)
    opened = codec.open(codec.pack(body, 1_000, 1))
    assert isinstance(opened, EntryFrame)
    reading = codec.read(opened)
    assert not isinstance(reading, BadFrame)
    assert reading.value == value


@pytest.mark.parametrize(("kind", "value", "words"), BAD)
def test_what_would_not_come_back_is_refused_and_not_shown(kind: Any, value: Any, words: str) -> None:
    with pytest.raises(Misuse, match=words) as caught:
        ValueCodec(kind, POLICY).write(value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [(dict[bool, int], {True: 1}), (dict[tuple[int, int], int], {(1, 2): 3}), (dict[None, int], {None: 1})],
)
def test_a_dict_with_keys_that_json_lacks_is_refused_for_them(kind: Any, value: Any) -> None:
    with pytest.raises(Misuse, match="keys of a dict must be text or numbers"):
        ValueCodec(kind, POLICY).write(value)


@pytest.mark.parametrize("kind", [object(), type("Plain", (), {}), type[int], User | Ids, "Missing"])
def test_a_type_that_cannot_be_cached_is_refused_when_it_is_declared(kind: Any) -> None:
    with pytest.raises(Misuse, match="this type cannot be cached"):
        ValueCodec(kind, POLICY)


def test_a_changed_model_has_another_fingerprint() -> None:
    class Changed(BaseModel):
        id: int
        full_name: str = Field(alias="fullName")

    Changed.__name__ = Changed.__qualname__ = "User"
    assert ValueCodec(User, POLICY).fingerprint == ValueCodec(User, POLICY).fingerprint
    assert ValueCodec(User, POLICY).fingerprint != ValueCodec(Changed, POLICY).fingerprint
