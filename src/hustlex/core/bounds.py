"""Ranges that settings must keep to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from hustlex.core import check
from hustlex.errors import BadOption, Misuse

Value = TypeVar("Value", int, timedelta)


def within(name: str, value: Value, low: Value, high: Value) -> None:
    """Raises BadOption for a value of another type, below ``low`` or above ``high``."""
    with options():
        if isinstance(low, timedelta):
            check.duration(name, value, low, high)
        else:
            check.whole(name, value, low, high)


def several(name: str, durations: object) -> None:
    """Raises BadOption unless there is at least one duration, and each of a millisecond or more."""
    if not isinstance(durations, tuple | list) or not durations:
        raise BadOption(f"{name} must name at least one duration", hint="pass a tuple of timedeltas")
    for duration in durations:
        within(f"each of {name}", duration, timedelta(milliseconds=1), check.LONGEST_DURATION)


@contextmanager
def options() -> Iterator[None]:
    """What is refused inside the block is an option of a room: BadOption, a Misuse and a ConfigurationError."""
    try:
        yield
    except Misuse as refused:
        raise refused if isinstance(refused, BadOption) else BadOption(refused.message, hint=refused.hint) from None
