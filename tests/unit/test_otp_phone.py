"""One number, one budget: every spelling becomes the same E.164, and what cannot or may not get a code is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.otp import DestinationBlocked, InvalidPhone, Numbers
from hustlex.otp.phone import Phone
from hustlex.otp.phone import normalise as read

NIGERIA = Numbers()
ARABIC = "٠٨٠٣١٢٣٤٥٦٧"
FULL_WIDTH = "０８０３１２３４５６７"  # noqa: RUF001 - what the test is about


def normalise(typed: str, numbers: Numbers) -> object:
    """The number alone, or the refusal."""
    phone = read(typed, numbers)
    return phone.number if isinstance(phone, Phone) else phone


@pytest.mark.parametrize(
    "typed",
    [
        "08031234567",
        "+2348031234567",
        "+23408031234567",
        "2348031234567",
        "234 803 123 4567",
        "0803-123-4567",
        "tel:+234-803-123-4567",
        "+234 (0) 803 123 4567",
        "009 234 803 123 4567",
        ARABIC,
        FULL_WIDTH,
        "08031234567\u200b",
    ],
)
def test_every_spelling_is_one_number(typed: str) -> None:
    assert normalise(typed, NIGERIA) == "+2348031234567"


@pytest.mark.parametrize(
    "typed",
    [
        "0803 123 456",
        "080312345678",
        "1-800-FLOWERS",
        "",
        " ",
        "abc",
        "+",
        "0" * 41,
        "0803123456" + "7" * 100,
        "+2348031234567;ext=5",
        "08031234567 x5",
        "+234 803 123 4567 ext. 12",
        "\0",
        "\ud800",
    ],
)
def test_what_no_phone_has_is_invalid(typed: str) -> None:
    assert isinstance(normalise(typed, NIGERIA), InvalidPhone)


@pytest.mark.parametrize(
    "typed",
    [
        "07001234567",  # UAN
        "+1 900 555 0123",  # premium
        "+882 16 1234567",  # VoIP, no country
        "+44 70 1234 5678",  # personal number
        "+44 7911 123456",  # Guernsey, although it starts like Britain
        "+1 202 555 0143",
    ],
)
def test_what_gets_no_messages_is_blocked(typed: str) -> None:
    assert isinstance(normalise(typed, NIGERIA), DestinationBlocked)


def test_a_country_is_opened_by_name() -> None:
    both = Numbers(countries=frozenset({"NG", "GB"}))
    assert normalise("+44 7400 123456", NIGERIA) == DestinationBlocked()
    assert normalise("+44 7400 123456", both) == "+447400123456"
    assert normalise("+44 70 1234 5678", both) == DestinationBlocked()
    assert normalise("07400 123456", Numbers(region="GB", countries=frozenset({"GB"}))) == "+447400123456"


@given(st.text(max_size=60))
def test_any_text_has_an_answer(typed: str) -> None:
    assert isinstance(normalise(typed, NIGERIA), str | InvalidPhone | DestinationBlocked)


@given(st.text(alphabet="0123456789+-() ;=extisub.,#*/~٣", max_size=40))
def test_what_passes_is_e164_and_stays_itself(typed: str) -> None:
    number = normalise(typed, NIGERIA)
    if isinstance(number, str):
        assert number.startswith("+234")
        assert normalise(number, NIGERIA) == number
