"""The slow hash in the caller's thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from hustlex.pins.hash_queue import HashQueue

T = TypeVar("T")


class HashPool:
    """So many hashes at once; other threads wait their turn."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._places = threading.BoundedSemaphore(threads)
        self._line = HashQueue(threads + waiting)

    def run(self, work: Callable[[], T]) -> T:
        """Raises Overloaded when too many wait."""
        self._line.enter()
        try:
            with self._places:
                return work()
        finally:
            self._line.leave()
