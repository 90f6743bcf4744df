"""Results as values: what every room's outcomes have in common."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Any, ClassVar, NoReturn, Self

import msgspec

from hustlex.errors import Unsuccessful


class Outcome(msgspec.Struct, frozen=True):
    """Base of results. ``if result:`` raises TypeError: compare the type, as ``isinstance(result, Verified)``."""

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} has no truth value; compare its type")

    def or_raise(self) -> Self:
        """This result, since it is a success; the others raise Unsuccessful, which carries them as ``outcome``."""
        return self


class Failure(Outcome, frozen=True):
    """Base of results that are no success: ``or_raise`` raises Unsuccessful."""

    def or_raise(self) -> NoReturn:
        """Raises Unsuccessful, which carries this as ``outcome``."""
        raise Unsuccessful(self._words(), self)

    def _words(self) -> str:
        """What the error says: of the fields only numbers, times and words of ours."""
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__)
        shown = ", ".join(f"{name}={value}" for name, value in fields if isinstance(value, int | timedelta | enum.Enum))
        return f"the outcome is {type(self).__name__}({shown})"


class Secretive(Outcome, frozen=True, eq=False):
    """Base of results that carry a secret or a phone: hidden in repr, not picklable, equal only to themselves."""

    hidden: ClassVar[frozenset[str]] = frozenset()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, "..." if name in self.hidden else getattr(self, name)) for name in self.__struct_fields__]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds a secret and cannot be pickled or copied")
