"""Which queues this client has registered lately, and what time it is at their servers."""

from __future__ import annotations

import time
from collections.abc import Callable

_REFRESH_S = 10.0
_SOON_S = 0.1
"""A time that took longer to arrive is not believed."""
_NEVER = (float("-inf"), 0.0)


class KnownQueues:
    """Queues written to ``asynq:queues`` in the last ten seconds, with the time that their servers told then.

    Go remembers for ever; after a queue is deleted in a dashboard its tasks then run unseen.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self._known: dict[str, tuple[float, float]] = {}

    def time_ns(self, queue: str) -> int | None:
        """Unix time of the queue's server, 0 when it is not known. None: the queue must be registered (again)."""
        until, ahead = self._known.get(queue, _NEVER)
        now = self.monotonic()
        if until <= now:
            return None
        return int((now + ahead) * 1e9) if ahead else 0

    def missing(self, queue: str) -> bool:
        """Whether the queue must be registered (again)."""
        return self.time_ns(queue) is None

    def note(self, queue: str, asked: float = 0.0, server_s: float = 0.0) -> None:
        """The queue was just registered. server_s: the Unix time of its server, asked for at this moment of ours."""
        now = self.monotonic()
        ahead = server_s - now if server_s and now - asked <= _SOON_S else 0.0
        self._known[queue] = now + _REFRESH_S, ahead
