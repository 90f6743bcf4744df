"""A worker process that one of its tasks kills: ``python -m tests.worker.poisoned URL``. The others note their ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from hustlex.core.op import Effect, command
from hustlex.drivers.aio import Driver
from hustlex.jobs import Tasks
from hustlex.worker import Worker

tasks = Tasks()
_drivers: list[Driver] = []


@tasks.task("poison")
async def poison() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@tasks.task("innocent")
async def innocent(n: int) -> None:
    await asyncio.sleep(0.05)
    await _drivers[0].run(command("test.note", Effect.ONCE, "RPUSH", "test:ended", n, decode=int))


async def main(url: str) -> None:
    async with Driver(url) as driver:
        _drivers.append(driver)
        await Worker(driver, tasks, queues={"default": 1}, concurrency=50).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
