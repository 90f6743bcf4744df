"""Phone numbers to E.164, so that every spelling of a number shares one budget. libphonenumber's own data."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec

from hustlex.core.extras import require
from hustlex.core.later import Later
from hustlex.otp.rules import Numbers
from hustlex.otp.types import DestinationBlocked, InvalidPhone

if TYPE_CHECKING:
    import phonenumbers
else:
    phonenumbers = Later("phonenumbers")

_LONGEST = 40


class Phone(msgspec.Struct, frozen=True):
    """number: E.164, as ``+2348031234567``. country: its region. known: whether a range of today's data holds it."""

    number: str
    country: str
    known: bool = True


def normalise(text: str, numbers: Numbers) -> Phone | InvalidPhone | DestinationBlocked:
    """A phone as typed, at most 40 characters, or why it gets no code."""
    parsed = _parse(text, numbers.region)
    if parsed is None:
        return InvalidPhone()
    if not phonenumbers.is_valid_number(parsed):
        return _possible(parsed, numbers)
    region = phonenumbers.region_code_for_number(parsed)
    if region not in numbers.countries or phonenumbers.country_code_for_region(region) != parsed.country_code:
        return DestinationBlocked()
    kinds = phonenumbers.PhoneNumberType
    if phonenumbers.number_type(parsed) not in (kinds.MOBILE, kinds.FIXED_LINE_OR_MOBILE):
        return DestinationBlocked()
    return Phone(_e164(parsed), region)


def _possible(parsed: phonenumbers.PhoneNumber, numbers: Numbers) -> Phone | InvalidPhone:
    """A number of the right length in no known range: served where that is allowed and its country is."""
    region = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    if not numbers.accept_possible or region not in numbers.countries:
        return InvalidPhone()
    return Phone(_e164(parsed), region, known=False)


def _e164(parsed: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def _parse(text: str, region: str) -> phonenumbers.PhoneNumber | None:
    if len(text) > _LONGEST:
        return None
    _need()
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    # An extension would not show in E.164, yet providers dial it: a second spelling of one number.
    if parsed.extension or not phonenumbers.is_possible_number(parsed):
        return None
    return parsed


@cache
def _need() -> None:
    require("a code for a phone", "otp", "phonenumbers")
