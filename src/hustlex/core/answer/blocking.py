"""In blocking code the answer is the answer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from hustlex.core.answer.told import about, wrapped
from hustlex.core.telemetry import DoorWatch, Hook, Telemetry

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


def told(room: T, hook: Hook | None) -> T:
    """The room; each of its doors is told to a hook that listens for them."""
    return wrapped(room, hook, _telling)


def _telling(ask: Callable[..., Any], name: str, hook: Telemetry) -> Callable[..., Any]:
    @functools.wraps(ask)
    def door(*args: Any, **options: Any) -> Any:
        with DoorWatch(hook, name, about(name, args)) as watch:
            watch.answer = answer = ask(*args, **options)
        return answer

    return door
