"""What callers pass: one text for equal ids, one sentence for what cannot be meant, never an interpreter's error."""

from __future__ import annotations

import enum
import math
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.core import check
from hustlex.errors import Misuse


class Plan(enum.Enum):
    GOLD = "gold"
    FIRST = 1
    NOTHING = None


class Level(str, enum.Enum):  # noqa: UP042 - what users write
    GOLD = "gold"

    def __str__(self) -> str:
        return "something else"


class Rank(enum.IntEnum):
    FIRST = 1


class Loud(str):
    def __str__(self) -> str:
        return self.upper()


class LoudUUID(uuid.UUID):
    def __str__(self) -> str:
        return super().__str__().upper()


@pytest.mark.parametrize("same", ["gold", Plan.GOLD, Level.GOLD, Loud("gold")])
def test_equal_ids_are_one_text(same: Any) -> None:
    found = check.identity("user_id", same)
    assert found == "gold"
    assert type(found) is str


def test_numbers_and_uuids_are_the_text_they_are_written_as() -> None:
    some = uuid.UUID(int=7)
    assert [check.identity("id", one) for one in (1, Rank.FIRST, Plan.FIRST, "1")] == ["1"] * 4
    assert check.identity("id", some) == check.identity("id", LoudUUID(int=7)) == str(some)
    assert check.identity("id", "Ọlá Ade") == "Ọlá Ade"


UNFIT: list[Any] = [None, True, b"x", bytearray(b"x"), 1.5, Decimal(7), [], {}, (), Plan.NOTHING]
UNFIT += ["", " ", "\xa0", "a\u2028b", "\u2029a", 2**64 + 1, "a\x00b", "a\nb", "\x9f", "\ud800", "x" * 256]


@pytest.mark.parametrize("odd", UNFIT, ids=repr)
def test_what_is_no_id_is_refused_without_being_shown(odd: Any) -> None:
    with pytest.raises(Misuse) as refused:
        check.identity("user_id", odd)
    assert "user_id" in str(refused.value)
    assert refused.value.hint


CHECKS: list[Callable[[Any], object]] = [
    lambda value: check.identity("it", value),
    lambda value: check.text("it", value),
    lambda value: check.whole("it", value, 1, 100),
    lambda value: check.number("it", value),
    lambda value: check.duration("it", value),
    lambda value: check.moment("it", value),
    lambda value: check.flag("it", value),
    lambda value: check.one_of("it", value, {"a", "b"}),
    lambda value: check.function("it", value),
    lambda value: check.instance("it", value, str, int),
]

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**6000),
    st.floats(),
    st.text(),
    st.text(st.characters(categories=["Cs", "Cc"])),
    st.binary(),
    st.timedeltas(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.lists(st.integers()),
    st.dictionaries(st.text(), st.integers()),
    st.sampled_from([Plan.GOLD, Level.GOLD, Rank.FIRST, int, len, math.nan, math.inf, timedelta.max, object()]),
)


@pytest.mark.parametrize("judge", CHECKS, ids=range(len(CHECKS)))
@given(value=anything)
def test_a_check_gives_the_value_or_one_sentence(judge: Callable[[Any], object], value: Any) -> None:
    try:
        judge(value)
    except Misuse as fault:
        refused = fault
    else:
        return
    assert str(refused).startswith("it ")
    assert len(str(refused)) < 300
    assert refused.hint


def test_a_number_is_never_a_boolean_nor_a_fraction() -> None:
    for odd in (True, 1.5, 1.0, "1", None):
        with pytest.raises(Misuse, match="cost cannot be"):
            check.whole("cost", odd)
    for odd in (True, math.nan, math.inf, -1.0, "1"):
        with pytest.raises(Misuse, match="share cannot be"):
            check.number("share", odd)


def test_a_refusal_says_what_to_pass() -> None:
    with pytest.raises(Misuse) as refused:
        check.duration("process_in", 5)
    assert str(refused.value) == "process_in cannot be 5 (pass a timedelta, as timedelta(seconds=30))"
    with pytest.raises(Misuse, match="timeout cannot be 999999999 days"):
        check.duration("timeout", timedelta.max)
    with pytest.raises(Misuse, match="give it a time zone"):
        check.moment("process_at", datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_text_is_never_shown() -> None:
    for judge in CHECKS[2:-1]:
        with pytest.raises(Misuse) as refused:
            judge("+2348031234567\x00")
        assert "803" not in str(refused.value)
