"""The slow hash beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from hustlex.pins.hash_queue import HashQueue

T = TypeVar("T")


class HashPool:
    """So many hashes at once, in threads of its own: hashing lets go of the interpreter's lock."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pins")
        self._line = HashQueue(threads + waiting)

    async def run(self, work: Callable[[], T]) -> T:
        """Raises Overloaded when too many wait. A cancelled caller's place is free once its work is done."""
        self._line.enter()
        done = self._pool.submit(work)
        done.add_done_callback(lambda _: self._line.leave())
        return await asyncio.wrap_future(done)
