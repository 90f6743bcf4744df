"""The feed followed, beside the checks."""

from __future__ import annotations

import logging
import random

from hustlex.core.background.aio import Background
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
        self._work = Background(self._follow, "hustlex revocations", reader.lost)

    def start(self) -> None:
        """Begin, once, unless closed; again in a child process, or in the next event loop."""
        self._work.start()

    async def wait(self, seconds: float) -> bool:
        """Until caught up for the first time; False when that took longer."""
        return await self._work.wait(seconds)

    async def _follow(self) -> None:
        failures = 0
        while not self._work.ended:
            try:
                await self._driver.run(self._reader.attend())
                while not self._work.ended:
                    await self._driver.block(self._reader.next(), BLOCK_S)
                    await self._driver.run(self._reader.attend())
                    failures = 0
                    if self._reader.warm:
                        self._work.ready()
            except Error as error:
                _log.warning("the feed of revocations is interrupted: %s", error)
                self._reader.lost()
                await self._work.pause(random.random() * min(_LONGEST_PAUSE_S, 0.05 * 2 ** min(failures, 10)))
                failures += 1

    async def close(self) -> None:
        """Stop following; waits for the question that is under way. Idempotent."""
        await self._work.close(4 * BLOCK_S)
