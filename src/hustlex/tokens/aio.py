"""The feed followed by a task."""

from __future__ import annotations

import asyncio
import logging
import random

from hustlex.core.op import AsyncDriver
from hustlex.errors import Error
from hustlex.tokens.revocation_log import BLOCK_S, LogReader

_LONGEST_PAUSE_S = 2.0
_log = logging.getLogger("hustlex.tokens")


class LogFollower:
    """Starts at the first bounded check and follows until closed, whatever breaks."""

    def __init__(self, driver: AsyncDriver, reader: LogReader) -> None:
        self._driver = driver
        self._reader = reader
        self._task: asyncio.Task[None] | None = None
        self._first = asyncio.Event()
        self._closed = False

    def start(self) -> None:
        """Begin, once, unless closed. In a running event loop."""
        task = self._task
        if self._closed or (task and not task.done() and task.get_loop() is asyncio.get_running_loop()):
            return
        if task is not None:  # it ended with its event loop, or is a parent process'
            self._reader.lost()
            self._first = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._follow(), name="hustlex revocations")

    async def wait(self, seconds: float) -> bool:
        """Until caught up for the first time; False when that took longer."""
        try:
            async with asyncio.timeout(seconds):
                await self._first.wait()
        except TimeoutError:
            return False
        return True

    async def _follow(self) -> None:
        failures = 0
        while True:
            try:
                await self._driver.run(self._reader.attend())
                while True:
                    await self._driver.block(self._reader.next(), BLOCK_S)
                    await self._driver.run(self._reader.attend())
                    failures = 0
                    if self._reader.warm:
                        self._first.set()
            except Error as error:
                _log.warning("the feed of revocations is interrupted: %s", error)
                self._reader.lost()
                await asyncio.sleep(random.random() * min(_LONGEST_PAUSE_S, 0.05 * 2 ** min(failures, 10)))
                failures += 1

    async def close(self) -> None:
        """Stop following. Idempotent."""
        self._closed = True
        if self._task is not None and self._task.get_loop() is asyncio.get_running_loop():
            self._task.cancel()
            await asyncio.wait((self._task,))
