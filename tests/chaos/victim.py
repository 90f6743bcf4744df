"""A worker process that is made to die: ``python -m tests.chaos.victim URL DIARY``.

Its diary is a file that it appends to, so it outlives a kill -9: first ``worker <id>``, then a line for each start
(``began``) and end (``ended``, ``failed``) of an attempt, with the job's number and how many retries it has used.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from datetime import timedelta

from hustlex.drivers.aio import Driver
from hustlex.jobs import Tasks, current_job
from hustlex.worker import Worker

QUEUES = {"chaos": 3, "calm": 1}
tasks = Tasks(max_retry=100)
_diary: list[int] = []


class Told(Exception):
    """The job was told to fail this attempt."""


def note(what: str, n: int | str) -> None:
    """One line, in one write: it is there whole or not at all."""
    os.write(_diary[0], f"{what} {n}\n".encode())


@tasks.task("wait")
async def wait(n: int, ms: int, fails: int) -> None:
    """Takes so many milliseconds, and fails the first so many attempts."""
    retried = _begin(n)
    if ms:
        await asyncio.sleep(ms / 1000)
    _end(n, retried, fails)


@tasks.task("block")
def block(n: int, ms: int, fails: int) -> None:
    """The same in a thread."""
    retried = _begin(n)
    time.sleep(ms / 1000)
    _end(n, retried, fails)


def _begin(n: int) -> int:
    retried = current_job().retried
    note("began", f"{n} {retried}")
    return retried


def _end(n: int, retried: int, fails: int) -> None:
    if retried < fails:
        note("failed", f"{n} {retried}")
        raise Told
    note("ended", f"{n} {retried}")


async def main(url: str, diary: str) -> None:
    _diary.append(os.open(diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    async with Driver(url) as driver:
        worker = Worker(driver, tasks, queues=QUEUES, concurrency=20, retry_delay=timedelta(seconds=1))
        note("worker", worker.id)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        await worker.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
