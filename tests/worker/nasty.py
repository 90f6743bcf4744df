"""What a handler may raise at its worst: things that end a generator, a task or a process, and errors that cannot say
what they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Ends(BaseException):
    """Not an Exception."""


class Mute(Exception):
    """Its words raise."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Exits(Exception):
    """Its words end the process."""

    def __str__(self) -> str:
        raise SystemExit(3)

    __repr__ = __str__


class Wordless(Exception):
    """Its words are none."""

    def __str__(self) -> str:
        return 7  # type: ignore[return-value]  # noqa: PLE0307

    __repr__ = __str__


class Impostor(Exception):
    """It says that it is something else, or cannot be asked."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("no class")

    @property
    def __cause__(self) -> Any:
        raise RuntimeError("no cause")


class _Named(type):
    @property
    def __name__(cls) -> str:
        raise RuntimeError("no name")


class Nameless(Exception, metaclass=_Named):
    """Its type's name raises."""


class Unpicklable(Exception):
    """It cannot be sent to another process, nor read back."""

    def __reduce__(self) -> Any:
        raise SystemExit(4)


def circular() -> Exception:
    """Two errors that are each other's cause."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


ENDS: dict[str, Callable[[], BaseException]] = {
    "GeneratorExit": GeneratorExit,
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "CancelledError": asyncio.CancelledError,
    "StopIteration": lambda: StopIteration(1),
    "StopAsyncIteration": StopAsyncIteration,
    "BaseException": lambda: BaseException("all of them"),
    "Ends": lambda: Ends("now"),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("some", [GeneratorExit(), ValueError("x")]),
}
UNSPEAKABLE: dict[str, Callable[[], BaseException]] = {
    "Mute": Mute,
    "Exits": Exits,
    "Wordless": Wordless,
    "Impostor": lambda: Impostor("it"),
    "Nameless": lambda: Nameless("it"),
    "Unpicklable": lambda: Unpicklable("it"),
    "half": lambda: ValueError("half \udc80 of it"),
    "nul": lambda: ValueError("a\0b\x1b[31m"),
    "long": lambda: ValueError("x" * 3_000_000),
    "circle": circular,
    "within": lambda: ExceptionGroup("some", [Mute(), ValueError("\udc80")]),
}
ALL = ENDS | UNSPEAKABLE


def throw(kind: str) -> Any:
    """Raise it."""
    fault = ALL[kind]()
    raise fault
