"""What a child process must not share with its parent: it is told to whoever asked, in the child, after each fork."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """An object with locks, sockets or tasks."""

    def forked(self) -> None:
        """Called in the child. What the parent had open is the parent's: forget it, and close nothing."""


_here = [os.getpid()]
"""Asked for once and after each fork: it is a call of the kernel, and looked at after each step of a handler."""
_watched: weakref.WeakSet[Forked] = weakref.WeakSet()


def watch(owner: Forked) -> None:
    """Tell it of every fork, as long as it lives."""
    _watched.add(owner)


def _notify_watched() -> None:
    _here[0] = os.getpid()
    for owner in list(_watched):
        owner.forked()


def end_copy(own: int, fault: BaseException | None = None, *, waits: bool = False) -> None:
    """End this process at once when it is not ``own``: a copy that the application's code forked and came back in. It
    has our connections and our event loop's files, and would go on as a second worker.

    Its exit code: 0, or 1 when it raised this or waits for what never comes, or what it wished for.
    """
    if _here[0] != own:
        os._exit(1 if waits else 0 if fault is None else _code_of(fault))


def _code_of(fault: BaseException) -> int:
    exits = fault.__cause__ if type(fault) is RuntimeError else fault
    wish = exits.code if issubclass(type(exits), SystemExit) else 1  # type: ignore[union-attr]
    return wish & 0xFF if isinstance(wish, int) else int(wish is not None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_notify_watched)
