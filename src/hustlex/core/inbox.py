"""The bounded queue of one subscriber: it is filled without waiting, and what had no room is shown as a gap."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """``async for item in inbox``. The oldest items make room; what ``gap`` makes of their number comes in their place.

    most: items beside the gap. most_bytes: of their sizes; 0 for any. Cancelling a reader loses nothing.
    """

    def __init__(self, gap: Callable[[int], T], most: int, most_bytes: int = 0) -> None:
        self._gap = gap
        self._most = most
        self._most_bytes = most_bytes
        self._items: deque[tuple[T, int]] | _Newest[T] = deque()
        self._bytes = 0
        self._dropped = 0
        self._closed = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def put(self, item: T, size: int = 0) -> None:
        """Append without waiting. size: bytes on the wire."""
        self._items.append((item, size))
        self._bytes += size
        while len(self._items) > self._most or self._bytes > self._most_bytes > 0:
            self._bytes -= self._items.popleft()[1]
            self._dropped += 1
        if self._waiter is not None:
            self._wake()

    def close(self, error: Exception | None = None) -> None:
        """Nothing more will come. error: why, raised to the reader once the queue is empty."""
        self._closed, self._error = True, error
        if self._waiter is not None:
            self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not (self._dropped or self._items or self._closed):
            if self._waiter is None or self._waiter.done():
                self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            return self._gap(dropped)
        if self._items:
            item, size = self._items.popleft()
            self._bytes -= size
            return item
        raise self._error or StopAsyncIteration


class _Newest(Generic[T]):
    """A queue of items and sizes that holds one of each key, in the order of their last change."""

    def __init__(self, key: Callable[[T], Hashable]) -> None:
        self._key = key
        self._held: dict[Hashable, tuple[T, int]] = {}

    def take(self, item: T) -> int:
        """Remove what an item replaces; its size."""
        return self._held.pop(self._key(item), (item, 0))[1]

    def append(self, sized: tuple[T, int]) -> None:
        self._held[self._key(sized[0])] = sized

    def popleft(self) -> tuple[T, int]:
        return self._held.pop(next(iter(self._held)))

    def __len__(self) -> int:
        return len(self._held)


class Conflated(Inbox[T]):
    """Of the items that wait, the newest of each key alone."""

    def __init__(self, gap: Callable[[int], T], most: int, most_bytes: int, key: Callable[[T], Any]) -> None:
        super().__init__(gap, most, most_bytes)
        self._newest = self._items = _Newest(key)

    def put(self, item: T, size: int = 0) -> None:
        """Append without waiting, in place of the one with its key."""
        self._bytes -= self._newest.take(item)
        super().put(item, size)
