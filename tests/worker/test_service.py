"""The loop that every part of a worker shares."""

from __future__ import annotations

import asyncio
import logging

import pytest

from hustlex.errors import Unavailable
from hustlex.worker.service import FOREVER, Service


class Counting(Service):
    name = "counting"

    def __init__(self, pause: float = FOREVER) -> None:
        super().__init__()
        self.passes = 0
        self.pause = pause
        self.faults: list[Exception] = []

    async def tick(self) -> float:
        self.passes += 1
        await asyncio.sleep(0)
        if self.faults:
            raise self.faults.pop()
        return self.pause


async def test_parts_start_and_stop_in_any_mixture() -> None:
    async def life(part: Counting) -> None:
        for _ in range(20):
            part._stopping = False
            part.start()
            await asyncio.sleep(0)
            part.wake()
            await part.stop()
            await part.stop()

    parts = [Counting(pause) for pause in (FOREVER, 0, 0.001, 60) for _ in range(5)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(life(part) for part in parts))
    assert all(part.passes >= 1 for part in parts)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("hustlex")]


async def test_a_wake_during_a_pass_is_not_lost() -> None:
    part = Counting()
    part.start()
    await asyncio.sleep(0)  # inside the first pass
    part.wake()
    async with asyncio.timeout(60):
        while part.passes < 2:
            await asyncio.sleep(0)
    await part.stop()


async def test_failures_are_logged_once_and_slow_the_loop_down(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    part = Counting()
    part.faults = [Unavailable("no server") for _ in range(3)] + [ValueError("a fault of ours")]
    part.start()
    async with asyncio.timeout(60):
        while part.passes < 5 or part.trouble:
            assert part.passes < 6
            await asyncio.sleep(0.01)
    await part.stop()
    levels = [record.levelname for record in caplog.records if record.name == "hustlex.worker"]
    assert levels == ["WARNING", "INFO"]
    assert part.backoff() <= part.slowest_retry_s


async def test_an_interruptible_part_stops_in_mid_pass() -> None:
    class Listening(Service):
        interruptible = True

        async def tick(self) -> float:
            await asyncio.sleep(3600)
            return 0

    part = Listening()
    part.start()
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await part.stop()
