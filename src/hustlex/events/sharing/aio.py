"""Publishes that are awaited while others are on their way share a call.

Lesson of the profile (64 publishers): of what a publish costs the server, half is the way into a script and out of it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterable
from functools import partial

from hustlex.core import promise
from hustlex.core.answer.aio import Answer, later, once
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock
from hustlex.events import ops
from hustlex.events.cursors import new_epoch
from hustlex.events.ops import Publishing
from hustlex.events.types import Position

Caller = asyncio.Future[Position]
Asked = list[tuple[Publishing, Caller]]

_MOST = 32
"""Messages of one call: while half of 64 callers are read, the server works for the others."""
_FEW = 8
"""As many as this are on their way by themselves, each at once: company costs a turn of the loop, a future, a task."""


class SharedPublishes:
    """Of one family of channels. Messages are sent in the order in which they are awaited, shared or not.

    They go by themselves where a hook is to be told of each, and on a cluster, whose channels lie in many slots.
    """

    def __init__(self, driver: AsyncDriver, clock: Clock) -> None:
        self._driver = driver
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: Asked = []
        self._busy = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def answer(self, publishing: Publishing) -> Answer[Position]:
        """The position that this message gets."""
        if (self._busy > _FEW or self._asked) and self._driver.hook is None and self._driver.crosses_slots:
            return once(self._join, publishing)
        return later(self._alone(publishing))

    async def _alone(self, publishing: Publishing) -> Position:
        if self._asked:
            self.flush()
        self._busy += 1
        try:
            return await self._driver.run(ops.append(publishing, new_epoch(), self._clock()))
        finally:
            self._busy -= 1

    def _join(self, publishing: Publishing) -> Caller:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the one before has ended, and whoever asked in it
            self._loop, self._asked, self._busy = loop, [], 0
        caller: Caller = loop.create_future()
        if not self._asked:
            loop.call_soon(self.flush)
        self._asked.append((publishing, caller))
        if len(self._asked) >= _MOST:
            self.flush()
        return caller

    def flush(self) -> None:
        """Send what waits for company, so that nothing overtakes it."""
        if not self._asked:
            return
        asked, self._asked = self._asked, []
        if self._loop is asyncio.get_running_loop() and (waiting := [one for one in asked if not one[1].done()]):
            self._send(waiting)

    def _send(self, asked: Asked) -> None:
        self._busy += len(asked)
        op = ops.append_several([publishing for publishing, _ in asked], new_epoch(), self._clock())
        try:
            sent = self._driver.send(op, at_once=len(asked) >= _MOST)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the callers'
            self._hand_out(asked, [error] * len(asked))
            return
        # Whoever asked first has a context of their own, which is none of the others'.
        task = asyncio.get_running_loop().create_task(self._deliver(asked, sent), context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, asked))

    async def _deliver(self, asked: Asked, sent: asyncio.Future[list[Position | None]]) -> None:
        answers: list[Position | None] | list[Exception]
        try:
            answers = await sent
        except Exception as error:  # noqa: BLE001 - as above
            answers = [error] * len(asked)
        again = self._hand_out(asked, answers)
        if again:
            await asyncio.gather(*(self._try_alone(*one) for one in again))

    def _hand_out(self, asked: Asked, answers: Iterable[Position | Exception | None]) -> Asked:
        """Those that are to be told by themselves why nothing was done."""
        again: Asked = []
        for (publishing, caller), answer in zip(asked, answers, strict=True):
            if answer is not None:
                promise.answer(caller, answer)
            elif not caller.done():
                again.append((publishing, caller))
        # Behind all who were woken just now: what they publish next goes together, too.
        asyncio.get_running_loop().call_soon(self._answered, len(asked))
        return again

    def _answered(self, number: int) -> None:
        self._busy = max(0, self._busy - number)

    async def _try_alone(self, publishing: Publishing, caller: Caller) -> None:
        try:
            position = await self._driver.run(ops.append(publishing, new_epoch(), self._clock()))
        except Exception as error:  # noqa: BLE001 - as above
            promise.answer(caller, error)
        else:
            promise.answer(caller, position)

    def _ended(self, asked: Asked, delivering: asyncio.Task[None]) -> None:
        self._tasks.discard(delivering)
        if delivering.cancelled() or delivering.exception() is not None:  # the loop ends, perhaps before it began
            for _, caller in asked:
                caller.cancel()
