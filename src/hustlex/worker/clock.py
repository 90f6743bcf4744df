"""A worker's time: the server's for what is written, the monotonic clock for what it may still do."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from hustlex.core.time import Clock

_TICK_S = 0.001
"""The server tells whole milliseconds."""


class WorkerClock:
    """given: 0 in production; tests hand in a fixed time.

    Between heartbeats the server's time is the monotonic clock plus an offset, so a wrong wall clock does no harm.
    """

    def __init__(self, given: Clock) -> None:
        self._given = given
        self._offset_s = time.time() - time.monotonic()
        self._day_number = -1
        self._day = ""

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return self._given() or int((time.monotonic() + self._offset_s) * 1000)

    def for_script(self) -> int:
        """What scripts are told: 0 (their server's own time), or the given time."""
        return self._given()

    def learn(self, server_ms: int, asked: float, answered: float) -> None:
        """Take the server's time from a reply. asked, answered: ``monotonic`` around the call.

        It was read some time between the two, and a call that opened a connection took long: what is thought already
        changes only as far as it cannot be true.
        """
        server_s = server_ms / 1000
        self._offset_s = min(max(self._offset_s, server_s - answered), server_s + _TICK_S - asked)

    def day(self) -> str:
        """Today in UTC, as the counters' names have it."""
        number = self.now_ms() // 86_400_000
        if number != self._day_number:
            self._day_number = number
            self._day = datetime.fromtimestamp(number * 86_400, UTC).date().isoformat()
        return self._day


monotonic = time.monotonic
