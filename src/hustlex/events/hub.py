"""One feed per channel and process: read once, decode once, handed to every local subscriber without waiting for it."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from typing import Generic, TypeVar

from hustlex.core.op import AsyncDriver
from hustlex.events.names import ChannelTemplate
from hustlex.events.types import Gap, Message
from hustlex.events.wire import EventCodec

T = TypeVar("T")

_MOST_MESSAGES = 1_000
_MOST_BYTES = 1024 * 1024


class EventQueue(Generic[T]):
    """The bounded queue of one subscriber: 1,000 messages and 1 MiB. The oldest make room, and a Gap says so."""

    def __init__(self) -> None:
        self._items: deque[tuple[Message[T] | Gap, int]] = deque()
        self._bytes = 0
        self._dropped = 0
        self._closed = False
        self._error: Exception | None = None
        self._wake = asyncio.Event()

    def put(self, item: Message[T] | Gap, size: int) -> None:
        """Append without waiting. size: bytes on the wire."""
        self._items.append((item, size))
        self._bytes += size
        while len(self._items) > _MOST_MESSAGES or self._bytes > _MOST_BYTES:
            self._bytes -= self._items.popleft()[1]
            self._dropped += 1
        self._wake.set()

    def close(self, error: Exception | None) -> None:
        """Nothing more will come. error: why, raised to the subscriber once the queue is empty."""
        self._closed, self._error = True, error
        self._wake.set()

    async def take(self) -> Message[T] | Gap | None:
        """The next item; None at the end. Cancelling it loses nothing."""
        while not (self._dropped or self._items or self._closed):
            self._wake.clear()
            await self._wake.wait()
        if self._dropped:
            gap = Gap("dropped", self._dropped)
            self._dropped = 0
            return gap
        if self._items:
            item, size = self._items.popleft()
            self._bytes -= size
            return item
        if self._error:
            raise self._error
        return None


class Feed(Generic[T]):
    """Follows one channel while it has subscribers. started: set when the server confirmed, or when it failed."""

    def __init__(self, driver: AsyncDriver, key: str, name: str, codec: EventCodec[T]) -> None:
        self.mailboxes: set[EventQueue[T]] = set()
        self.started = asyncio.Event()
        self.over = False
        self.loop = asyncio.get_running_loop()
        self.error: Exception | None = None
        # The feed outlives the subscriber that starts it, so it does not inherit that one's context.
        self._task = asyncio.create_task(self._run(driver, key, name, codec), context=contextvars.Context())

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self, driver: AsyncDriver, key: str, name: str, codec: EventCodec[T]) -> None:
        try:
            async with driver.subscribe(key) as frames:
                self.started.set()
                async for frame in frames:
                    item = Gap("reconnected") if frame.gap else codec.decode(name, frame.data)
                    for mailbox in self.mailboxes:
                        mailbox.put(item, len(frame.data))
        except Exception as error:  # noqa: BLE001 - raised to every subscriber
            self.error = error
        finally:
            self.over = True
            self.started.set()
            for mailbox in self.mailboxes:
                mailbox.close(self.error)


class Hub(Generic[T]):
    """The feeds of one channel family: the first subscriber of a name opens its feed, the last one closes it."""

    def __init__(self, driver: AsyncDriver, template: ChannelTemplate, codec: EventCodec[T]) -> None:
        self._driver = driver
        self._template = template
        self._codec = codec
        self._feeds: dict[str, Feed[T]] = {}

    async def join(self, name: str, mailbox: EventQueue[T]) -> None:
        """Deliver to the mailbox from here on. Raises what the driver raised when the server cannot be followed."""
        feed = self._feeds.get(name)
        if feed is None or feed.over or feed.loop is not asyncio.get_running_loop():
            feed = self._feeds[name] = Feed(self._driver, self._template.key(name), name, self._codec)
        feed.mailboxes.add(mailbox)
        try:
            await feed.started.wait()
            if feed.error:
                raise feed.error
        except BaseException:
            await self.leave(name, mailbox)
            raise

    async def leave(self, name: str, mailbox: EventQueue[T]) -> None:
        """Stop delivering. Idempotent."""
        for feed in [feed for key, feed in self._feeds.items() if key == name and mailbox in feed.mailboxes]:
            feed.mailboxes.discard(mailbox)
            if not feed.mailboxes:
                del self._feeds[name]
                await feed.stop()
