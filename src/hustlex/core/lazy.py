"""An attribute that is made when it is asked for first, as ``functools.cached_property`` of Python 3.12.

That of 3.11 holds a lock meanwhile: a process that was forked at that moment waits for it for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class lazy(Generic[T]):  # noqa: N801 - used as a decorator
    """Two threads that ask at once may make two; both get the one that was there first."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, owner: None, _: type) -> Self: ...
    @overload
    def __get__(self, owner: object, _: type) -> T: ...
    def __get__(self, owner: object | None, _: type) -> T | Self:
        if owner is None:
            return self
        made: T = vars(owner).setdefault(self._name, self._make(owner))
        return made
