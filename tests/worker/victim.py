"""A worker process to be killed: ``python -m tests.worker.victim URL CONCURRENCY``. Notes every start and end."""

from __future__ import annotations

import asyncio
import signal
import sys
import time

from hustlex.core.op import Effect, command
from hustlex.drivers.aio import Driver
from hustlex.jobs import Tasks
from hustlex.worker import Worker

tasks = Tasks()
_drivers: list[Driver] = []


async def note(name: str, n: int) -> None:
    await _drivers[0].run(command("test.note", Effect.ONCE, "RPUSH", f"test:{name}", n, decode=int))


@tasks.task("nap")
async def nap(n: int) -> None:
    await note("began", n)
    await asyncio.sleep(0.1)
    await note("ended", n)


@tasks.task("stand")
async def stand(seconds: int) -> None:
    await note("began", 0)
    time.sleep(seconds)
    await note("ended", 0)


async def main(url: str, concurrency: int) -> None:
    driver = Driver(url)
    _drivers.append(driver)
    worker = Worker(driver, tasks, queues={"default": 1}, concurrency=concurrency)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    async with driver:
        await worker.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
