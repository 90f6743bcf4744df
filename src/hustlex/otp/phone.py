"""Phone numbers to E.164, so that every spelling of a number shares one budget. libphonenumber's own data."""

from __future__ import annotations

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

from hustlex.otp.rules import Numbers
from hustlex.otp.types import DestinationBlocked, InvalidPhone

_LONGEST = 40
_TEXTABLE = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})


def normalise(text: str, numbers: Numbers) -> str | InvalidPhone | DestinationBlocked:
    """A phone as typed, in E.164 (``+2348031234567``), or why it gets no code. At most 40 characters."""
    parsed = _parse(text, numbers.region)
    if parsed is None:
        return InvalidPhone()
    if phonenumbers.region_code_for_number(parsed) not in numbers.countries:
        return DestinationBlocked()
    if phonenumbers.number_type(parsed) not in _TEXTABLE:
        return DestinationBlocked()
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


def _parse(text: str, region: str) -> PhoneNumber | None:
    if len(text) > _LONGEST:
        return None
    try:
        parsed = phonenumbers.parse(text, region)
    except NumberParseException:
        return None
    # An extension would not show in E.164, yet providers dial it: a second spelling of one number.
    if parsed.extension or not phonenumbers.is_possible_number(parsed) or not phonenumbers.is_valid_number(parsed):
        return None
    return parsed
