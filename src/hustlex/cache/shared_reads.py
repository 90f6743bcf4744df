"""Reads of stamps that the callers of one turn of the event loop share.

Each of them began before the read is sent, so what it answers is new enough for all. Whoever asks once it was sent gets
another one: a shared answer is never older than its caller's question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any

from hustlex.cache import ops
from hustlex.core.op import AsyncDriver, Op
from hustlex.errors import Error

Stamp = bytes | Error | None
_Due = dict[tuple[str, int], list[asyncio.Future[Stamp]]]


class SharedReads:
    """Of one front."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver
        self._due: _Due = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sent: set[asyncio.Task[None]] = set()
        self.riding: Callable[[int], tuple[Op[Any], ...]] = _nothing
        """What goes with them, and nobody waits for."""

    def ask(self, key: str, timeout_ms: int) -> asyncio.Future[Stamp]:
        """The stamp under this key. The future is the caller's own, and may be cancelled."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the one before has ended, and whoever asked in it
            self._loop, self._due = loop, {}
        if not self._due:
            self._begin(loop, self._due)
        future: asyncio.Future[Stamp] = loop.create_future()
        self._due.setdefault((key, timeout_ms), []).append(future)
        return future

    def _begin(self, loop: asyncio.AbstractEventLoop, due: _Due) -> None:
        """It is sent in the next turn, before the connection writes what was asked for in this one: all in one write.

        A request by itself waits for one write and one read then; two of each cost it a tenth of its CPU more.
        """
        task = loop.create_task(self._answer(due))
        self._sent.add(task)
        task.add_done_callback(partial(self._ended, due))

    def _ended(self, due: _Due, task: asyncio.Task[None]) -> None:
        self._sent.discard(task)
        if task.cancelled():  # with everything in this loop, perhaps before it began
            self._due = {} if self._due is due else self._due
            for future in chain.from_iterable(due.values()):
                future.cancel()

    async def _answer(self, due: _Due) -> None:
        self._due = {}
        asked: list[Op[Any]] = [ops.stamped(key, timeout_ms) for key, timeout_ms in due]
        patience_ms = min(timeout_ms for _, timeout_ms in due)
        answers: list[Any]
        try:
            answers = [*await self._driver.run_many([*asked, *self.riding(patience_ms)])][: len(due)]
        except Exception as failure:  # noqa: BLE001 - it is each caller's own
            answers = [failure] * len(due)
        for waiting, answer in zip(due.values(), answers, strict=True):
            for future in waiting:
                if future.done():
                    continue
                if isinstance(answer, Exception) and not isinstance(answer, Error):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)


async def answered(asked: Sequence[asyncio.Future[Stamp]]) -> list[Stamp]:
    """All of them, in their order."""
    return [await future for future in asked]


def _nothing(_: int) -> tuple[Op[Any], ...]:
    return ()
