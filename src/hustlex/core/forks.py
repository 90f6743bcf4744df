"""What a child process must not share with its parent: it is told to whoever asked, in the child, after each fork."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """An object with locks, sockets or tasks."""

    def forked(self) -> None:
        """Called in the child. What the parent had open is the parent's: forget it, and close nothing."""


_watched: weakref.WeakSet[Forked] = weakref.WeakSet()


def watch(owner: Forked) -> None:
    """Tell it of every fork, as long as it lives."""
    _watched.add(owner)


def _notify_watched() -> None:
    for owner in list(_watched):
        owner.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_notify_watched)
