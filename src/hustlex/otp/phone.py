"""Phone numbers to E.164, so that every spelling of a number shares one budget. libphonenumber's own data."""

from __future__ import annotations

import msgspec
import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

from hustlex.otp.rules import Numbers
from hustlex.otp.types import DestinationBlocked, InvalidPhone

_LONGEST = 40
_TEXTABLE = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})


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
    if phonenumbers.number_type(parsed) not in _TEXTABLE:
        return DestinationBlocked()
    return Phone(_e164(parsed), region)


def _possible(parsed: PhoneNumber, numbers: Numbers) -> Phone | InvalidPhone:
    """A number of the right length in no known range: served where that is allowed and its country is."""
    region = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    if not numbers.accept_possible or region not in numbers.countries:
        return InvalidPhone()
    return Phone(_e164(parsed), region, known=False)


def _e164(parsed: PhoneNumber) -> str:
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


def _parse(text: str, region: str) -> PhoneNumber | None:
    if len(text) > _LONGEST:
        return None
    try:
        parsed = phonenumbers.parse(text, region)
    except NumberParseException:
        return None
    # An extension would not show in E.164, yet providers dial it: a second spelling of one number.
    if parsed.extension or not phonenumbers.is_possible_number(parsed):
        return None
    return parsed
