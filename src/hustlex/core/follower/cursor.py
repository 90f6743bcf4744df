"""What is followed. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from hustlex.core.op import Message, Op

T = TypeVar("T")


class Ask(msgspec.Struct, Generic[T], frozen=True):
    """A step: run this operation, and learn from its answer."""

    op: Op[Any]
    learn: Callable[[Any], Iterable[T]]
    hold_s: float = 0.0
    """How long the server holds the question until there is news; 0: it answers at once."""


class Listen(msgspec.Struct, Generic[T], frozen=True):
    """A step: wait for what is published on the stream's channel. None is heard when that takes longer."""

    hear: Callable[[Message | None], Iterable[T]]
    seconds: float | None = None
    """None: for as long as it takes."""


class Cursor(Protocol[T]):
    """Where one reader stands in a stream of items."""

    @property
    def over(self) -> bool:
        """Nothing more will come."""
        ...

    @property
    def caught_up(self) -> bool:
        """Whether all that is known to be there was read."""
        ...

    def step(self) -> Ask[T] | Listen[T]:
        """What is to be done next; asked again when it was."""
        ...

    def lost(self) -> None:
        """A question was not answered: the link broke, and another server may answer the next one."""
        ...
