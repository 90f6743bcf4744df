"""The slow hash beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from hustlex.core import forks
from hustlex.pins.hash_queue import HashQueue

T = TypeVar("T")


class HashPool:
    """So many hashes at once, in threads of its own: hashing lets go of the interpreter's lock."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._threads = threads
        self._places = threads + waiting
        self.forked()
        forks.watch(self)

    def forked(self) -> None:
        """See ``core.forks``: a child process has none of its parent's threads."""
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="pins")
        self._line = HashQueue(self._places)

    async def run(self, work: Callable[[], T]) -> T:
        """Raises Overloaded when too many wait. A cancelled caller's place is free once its work is done."""
        line = self._line
        line.enter()
        done = self._pool.submit(work)
        done.add_done_callback(lambda _: line.leave())
        return await asyncio.wrap_future(done)
