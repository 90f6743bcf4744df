"""What a handler raises to say what becomes of its task."""

from __future__ import annotations

from collections.abc import Callable

_LONGEST_CHAIN = 100
"""Causes can be made to go in a circle."""
_cause: Callable[[BaseException], BaseException | None] = BaseException.__dict__["__cause__"].__get__


class SkipRetry(Exception):
    """Archive the task now, whatever retries it has left. ``raise SkipRetry("no such user")``, or ``from`` it."""


class RevokeTask(Exception):
    """Drop the task: it counts as processed, nothing is kept, its lock is free."""


def is_or_follows(error: BaseException, kind: type[Exception]) -> bool:
    """Whether an error is of this kind, or was raised ``from`` one that is."""
    found: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if found is None:
            return False
        if issubclass(type(found), kind):
            return True
        found = _cause(found)
    return False
