"""What a handler raises to say what becomes of its task."""

from __future__ import annotations


class SkipRetry(Exception):
    """Archive the task now, whatever retries it has left. ``raise SkipRetry("no such user")``, or ``from`` it."""


class RevokeTask(Exception):
    """Drop the task: it counts as processed, nothing is kept, its lock is free."""


def is_or_follows(error: BaseException, kind: type[Exception]) -> bool:
    """Whether an error is of this kind, or was raised ``from`` one that is."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, kind):
            return True
        found = found.__cause__
    return False
