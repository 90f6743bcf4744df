"""One feed per channel and process: read once, decode once, handed to every local subscriber without waiting for it."""

from __future__ import annotations

import asyncio
import contextvars
from functools import partial
from typing import Generic, TypeVar

from hustlex.core.inbox import Inbox
from hustlex.core.op import AsyncDriver
from hustlex.events.names import ChannelTemplate
from hustlex.events.types import Gap, Message
from hustlex.events.wire import EventCodec

T = TypeVar("T")

_MOST_MESSAGES = 1_000
_MOST_BYTES = 1024 * 1024


def inbox() -> Inbox[Message[T] | Gap]:
    """Of one subscriber: 1,000 messages and 1 MiB."""
    return Inbox(partial(Gap, "dropped"), _MOST_MESSAGES, _MOST_BYTES)


class Feed(Generic[T]):
    """Follows one channel while it has subscribers. started: set when the server confirmed, or when it failed."""

    def __init__(self, driver: AsyncDriver, key: str, name: str, codec: EventCodec[T]) -> None:
        self.inboxes: set[Inbox[Message[T] | Gap]] = set()
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
                    for inbox in self.inboxes:
                        inbox.put(item, len(frame.data))
        except Exception as error:  # noqa: BLE001 - raised to every subscriber
            self.error = error
        finally:
            self.over = True
            self.started.set()
            for inbox in self.inboxes:
                inbox.close(self.error)


class Hub(Generic[T]):
    """The feeds of one channel family: the first subscriber of a name opens its feed, the last one closes it."""

    def __init__(self, driver: AsyncDriver, template: ChannelTemplate, codec: EventCodec[T]) -> None:
        self._driver = driver
        self._template = template
        self._codec = codec
        self._feeds: dict[str, Feed[T]] = {}

    async def join(self, name: str, inbox: Inbox[Message[T] | Gap]) -> None:
        """Deliver to the inbox from here on. Raises what the driver raised when the server cannot be followed."""
        feed = self._feeds.get(name)
        if feed is None or feed.over or feed.loop is not asyncio.get_running_loop():
            feed = self._feeds[name] = Feed(self._driver, self._template.key(name), name, self._codec)
        feed.inboxes.add(inbox)
        try:
            await feed.started.wait()
            if feed.error:
                raise feed.error
        except BaseException:
            await self.leave(name, inbox)
            raise

    async def leave(self, name: str, inbox: Inbox[Message[T] | Gap]) -> None:
        """Stop delivering. Idempotent."""
        for feed in [feed for key, feed in self._feeds.items() if key == name and inbox in feed.inboxes]:
            feed.inboxes.discard(inbox)
            if not feed.inboxes:
                del self._feeds[name]
                await feed.stop()
