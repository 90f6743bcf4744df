"""In blocking code the answer is the answer."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def later(answer: T) -> T:
    """The answer."""
    return answer


def now(answer: T) -> T:
    """The answer."""
    return answer


def answering(room: T) -> T:
    """The room as it is."""
    return room
