"""A hook that keeps what it was told, and holds that each call began once and ended once, in this order."""

from __future__ import annotations

import threading
from collections import Counter

from hustlex.core.telemetry import CallEnd, CallStart, End


class Calls:
    """started, ended: in the order in which they were told; safe to share by threads."""

    def __init__(self) -> None:
        self.started: list[CallStart] = []
        self.ended: list[CallEnd] = []
        self._lock = threading.Lock()

    def __call__(self, start: CallStart) -> End:
        with self._lock:
            self.started.append(start)
        ends: list[CallEnd] = []

        def end(call: CallEnd) -> None:
            assert not ends, f"{call.op} ended twice"
            assert (call.ops, call.memory) == (start.ops, start.memory)
            assert call.seconds >= 0
            ends.append(call)
            with self._lock:
                self.ended.append(call)

        return end

    @property
    def open(self) -> Counter[str]:
        """What has begun and not ended."""
        return Counter(call.op for call in self.started) - Counter(call.op for call in self.ended)

    @property
    def sent(self) -> list[str]:
        """Each operation for which the server was asked."""
        return [op for call in self.started if not call.memory for op in call.ops]

    @property
    def remembered(self) -> list[str]:
        """What was answered without it."""
        return [call.op for call in self.started if call.memory]

    def clear(self) -> None:
        """Forget what was told."""
        with self._lock:
            self.started.clear()
            self.ended.clear()
