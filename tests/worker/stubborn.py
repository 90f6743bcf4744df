"""Tasks that do not end when they are told to, for a worker process of its own."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from contextlib import suppress

from hustlex.jobs import Tasks, current_job

tasks = Tasks()


async def _began() -> None:
    await current_job().log("began")


@tasks.task("deaf")
async def deaf() -> None:
    """Swallows its cancellation."""
    await _began()
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


@tasks.task("thread")
async def thread() -> None:
    """Waits for a thread that does not end, which the interpreter would wait for, too."""
    await _began()
    keeper = threading.Thread(target=time.sleep, args=(60,))
    keeper.start()
    await asyncio.to_thread(time.sleep, 60)


@tasks.task("plain")
def plain() -> None:
    """Does not end in its thread."""
    time.sleep(60)


@tasks.task("stands")
async def stands() -> None:
    """Keeps the event loop to itself."""
    await _began()
    time.sleep(60)


@tasks.task("crowds")
async def crowds(*, deaf: bool) -> None:
    """From here on no thread can be started, as where a container's limit of processes is reached."""

    def full(_: object) -> None:
        raise RuntimeError("can't start new thread")

    threading.Thread.start = full  # type: ignore[method-assign]
    await _began()
    while deaf:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


@tasks.task("stops")
async def stops() -> None:
    """Stops the event loop that it runs on."""
    asyncio.get_running_loop().stop()
    await asyncio.sleep(60)


@tasks.task("cancels")
async def cancels() -> None:
    """Cancels every task there is, its own and the worker's."""
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(60)


@tasks.task("closes")
async def closes() -> None:
    """Closes the stream that the command prints to."""
    sys.stdout.close()


@tasks.task("fine")
async def fine() -> None:
    """Shows that the worker runs, and that what its start has made is left out of collections."""
    print("frozen:", gc.get_freeze_count() > 10_000, file=sys.stderr)


@tasks.task("fails")
async def fails() -> None:
    """Raises what nobody catches."""
    raise ValueError("as usual")
