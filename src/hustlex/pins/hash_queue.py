"""How many may wait for a hash."""

from __future__ import annotations

import threading

from hustlex.errors import Overloaded


class HashQueue:
    """Counts those who are being served or wait."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._length = 0
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Raises Overloaded when the line is as long as it may be."""
        with self._lock:
            if self._length >= self._longest:
                raise Overloaded("too many PINs are being checked", hint="raise PinOptions.threads, or add a process")
            self._length += 1

    def leave(self) -> None:
        """One is served."""
        with self._lock:
            self._length -= 1
