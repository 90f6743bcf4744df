"""What a handler raises to say what becomes of its task."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar, cast

from hustlex.core import check

_SHORTEST = timedelta(milliseconds=1)
_LONGEST_CHAIN = 100
"""Causes can be made to go in a circle."""
_cause: Callable[[BaseException], BaseException | None] = BaseException.__dict__["__cause__"].__get__


class SkipRetry(Exception):
    """Archive the task now, whatever retries it has left. ``raise SkipRetry("no such user")``, or ``from`` it."""


class RevokeTask(Exception):
    """Drop the task: it counts as processed, nothing is kept, its lock is free."""


class Snooze(Exception):
    """Put the task off: it was not time for it. Burns no retry, counts as nothing; as often as the handler likes.

    ``raise Snooze(timedelta(minutes=5))``. in_: at least 1 ms. Its message and limits stay as they are; a uniqueness
    lock that was taken for a time does not follow. Raises Misuse.
    """

    def __init__(self, in_: timedelta) -> None:
        super().__init__(in_)
        self.in_ = check.duration("in_ of Snooze", in_, _SHORTEST)

    def __str__(self) -> str:
        return f"put off for {self.in_}"


class Retry(Exception):
    """A failed attempt whose next one starts after ``in_``, whatever the rules say. Burns a retry.

    ``raise Retry("the bank is busy", in_=timedelta(minutes=5))``, or ``from`` an error. Without retries left the task
    is archived. Raises Misuse.
    """

    def __init__(self, why: str = "", *, in_: timedelta) -> None:
        super().__init__(*([why] if why else []))
        self.in_ = check.duration("in_ of Retry", in_)

    def __reduce__(self) -> tuple[Callable[..., Retry], tuple[object, ...]]:
        return _retry, (self.in_, *self.args)


def _retry(in_: timedelta, why: str = "") -> Retry:
    return Retry(why, in_=in_)


KindT = TypeVar("KindT", bound=Exception)


def found(error: BaseException, kind: type[KindT]) -> KindT | None:
    """The error itself, or the one it was raised ``from``, of this kind."""
    known: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if known is None:
            return None
        if issubclass(type(known), kind):
            return cast("KindT", known)
        known = _cause(known)
    return None


def is_or_follows(error: BaseException, kind: type[Exception]) -> bool:
    """Whether an error is of this kind, or was raised ``from`` one that is."""
    return found(error, kind) is not None
