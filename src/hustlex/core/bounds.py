"""Ranges that settings must keep to."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

from hustlex.core import check
from hustlex.errors import BadOption, Misuse

Value = TypeVar("Value", int, timedelta)


def within(name: str, value: Value, low: Value, high: Value) -> None:
    """Raises BadOption for a value of another type, below ``low`` or above ``high``."""
    try:
        if isinstance(low, timedelta):
            check.duration(name, value, low, high)
        else:
            check.whole(name, value, low, high)
    except Misuse as refused:
        raise BadOption(refused.message, hint=refused.hint) from None
