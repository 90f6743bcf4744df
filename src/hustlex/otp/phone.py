"""A phone number as typed becomes one E.164, so that every spelling of a number shares one budget."""

from __future__ import annotations

import msgspec

from hustlex.core.extras import require
from hustlex.otp.rules import Numbers
from hustlex.otp.types import DestinationBlocked, InvalidPhone

_LONGEST = 40


class Phone(msgspec.Struct, frozen=True):
    """number: E.164, as ``+2348031234567``. country: its region. known: whether a range of today's data holds it."""

    number: str
    country: str
    known: bool = True


def normalise(text: str, numbers: Numbers) -> Phone | InvalidPhone | DestinationBlocked:
    """A phone as typed, at most 40 characters, or why it gets no code."""
    if len(text) > _LONGEST:
        return InvalidPhone()
    # The data of all countries weighs: only who sends codes to phones loads it.
    try:
        from hustlex.otp import numbering
    except ModuleNotFoundError:
        require("a code for a phone", "otp", "phonenumbers")
        raise

    return numbering.read(text, numbers)
