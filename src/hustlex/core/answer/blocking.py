"""In blocking code the answer is the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeVar

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
