"""Which queues this client has registered lately."""

from __future__ import annotations

import time
from collections.abc import Callable

_REFRESH_S = 10.0


class KnownQueues:
    """Queues written to ``asynq:queues`` in the last ten seconds.

    Go remembers for ever; after a queue is deleted in a dashboard its tasks then run unseen.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until: dict[str, float] = {}

    def missing(self, queue: str) -> bool:
        """Whether the queue must be registered (again)."""
        return self._until.get(queue, 0.0) <= self._monotonic()

    def note(self, queue: str) -> None:
        """The queue was just registered."""
        self._until[queue] = self._monotonic() + _REFRESH_S
