"""A background part of a worker: one pass, and the loop around it. Start, stop and loop are written here, once."""

from __future__ import annotations

import asyncio
from random import random
from time import monotonic

from hustlex.core.answer.aio import answering
from hustlex.core.faults import describe, loggable, words
from hustlex.core.logs import logger
from hustlex.errors import Error

_log = logger("hustlex.worker")

FOREVER = float("inf")
"""What a pass answers to rest until ``wake``."""


@answering
class Service:
    """Subclass it and write ``tick``.

    name: for logs and health. interruptible: ``stop`` cancels a running pass instead of waiting for its end.
    slowest_retry_s: the longest wait after failures. longest_pass_s: a pass that takes longer hangs.
    trouble: what keeps it from working right now, "" = nothing. resting: between two passes.
    """

    name = "service"
    interruptible = False
    slowest_retry_s = 5.0
    longest_pass_s = FOREVER

    def __init__(self) -> None:
        self.trouble = ""
        self.resting = False
        self._bell = asyncio.Event()
        self._stopping = self._slept = False
        self._failures = 0
        self._pass_began = 0.0
        self._task: asyncio.Task[None] | None = None

    async def tick(self) -> float:
        """One pass; answers how many seconds until the next. Tests call it directly."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin the loop."""
        self._task = asyncio.get_running_loop().create_task(self._loop(), name=f"hustlex {self.name}")

    def wake(self) -> None:
        """Make the next pass now, whatever the last one answered."""
        self._slept = False
        self._bell.set()

    async def stop(self) -> None:
        """End the loop and wait for its end. Idempotent."""
        self._stopping = True
        self.wake()
        if self._task is None:
            return
        if self.interruptible:
            self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None

    def ill(self) -> str:
        """What keeps it from working right now, "" = nothing."""
        return self.trouble or self.fault()

    def fault(self) -> str:
        """What is wrong with the loop itself, "" = nothing: it ended, or hangs in a pass."""
        if self._task is None or self._stopping:
            return ""
        if self._task.done():
            return "its loop ended"
        hangs = self._pass_began and monotonic() - self._pass_began > self.longest_pass_s
        return f"a pass took more than {self.longest_pass_s:.0f} s" if hangs else ""

    async def restart(self) -> None:
        """Cut the loop off and begin it anew; one that cannot be cut off within a second is left alone."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task], timeout=1)
        if not self._task.done():
            return
        if not self._task.cancelled() and (fault := self._task.exception()) is not None:
            _log.error("%s: its loop broke", self.name, exc_info=loggable(fault))
        self._pass_began = 0.0
        if not self._stopping:
            self.start()

    async def _loop(self) -> None:
        while not self._stopping:
            self._bell.clear()
            self._pass_began = monotonic()
            pause = await self._pass()
            self._pass_began = 0.0
            if pause > 0 and not self._stopping:
                await self._rest(pause)

    async def _rest(self, pause: float) -> None:
        self.resting, self._slept = True, False
        # Not asyncio.timeout, which cancels and catches: an exchange rests hundreds of times a second.
        alarm = None if pause >= FOREVER else asyncio.get_running_loop().call_later(pause, self._over)
        try:
            await self._bell.wait()
        finally:
            self.resting = False
            if alarm is not None:
                alarm.cancel()
            if self._slept:
                self._bell.clear()

    def _over(self) -> None:
        """The pause is over, and nobody rang."""
        if not self._bell.is_set():
            self._slept = True
            self._bell.set()

    async def _pass(self) -> float:
        try:
            pause = await self.tick()
        except Error as error:
            return self._stumble(words(error), None)
        except Exception as error:  # noqa: BLE001 - logged; the loop goes on
            return self._stumble(describe(error), error)
        self.recovered()
        return pause

    def _stumble(self, reason: str, fault: Exception | None) -> float:
        self.stumbled(reason, fault)
        return self.backoff()

    def backoff(self) -> float:
        """Seconds to wait after a failure."""
        return backoff(self._failures, self.slowest_retry_s)

    def stumbled(self, reason: str, fault: Exception | None = None) -> None:
        """Note a failure; the first of a row is logged."""
        self._failures += 1
        if not self.trouble:
            _log.warning("%s: %s", self.name, reason, exc_info=fault and loggable(fault))
        self.trouble = reason

    def recovered(self) -> None:
        """Note a success; the first after failures is logged."""
        if self.trouble:
            _log.info("%s: works again after %d failures", self.name, self._failures)
        self.trouble = ""
        self._failures = 0


def backoff(failures: int, slowest_s: float) -> float:
    """Seconds to wait after so many failures: doubling from 0.1 s, with jitter, so that nobody hammers a server."""
    return min(slowest_s, 0.1 * 2.0 ** min(failures - 1, 8)) * (0.5 + random() / 2)
