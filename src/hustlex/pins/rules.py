"""What may be a PIN. Pure."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from hustlex.core import check
from hustlex.pins.options import PinOptions
from hustlex.pins.types import Weakness

_LONGEST_INPUT = 32


def read_pin(text: str, options: PinOptions) -> str | None:
    """The ASCII digits of a PIN as typed, digits of any script read; None when it cannot be one."""
    if len(check.typed("pin", text)) > _LONGEST_INPUT:
        return None
    digits = [unicodedata.decimal(sign, None) for sign in text.strip()]
    if None in digits or not options.shortest <= len(digits) <= options.longest:
        return None
    return "".join(str(digit) for digit in digits)


def weakness(pin: str, options: PinOptions) -> Weakness | None:
    """Why a PIN must not be chosen, or None."""
    if pin in options.forbidden:
        return Weakness.COMMON
    if any(pin == (pin[:part] * len(pin))[: len(pin)] for part in range(1, len(pin) // 2 + 1)):
        return Weakness.REPEAT
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    return Weakness.SEQUENCE if len(steps) == 1 else None
