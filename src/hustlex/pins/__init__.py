"""Transaction PINs with lockout."""

from hustlex.core.context import Context
from hustlex.pins.api import Pins
from hustlex.pins.options import PinOptions
from hustlex.pins.types import (
    HashResult,
    PinHashed,
    PinLocked,
    PinMalformed,
    PinOk,
    PinWeak,
    PinWrong,
    VerifyResult,
    Weakness,
)

__all__ = [
    "Context",
    "HashResult",
    "PinHashed",
    "PinLocked",
    "PinMalformed",
    "PinOk",
    "PinOptions",
    "PinWeak",
    "PinWrong",
    "Pins",
    "VerifyResult",
    "Weakness",
]
