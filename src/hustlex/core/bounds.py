"""Ranges that settings must keep to."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

from hustlex.errors import ConfigurationError

Value = TypeVar("Value", int, timedelta)


def within(name: str, value: Value, low: Value, high: Value) -> None:
    """Raises ConfigurationError for a value below ``low`` or above ``high``."""
    if not low <= value <= high:
        raise ConfigurationError(f"{name} must be {low} to {high}, not {value}")
