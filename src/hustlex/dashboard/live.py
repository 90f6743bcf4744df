"""Open pages: each is rendered anew once for all who look at it, and sent when it has changed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from hustlex.core.logs import logger
from hustlex.errors import Error

_MOST_STREAMS = 200
_MOST_TOPICS = 50
_MOST_OF_ONE = 4
"""Streams of one browser: it opens six connections to a host, and pages need the others."""
_HEARTBEAT_S = 15.0
LIFE_S = 45 * 60.0
"""Of a stream, about, where its request can be judged again."""
_RETRY_MS = 3000
_log = logger("hustlex.dashboard")

Render = Callable[[], Awaitable[str]]
StillMay = Callable[[], Awaitable[bool]]
RECHECK_S = 60.0


class Topic:
    """One page with its parameters, as people of one operator see it. ``watch`` while at least one looks."""

    def __init__(self, render: Render, tick_s: float) -> None:
        self._render = render
        self._tick_s = tick_s
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.viewers = 0
        self.latest = ""
        self.trouble = ""
        self.version = 0

    def join(self) -> None:
        """One more looks."""
        self.viewers += 1
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._go())

    def leave(self) -> None:
        """One less; the last one ends the work."""
        self.viewers -= 1
        if not self.viewers and self._task is not None:
            self._task.cancel()
            self._task = None

    def wake(self) -> None:
        """Let all who wait look up, whether or not there is something new."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def change(self, seen: int, seconds: float) -> bool:
        """Wait until there is a version after ``seen``, at most this long."""
        changed = self._changed
        if self.version == seen:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), seconds)
        return self.version != seen

    async def _go(self) -> None:
        while True:
            await asyncio.sleep(self._tick_s * random.uniform(0.9, 1.1))
            html, trouble = self.latest, ""
            try:
                html = await self._render()
            except Error as error:
                trouble = error.message
            except Exception:  # noqa: BLE001 - the page stays as it was, and says so
                _log.exception("a page could not be rendered")
                trouble = "this page could not be rendered; see the log"
            if (html, trouble) != (self.latest, self.trouble):
                self.latest, self.trouble, self.version = html, trouble, self.version + 1
                self.wake()


class Stream:
    """One look at a topic. ``displaced`` when the same browser opened too many others after it."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.displaced = False

    def displace(self) -> None:
        """End it, with a word to the page."""
        self.displaced = True
        self.topic.wake()


class LiveHub:
    """All open pages of one process."""

    def __init__(self) -> None:
        self._topics: dict[Any, Topic] = {}
        self._of: dict[Any, list[Stream]] = {}
        self._streams = 0

    @property
    def full(self) -> bool:
        """Whether another stream would be one too many: the page then stays as it is until it is loaded anew."""
        return self._streams >= _MOST_STREAMS

    async def stream(
        self,
        key: Any,
        render: Render,
        tick_s: float,
        still_may: StillMay,
        browser: Any = None,
        *,
        life_s: float = LIFE_S,
    ) -> AsyncIterator[bytes]:
        """Server-sent events: ``main`` with the page's inner HTML when it changed, ``trouble`` with a sentence.

        Ends after about ``life_s`` seconds, with ``again``, for a page to open another; within a minute when the person
        may look no longer; and at once, with ``elsewhere``, when the same browser opened four others since.
        """
        topic = self._topics.get(key)
        if topic is None:
            if len(self._topics) >= _MOST_TOPICS:
                yield _event("bye", "too many different pages are open")
                return
            topic = self._topics[key] = Topic(render, tick_s)
        stream = self._begin(topic, browser)
        try:
            yield f"retry: {_RETRY_MS}\n\n".encode()
            async for event in _events(stream, still_may, life_s):
                yield event
        finally:
            self._end(stream, browser)
            if not topic.viewers:
                self._topics.pop(key, None)

    def _begin(self, topic: Topic, browser: Any) -> Stream:
        self._streams += 1
        topic.join()
        stream, others = Stream(topic), self._of.setdefault(browser, [])
        others.append(stream)
        for oldest in others[:-_MOST_OF_ONE]:
            oldest.displace()
        return stream

    def _end(self, stream: Stream, browser: Any) -> None:
        self._streams -= 1
        stream.topic.leave()
        self._of[browser].remove(stream)
        if not self._of[browser]:
            del self._of[browser]


async def _events(stream: Stream, still_may: StillMay, life_s: float) -> AsyncIterator[bytes]:
    topic = stream.topic
    end = time.monotonic() + life_s * random.uniform(0.8, 1.2)
    asked, seen = time.monotonic(), topic.version
    while time.monotonic() < end:
        left = min(_HEARTBEAT_S, end - time.monotonic())
        changed = not stream.displaced and await topic.change(seen, left)
        if stream.displaced:
            yield _event("elsewhere", "live in another tab")
            return
        if not changed:
            yield b": alive\n\n"
        elif topic.trouble:
            yield _event("trouble", topic.trouble)
        else:
            yield _event("main", topic.latest)
        seen = topic.version
        if time.monotonic() - asked > RECHECK_S:
            asked = time.monotonic()
            if not await still_may():
                yield _event("bye", "you may not look at this any longer")
                return
    yield _event("again", "")


def _event(name: str, data: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return f"event: {name}\n{lines}\n".encode()
