"""The one loop that follows streams: in order, whatever breaks, and to the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from hustlex.core.background.aio import Background
from hustlex.core.follower import Ask, Listen
from hustlex.core.follower import blocking as threads
from hustlex.core.follower.aio import Follower, heard, keep, listened
from hustlex.core.op import Effect, Message, Op, command
from hustlex.errors import Unavailable

LOOK: Op[int] = command("test.look", Effect.READ, "GET", "k", decode=int)


class Numbers:
    """A log of numbers up to ``last``: reads one at a time, and listens when there is no more for now."""

    def __init__(self, last: int, there: int) -> None:
        self.last, self.there, self.read = last, there, 0
        self.breaks = 0
        self.hold_s = 0.0

    @property
    def over(self) -> bool:
        return self.read >= self.last

    @property
    def caught_up(self) -> bool:
        return self.read >= self.there

    def step(self) -> Ask[int] | Listen[int]:
        return Listen(self._hear, 5.0) if self.caught_up else Ask(LOOK, self._learn, self.hold_s)

    def _learn(self, answer: int) -> Iterable[int]:
        self.read += 1
        return [self.read]

    def _hear(self, message: Message | None) -> Iterable[int]:
        self.there += 1
        return ()

    def lost(self) -> None:
        self.breaks += 1


class Hand:
    """A driver that answers, but for as many calls as it ``refuses``; its channel says what is put in ``frames``."""

    def __init__(self, refuses: int = 0) -> None:
        self.refuses = refuses
        self.held: list[float] = []
        self.frames: asyncio.Queue[Message | Exception] = asyncio.Queue()
        self.left = 0

    async def run(self, op: Op[Any]) -> Any:
        return self._answer()

    async def block(self, op: Op[Any], seconds: float) -> Any:
        self.held.append(seconds)
        return self._answer()

    def _answer(self) -> int:
        if self.refuses:
            self.refuses -= 1
            raise Unavailable("away")
        return 1

    @asynccontextmanager
    async def subscribe(self, *channels: str) -> AsyncIterator[AsyncIterator[Message]]:
        try:
            yield self  # type: ignore[misc]
        finally:
            self.left += 1

    async def __anext__(self) -> Message:
        item = await self.frames.get()
        if isinstance(item, Exception):
            raise item
        return item


async def test_items_come_in_order_with_the_channel_left_at_the_end() -> None:
    driver, log = Hand(), Numbers(last=3, there=2)
    driver.frames.put_nowait(Message("c", b""))
    assert [item async for item in listened(driver, log, "c")] == [1, 2, 3]  # type: ignore[arg-type]
    assert driver.left == 1


async def test_a_question_that_fails_is_raised_to_who_follows_and_asked_again_in_the_background() -> None:
    with pytest.raises(Unavailable):
        [item async for item in listened(Hand(1), Numbers(1, 1), "c")]  # type: ignore[arg-type]
    log, taken = Numbers(last=2, there=2), list[int]()
    work = Background(lambda: keep(Hand(2), log, "test", work, None, taken.append), "test")  # type: ignore[arg-type]
    work.start()
    assert await work.wait(60)
    await work.close(5)
    assert (taken, log.breaks) == ([1, 2], 2)


async def test_who_hears_nothing_any_more_is_told_why() -> None:
    driver, log = Hand(), Numbers(last=2, there=1)
    work = Background(lambda: asyncio.sleep(0), "test")
    driver.frames.put_nowait(Unavailable("closed"))
    with pytest.raises(Unavailable):
        await keep(driver, log, "test", work, partial(heard, driver))  # type: ignore[arg-type]


async def test_a_held_question_waits_on_the_server() -> None:
    driver, log = Hand(), Numbers(last=2, there=2)
    log.hold_s = 0.5
    follower = Follower(driver, log, "test")  # type: ignore[arg-type]
    follower.start()
    assert await follower.wait(60)
    await follower.close(5)
    assert driver.held == [0.5, 0.5]


def test_a_thread_follows_alike() -> None:
    class Plain:
        refuses = 1

        def run(self, op: Op[Any]) -> int:
            if self.refuses:
                self.refuses -= 1
                raise Unavailable("away")
            return 1

    log = Numbers(last=3, there=3)
    follower: Any = threads.Follower(Plain(), log, "test")  # type: ignore[arg-type]
    follower.start()
    assert follower.wait(60)
    follower.close(5)
    assert (log.read, log.breaks) == (3, 1)
