"""The Python side of mixed fleets: ``python -m tests.interop.worker URL SETTINGS``, the same behaviours as go/serve.go.

A task's behaviour is the prefix of its type. Every execution is noted in the list ``peer:runs`` before it begins.
SIGTERM ends it in order.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import signal
import sys
import time
from datetime import timedelta
from typing import Any

from hustlex.core.op import Effect, command
from hustlex.drivers.aio import Driver
from hustlex.jobs import CurrentJob, Tasks, current_job
from hustlex.jobs.define.signals import RevokeTask, SkipRetry
from hustlex.worker import Worker
from hustlex.worker.execute.handlers import Next

tasks = Tasks()


class SoftError(Exception):
    """Not a failure."""


@tasks.task("ok:", prefix=True)
async def succeed() -> None:
    """Nothing to do."""


@tasks.task("fail:", prefix=True)
async def fail() -> None:
    raise ValueError("failed as told")


@tasks.task("once:", prefix=True)
async def fail_once() -> None:
    if current_job().retried == 0:
        raise ValueError("failed as told")


@tasks.task("skip:", prefix=True)
async def skip() -> None:
    raise SkipRetry("no use")


@tasks.task("revoke:", prefix=True)
async def revoke() -> None:
    raise RevokeTask("not wanted")


@tasks.task("soft:", prefix=True)
async def fail_softly() -> None:
    raise SoftError("not a failure")


@tasks.task("panic:", prefix=True)
async def panic() -> None:
    raise RuntimeError("all is lost")


@tasks.task("slow:", prefix=True)
async def take_time() -> None:
    await asyncio.sleep(_seconds())


@tasks.task("deaf:", prefix=True)
def take_time_regardless() -> None:
    """In a thread, which cannot be told to stop."""
    time.sleep(_seconds())


@tasks.task("result:", prefix=True)
async def write_result() -> None:
    await current_job().result.write({"done": True})


def _seconds() -> float:
    """The payload's first line: how many milliseconds the task is to take."""
    return int((current_job().payload or b"0").split(b"\n")[0]) / 1000


def _note(job: CurrentJob) -> str:
    return json.dumps(
        {
            "by": "py",
            "id": job.id,
            "type": job.type,
            "queue": job.queue,
            "payload": base64.b64encode(job.payload or b"").decode(),
            "retried": job.retried,
            "headers": job.headers,
            "pid": os.getpid(),
        }
    )


async def main(url: str, settings: dict[str, Any]) -> None:
    """Run a worker until SIGTERM."""
    async with Driver(url) as driver:

        async def note(job: CurrentJob, handle: Next) -> Any:
            if tasks.find(job.type):
                words = ("RPUSH", "peer:runs", _note(job))
                await driver.run(command("test.note", Effect.ONCE, *words, decode=int))
            return await handle()

        delay_ms = settings.get("retry_delay_ms")
        options = {} if delay_ms is None else {"retry_delay": timedelta(milliseconds=delay_ms)}
        worker = Worker(
            driver,
            tasks,
            queues=settings["queues"],
            concurrency=settings["concurrency"],
            strict=settings["strict"],
            shutdown_timeout=timedelta(milliseconds=settings["shutdown_ms"]),
            is_failure=lambda error: not isinstance(error, SoftError),
            middleware=[note],
            **options,
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        await worker.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
