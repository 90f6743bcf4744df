"""This package's jobs through the public front, as an application uses them."""

from __future__ import annotations

import asyncio
import signal
import time

import redis
import uvloop

from bench.harness import CALLERS, per_second
from bench.ledger import Ledger
from hustlex import HustleX, Tasks
from hustlex.worker import Worker

SETTINGS = "uvloop, one queue, concurrency 100 (the default)"
_QUEUE = "default"
_BATCH = 500


def _tasks(ledger: Ledger | None) -> Tasks:
    tasks = Tasks()

    @tasks.task("bench:mark", queue=_QUEUE)
    async def mark(job: int) -> None:
        if ledger is not None:
            ledger.mark(job)

    return tasks


def enqueue(url: str, load: dict[str, int]) -> dict[str, float]:
    """One by one, from 64 callers, and in batches of 500."""
    return uvloop.run(_enqueue(url, load))


async def _enqueue(url: str, load: dict[str, int]) -> dict[str, float]:
    (mark,) = _tasks(None)
    async with HustleX(url) as hx:

        async def send(job: int) -> None:
            await hx.jobs.enqueue(mark.job(job))

        done = load["one"] + load["many"]
        many = await per_second(CALLERS, range(load["one"], done), send)
        begun = time.perf_counter()
        for start in range(done, done + load["batch"], _BATCH):
            await hx.jobs.enqueue_many(mark.job(job) for job in range(start, min(start + _BATCH, done + load["batch"])))
        batch = load["batch"] / (time.perf_counter() - begun)
        one = await per_second(1, range(load["one"]), send)
    return {"enqueue1": one, "enqueue64": many, "enqueue_batch": batch}


def work(url: str, ledger: Ledger) -> None:
    """One process."""
    uvloop.run(_work(url, ledger))


async def _work(url: str, ledger: Ledger) -> None:
    async with HustleX(url) as hx:
        worker = Worker(hx.driver, _tasks(ledger), queues={_QUEUE: 1})
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        await worker.run()


def left(client: redis.Redis) -> int:
    """Tasks pending, active, scheduled, or waiting for another try."""
    key = "asynq:{" + _QUEUE + "}:"
    lists = sum(client.llen(key + state) for state in ("pending", "active"))
    return int(lists) + int(sum(client.zcard(key + state) for state in ("scheduled", "retry", "archived", "lease")))
