"""What libphonenumber's data says of a number. The one module that imports it."""

from __future__ import annotations

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

from hustlex.otp.phone import Phone
from hustlex.otp.rules import Numbers
from hustlex.otp.types import DestinationBlocked, InvalidPhone

_OPTION = "OtpOptions.numbers.countries"
_TEXTABLE = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})


def read(text: str, numbers: Numbers) -> Phone | InvalidPhone | DestinationBlocked:
    """A phone as typed, or why it gets no code."""
    parsed = _parse(text, numbers.region)
    if parsed is None:
        return InvalidPhone()
    if not phonenumbers.is_valid_number(parsed):
        return _possible(parsed, numbers)
    region = phonenumbers.region_code_for_number(parsed) or ""
    if phonenumbers.country_code_for_region(region) != parsed.country_code:
        return DestinationBlocked()
    if phonenumbers.number_type(parsed) not in _TEXTABLE:
        return DestinationBlocked(region)
    return Phone(_e164(parsed), region) if _open(region, numbers) else DestinationBlocked(region, _OPTION)


def _open(region: str, numbers: Numbers) -> bool:
    return numbers.countries is None or region in numbers.countries


def _possible(parsed: PhoneNumber, numbers: Numbers) -> Phone | InvalidPhone:
    """A number of the right length in no known range: served where that is allowed and its country is."""
    region = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    if not numbers.accept_possible or not _open(region, numbers):
        return InvalidPhone()
    return Phone(_e164(parsed), region, known=False)


def _e164(parsed: PhoneNumber) -> str:
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


def _parse(text: str, region: str) -> PhoneNumber | None:
    try:
        parsed = phonenumbers.parse(text, region)
    except NumberParseException:
        return None
    # An extension would not show in E.164, yet providers dial it: a second spelling of one number.
    if parsed.extension or not phonenumbers.is_possible_number(parsed):
        return None
    return parsed
