"""What time it is on the server, as this process believes."""

from __future__ import annotations

import time

from hustlex.core.time import Clock


def system_clock() -> int:
    """This machine's clock, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class ServerTime:
    """What this process believes the server's clock says. Only used to name keys; the server decides by its own."""

    def __init__(self, local: Clock) -> None:
        self._local = local
        self._ahead_ms = 0

    def guess(self) -> int:
        """Milliseconds since 1970."""
        return self._local() + self._ahead_ms

    def learn(self, now_ms: int) -> None:
        """Take over the server's time."""
        self._ahead_ms = now_ms - self._local()
