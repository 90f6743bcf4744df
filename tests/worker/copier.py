"""Functions that fork the worker that calls them and come back in both: ``python -m tests.worker.copier URL WHERE``.

The worker's own process waits for the copy's end, and notes it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis

from hustlex.drivers.aio import Driver
from hustlex.jobs import Tasks
from hustlex.worker import Worker

URL, WHERE = sys.argv[1:]


def note(name: str, text: str) -> None:
    with redis.Redis.from_url(URL) as client:
        client.rpush(f"test:{name}", text)


def fork(where: str) -> bool:
    """Whether this is the copy."""
    if (pid := os.fork()) == 0:
        return True
    note("ended", f"{where}: {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")
    return False


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    if WHERE == "lifespan":
        fork("lifespan")
    yield


tasks = Tasks(lifespan=lifespan)


@tasks.task("thread")
def thread(how: str) -> None:
    _come_back(fork("thread"), how)


@tasks.task("at once")
async def at_once(how: str) -> None:
    _come_back(fork("at once"), how)


@tasks.task("waiting")
async def waiting(how: str) -> None:
    await asyncio.sleep(0)
    _come_back(fork("waiting"), how)


def _come_back(copied: bool, how: str) -> None:
    if copied and how == "raises":
        raise ValueError("in the copy")
    if copied and how == "exits":
        sys.exit(5)


@tasks.task("waits")
async def waits() -> None:
    fork("waits")
    await asyncio.sleep(0)


@tasks.task("waits again")
async def waits_again() -> None:
    await asyncio.sleep(0)
    fork("waits again")
    await asyncio.sleep(0)


@tasks.task("fails", max_retry=0)
async def fails() -> None:
    raise ValueError("for the error handler")


@tasks.task("counted")
async def counted() -> None:
    note("counted", "")


def on_error(*_: Any) -> None:
    if WHERE == "error handler":
        fork("error handler")


async def layer(_: Any, handle: Any) -> Any:
    value = await handle()
    if WHERE == "middleware":
        fork("middleware")
    return value


async def main() -> None:
    middleware = [layer] if WHERE == "middleware" else []
    async with Driver(URL) as driver:
        await Worker(driver, tasks, queues={"default": 1}, error_handler=on_error, middleware=middleware).run()


if __name__ == "__main__":
    asyncio.run(main())
