"""One number, one budget: every spelling becomes the same E.164, and what cannot or may not get a code is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.errors import Misuse
from hustlex.otp import DestinationBlocked, InvalidPhone, Numbers
from hustlex.otp.phone import Phone
from hustlex.otp.phone import normalise as read

NIGERIA = Numbers(countries=frozenset({"NG"}))
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
    ],
)
def test_what_gets_no_messages_is_blocked_everywhere(typed: str) -> None:
    for numbers in (NIGERIA, Numbers()):
        blocked = normalise(typed, numbers)
        assert isinstance(blocked, DestinationBlocked)
        assert blocked.option == "", "no setting opens it"


@pytest.mark.parametrize(
    ("typed", "country", "number"),
    [
        ("+44 7400 123456", "GB", "+447400123456"),
        ("+44 7911 123456", "GG", "+447911123456"),  # Guernsey, although it starts like Britain
        ("+1 202 555 0143", "US", "+12025550143"),
        ("+91 98765 43210", "IN", "+919876543210"),
        ("+49 1512 3456789", "DE", "+4915123456789"),
        ("0803 123 4567", "NG", "+2348031234567"),
    ],
)
def test_every_country_is_open_unless_restricted(typed: str, country: str, number: str) -> None:
    assert read(typed, Numbers()) == Phone(number, country)
    if country != "NG":
        assert normalise(typed, NIGERIA) == DestinationBlocked(country, "OtpOptions.numbers.countries")


def test_the_region_reads_numbers_without_a_country() -> None:
    assert normalise("07400 123456", Numbers(region="GB")) == "+447400123456"
    assert normalise("(202) 555-0143", Numbers(region="US")) == "+12025550143"
    assert isinstance(normalise("07400 123456", Numbers()), InvalidPhone)


@pytest.mark.parametrize("region", ["", "ng", "NGA", "+1", None, 7])
def test_a_region_is_two_capital_letters(region: Any) -> None:
    with pytest.raises(Misuse, match="two capital letters"):
        Numbers(region=region)
    with pytest.raises(Misuse, match="two capital letters"):
        Numbers(countries=frozenset({region}))


def test_a_country_is_opened_by_name() -> None:
    both = Numbers(countries=frozenset({"NG", "GB"}))
    assert normalise("+44 7400 123456", both) == "+447400123456"
    assert isinstance(normalise("+44 70 1234 5678", both), DestinationBlocked)
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
