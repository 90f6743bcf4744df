"""What the pins room answers. Every expected outcome is a value; none has a truth value."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import ClassVar

from hustlex.core.outcome import Failure, Outcome, Secretive


class Weakness(enum.StrEnum):
    """Why a PIN is too easy to guess."""

    REPEAT = "repeat"
    """One digit, or a part of up to half its length, over and over: 7777, 1212, 123123."""
    SEQUENCE = "sequence"
    """Up or down in even steps: 1234, 9876, 2468."""
    COMMON = "common"
    """Among the ones that are often chosen."""


class PinHashed(Secretive, frozen=True, eq=False):
    """verifier: for the user's row in the database; worth nothing without the secret, and for no other user."""

    verifier: str
    hidden: ClassVar[frozenset[str]] = frozenset({"verifier"})


class PinWeak(Failure, frozen=True):
    """Choose another one."""

    why: Weakness


class PinOk(Outcome, frozen=True):
    """The PIN is right.

    rehash: the stored verifier is weaker than the options ask; store ``hash(user_id, pin)`` in its place.
    ctx: SHA-256, hex, of what the PIN was entered for, to be kept beside it; "" without one.
    """

    rehash: bool
    ctx: str = ""


class PinWrong(Failure, frozen=True):
    """Not the PIN. left: attempts until the lock, 1 or more."""

    left: int


class PinLocked(Failure, frozen=True):
    """Too many wrong attempts; right or wrong is not told. retry_after: rest of the lock."""

    retry_after: timedelta


class PinMalformed(Failure, frozen=True):
    """Not so many digits as a PIN has; no attempt was counted."""


HashResult = PinHashed | PinWeak | PinMalformed
VerifyResult = PinOk | PinWrong | PinLocked | PinMalformed
