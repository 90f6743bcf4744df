"""The bounded queue of one subscriber: it is filled without waiting, and what had no room is shown as a gap."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """``async for item in inbox``. The oldest items make room; what ``gap`` makes of their number comes in their place.

    most: items beside the gap. most_bytes: of their sizes; 0 for any. Cancelling a reader loses nothing.
    """

    def __init__(self, gap: Callable[[int], T], most: int, most_bytes: int = 0) -> None:
        self._gap = gap
        self._most = most
        self._most_bytes = most_bytes
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._dropped = 0
        self._closed = False
        self._error: Exception | None = None
        self._wake = asyncio.Event()

    def put(self, item: T, size: int = 0) -> None:
        """Append without waiting. size: bytes on the wire."""
        self._items.append((item, size))
        self._bytes += size
        while len(self._items) > self._most or self._bytes > self._most_bytes > 0:
            self._bytes -= self._items.popleft()[1]
            self._dropped += 1
        self._wake.set()

    def close(self, error: Exception | None = None) -> None:
        """Nothing more will come. error: why, raised to the reader once the queue is empty."""
        self._closed, self._error = True, error
        self._wake.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not (self._dropped or self._items or self._closed):
            self._wake.clear()
            await self._wake.wait()
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            return self._gap(dropped)
        if self._items:
            item, size = self._items.popleft()
            self._bytes -= size
            return item
        raise self._error or StopAsyncIteration
