"""What a search answers."""

from __future__ import annotations

import msgspec

from hustlex.jobs.inspect.types import TaskInfo
from hustlex.jobs.types import State


class UnreadTask(msgspec.Struct, frozen=True):
    """A task that may be one of those sought, and was not looked into: its message is large, or cannot be decoded."""

    id: str
    queue: str
    state: State
    size: int
    """Bytes of its message."""


class FoundTasks(msgspec.Struct, frozen=True):
    """One page of a search."""

    tasks: tuple[TaskInfo, ...]
    unread: tuple[UnreadTask, ...]
    cursor: str
    """Where the next page begins; "" when everything was looked at."""
    looked_at: int
    """Tasks of which this page tells."""
    queues_left: int
    """Queues that no page has come to yet."""
