"""The one loop that follows streams."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Generic, Protocol, TypeVar

from hustlex.core.background.aio import Background
from hustlex.core.follower.cursor import Ask, Cursor, Listen
from hustlex.core.logs import logger
from hustlex.core.op import AsyncDriver, Message
from hustlex.errors import Error

T = TypeVar("T")

_LONGEST_PAUSE_S = 2.0
_log = logger("hustlex")


Hearing = Callable[[float | None], Awaitable[Message | None]]
"""Waits for the next message of a stream's channel, no longer than this many seconds: None then."""


async def turn(driver: AsyncDriver, step: Ask[T] | Listen[T], hearing: Hearing | None = None) -> Iterable[T]:
    """Take one step of a cursor; what it brought."""
    if isinstance(step, Listen):
        assert hearing is not None, "this cursor listens"
        return step.hear(await hearing(step.seconds))
    if step.hold_s:
        return step.learn(await driver.block(step.op, step.hold_s))
    return step.learn(await driver.run(step.op))


# async only: a thread has nobody that listens for it
async def listened(driver: AsyncDriver, cursor: Cursor[T], channel: str) -> AsyncGenerator[T, None]:
    """The items of a stream that is announced on a channel, until it is over. Raises what the driver raises."""
    async with driver.subscribe(channel) as frames:
        hearing = partial(heard, frames)
        while not cursor.over:
            for item in await turn(driver, cursor.step(), hearing):
                yield item


async def heard(frames: AsyncIterator[Message], seconds: float | None) -> Message | None:
    """The next message; None after this long. Raises StopAsyncIteration at the end."""
    if seconds is None:
        return await anext(frames)
    try:
        async with asyncio.timeout(seconds):
            return await anext(frames)
    except TimeoutError:
        return None


# end of async only


class Follower(Generic[T]):
    """Follows a stream in the background until closed, whatever breaks.

    Begins when it is started, again in a child process and in the next event loop.
    """

    def __init__(self, driver: AsyncDriver, cursor: Cursor[T], name: str) -> None:
        self._driver = driver
        self._cursor = cursor
        self._name = name
        self._work = Background(self._follow, f"hustlex {name}", cursor.lost)

    def start(self) -> None:
        """Begin, unless it runs or was closed."""
        self._work.start()

    @property
    def begun(self) -> bool:
        """Whether it was started, and not closed."""
        return self._work.begun

    async def wait(self, seconds: float) -> bool:
        """Until caught up for the first time; False when that took longer."""
        return await self._work.wait(seconds)

    async def _follow(self) -> None:
        await keep(self._driver, self._cursor, self._name, self._work)

    async def close(self, seconds: float) -> None:
        """Stop following; waits for the question that is under way, no longer than this. Idempotent."""
        await self._work.close(seconds)


class Work(Protocol):
    """Whose loop it is: a ``Background``, or what serves as one."""

    @property
    def ended(self) -> bool: ...

    async def pause(self, seconds: float) -> None: ...

    def ready(self) -> None: ...


async def keep(
    driver: AsyncDriver,
    cursor: Cursor[T],
    name: str,
    work: Work,
    hearing: Hearing | None = None,
    take: Callable[[T], object] = bool,
) -> None:
    """Step by step until the stream is over, the work is ended, or nothing can be heard any more; each item is taken.

    A question that fails is asked again, soon at first, then every two seconds at the latest.
    """
    failures = 0
    while not (work.ended or cursor.over):
        step = cursor.step()
        try:
            for item in await turn(driver, step, hearing):
                take(item)
        except Error as error:
            if isinstance(step, Listen):
                raise
            _log.warning("following %s is interrupted: %s", name, error)
            cursor.lost()
            await work.pause(random.random() * min(_LONGEST_PAUSE_S, 0.05 * 2 ** min(failures, 10)))
            failures += 1
        else:
            if cursor.caught_up:
                failures = 0
                work.ready()
