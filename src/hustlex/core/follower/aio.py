"""The one loop that follows logs."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Generic, TypeVar

from hustlex.core.background.aio import Background
from hustlex.core.follower.log import Ask, Listen, Log
from hustlex.core.op import AsyncDriver, Message
from hustlex.errors import Error

T = TypeVar("T")

_LONGEST_PAUSE_S = 2.0
_log = logging.getLogger("hustlex")


Hearing = Callable[[float | None], Awaitable[Message | None]]
"""Waits for the next message of a log's channel, no longer than this many seconds: None then."""


async def turn(driver: AsyncDriver, step: Ask[T] | Listen[T], hearing: Hearing | None = None) -> Iterable[T]:
    """Take one step of a log; what it brought."""
    if isinstance(step, Listen):
        assert hearing is not None, "this log listens"
        return step.hear(await hearing(step.seconds))
    if step.hold_s:
        return step.learn(await driver.block(step.op, step.hold_s))
    return step.learn(await driver.run(step.op))


# async only: a thread has nobody that listens for it
async def listened(driver: AsyncDriver, log: Log[T], channel: str) -> AsyncGenerator[T, None]:
    """The items of a log that is announced on a channel, until it is over. Raises what the driver raises."""
    async with driver.subscribe(channel) as frames:
        hearing = partial(heard, frames)
        while not log.over:
            for item in await turn(driver, log.step(), hearing):
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
    """Follows a log in the background until closed, whatever breaks.

    Begins when it is started, again in a child process and in the next event loop.
    """

    def __init__(self, driver: AsyncDriver, log: Log[T], name: str) -> None:
        self._driver = driver
        self._log = log
        self._name = name
        self._work = Background(self._follow, f"hustlex {name}", log.lost)

    def start(self) -> None:
        """Begin, unless it runs or was closed."""
        self._work.start()

    async def wait(self, seconds: float) -> bool:
        """Until caught up for the first time; False when that took longer."""
        return await self._work.wait(seconds)

    async def _follow(self) -> None:
        await keep(self._driver, self._log, self._name, self._work)

    async def close(self, seconds: float) -> None:
        """Stop following; waits for the question that is under way, no longer than this. Idempotent."""
        await self._work.close(seconds)


async def keep(
    driver: AsyncDriver,
    log: Log[T],
    name: str,
    work: Background,
    hearing: Hearing | None = None,
    take: Callable[[T], object] = bool,
) -> None:
    """Step by step until the log is over, the work is ended, or nothing can be heard any more; each item is taken.

    A question that fails is asked again, soon at first, then every two seconds at the latest.
    """
    failures = 0
    while not (work.ended or log.over):
        step = log.step()
        try:
            for item in await turn(driver, step, hearing):
                take(item)
        except Error as error:
            if isinstance(step, Listen):
                raise
            _log.warning("following %s is interrupted: %s", name, error)
            log.lost()
            await work.pause(random.random() * min(_LONGEST_PAUSE_S, 0.05 * 2 ** min(failures, 10)))
            failures += 1
        else:
            if log.caught_up:
                failures = 0
                work.ready()
