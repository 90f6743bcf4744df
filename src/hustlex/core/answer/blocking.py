"""In blocking code the answer is the answer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from hustlex.core.answer.told import about, wrapped
from hustlex.core.telemetry import DoorWatch, Hook, Telemetry
from hustlex.errors import Misuse

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


class OneStyle:
    """Of a blocking front: ``async with`` says what to write. Type checkers refuse it by themselves."""

    if not TYPE_CHECKING:

        async def __aenter__(self) -> NoReturn:
            raise Misuse("this HustleX blocks", hint="write 'with', or import HustleX from hustlex")

        async def __aexit__(self, *_: object) -> None:
            return None


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
