"""One feed per channel and process: read once, decode once, handed to every local subscriber without waiting for it.

All feeds share the driver's one pub/sub connection, which asks for signs of life and is dialled anew without them.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from functools import partial
from typing import Any

from hustlex.core.follower.aio import heard, keep, turn
from hustlex.core.inbox import Inbox
from hustlex.core.op import AsyncDriver
from hustlex.events import ops
from hustlex.events.cursors import LIMIT, Declared, Item, LiveCursor, ReplayCursor, Sized
from hustlex.events.ops import History
from hustlex.events.types import Position


class Feed:
    """Follows one channel while it has subscribers. started: set when the server confirmed, or when it failed."""

    def __init__(self, driver: AsyncDriver, declared: Declared, name: str) -> None:
        self.inboxes: set[Inbox[Item]] = set()
        self.started = asyncio.Event()
        self.over = self.ended = False
        self.loop = asyncio.get_running_loop()
        self.error: Exception | None = None
        self.cursor = ReplayCursor(declared, name) if declared.retention else LiveCursor(declared, name)
        self._driver = driver
        self._declared = declared
        self._name = name
        self._reads: dict[Position, asyncio.Task[History]] = {}
        # The feed outlives the subscriber that starts it, so it does not inherit that one's context.
        self._task: asyncio.Task[None] | None = asyncio.create_task(self._run(), context=contextvars.Context())

    async def stop(self) -> None:
        """Leave the channel. Errors know the frames that know this feed, and are let go."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        self.error = None

    async def history(self, position: Position) -> History:
        """What came behind a position: asked once, however many want to know it at a time."""
        task = self._reads.get(position)
        if task is None:
            op = ops.read(self._declared.template, self._name, position.offset, LIMIT + 1)
            task = self._reads[position] = asyncio.create_task(self._driver.run(op), context=contextvars.Context())
            task.add_done_callback(lambda done: self._has_read(position, done))
        return await asyncio.shield(task)

    def _has_read(self, position: Position, done: asyncio.Task[History]) -> None:
        del self._reads[position]
        if not done.cancelled():
            done.exception()  # everybody who asked may have left

    async def _run(self) -> None:
        try:
            template = self._declared.template
            async with self._driver.subscribe(template.key(self._name), sharded=template.sharded) as frames:
                if isinstance(self.cursor, ReplayCursor):
                    self._take_all(await turn(self._driver, self.cursor.step()))
                self.started.set()
                await keep(self._driver, self.cursor, "a channel", self, partial(heard, frames), self._take)
        except StopAsyncIteration:
            pass
        except Exception as error:  # noqa: BLE001 - raised to every subscriber
            self.error = error
        finally:
            self.over = True
            self.started.set()
            for inbox in self.inboxes:
                inbox.close(self.error)

    def _take_all(self, items: Any) -> None:
        for item in items:
            self._take(item)

    def _take(self, sized: Sized) -> None:
        item, size = sized
        for inbox in self.inboxes:
            inbox.put(item, size)

    async def pause(self, seconds: float) -> None:
        """Before a question is asked again."""
        await asyncio.sleep(seconds)

    def ready(self) -> None:
        """Caught up: nobody waits for more than the start."""


class Hub:
    """The feeds of a process: the first subscriber of a name opens its feed, the last one closes it."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver
        self._feeds: dict[tuple[Declared, str], Feed] = {}
        self.gaps: Counter[tuple[str, str]] = Counter()
        """Gaps that subscribers were shown, by channel template ("_several" where nobody can tell) and reason."""

    @property
    def trouble(self) -> str:
        """One sentence while the feeds have no link, else ""."""
        deaf = bool(self._feeds) and self._driver.deaf
        return f"{len(self._feeds)} channels hear nothing: their link to the server is broken" if deaf else ""

    def followed(self) -> dict[str, tuple[int, int]]:
        """By channel template: how many channels are followed, and how many subscribers they have."""
        found: dict[str, tuple[int, int]] = {}
        for (declared, _), feed in [*self._feeds.items()]:
            channels, subscribers = found.get(declared.template.text, (0, 0))
            found[declared.template.text] = channels + 1, subscribers + len(feed.inboxes)
        return found

    async def join(self, declared: Declared, name: str, inbox: Inbox[Item]) -> Feed:
        """Deliver to the inbox from here on. Raises what the driver raised when the server cannot be followed."""
        key = declared, name
        feed = self._feeds.get(key)
        if feed is None or feed.over or feed.loop is not asyncio.get_running_loop():
            feed = self._feeds[key] = Feed(self._driver, declared, name)
        feed.inboxes.add(inbox)
        try:
            await feed.started.wait()
            if feed.error:
                raise feed.error
        except BaseException:
            await self.leave(declared, name, inbox)
            raise
        return feed

    async def leave(self, declared: Declared, name: str, inbox: Inbox[Item]) -> None:
        """Stop delivering. Idempotent."""
        feed = self._feeds.get((declared, name))
        if feed is None or inbox not in feed.inboxes:
            return
        feed.inboxes.discard(inbox)
        if not feed.inboxes:
            del self._feeds[declared, name]
            await feed.stop()
