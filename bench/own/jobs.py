"""This package's jobs through the public front, as an application uses them."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import redis
import uvloop

from bench.harness import CALLERS, one_core, per_second
from bench.ledger import Ledger
from hustlex import HustleX, Tasks
from hustlex.jobs import Job, Task
from hustlex.sync import HustleX as BlockingHustleX
from hustlex.worker import Worker

SETTINGS = "uvloop, one queue, concurrency 100 (the default); batches of 100"
_QUEUE = "default"
_BATCH = 100


def _tasks(ledger: Ledger | None, sleep_ms: float = 0) -> Tasks:
    tasks = Tasks()

    @tasks.task("bench:mark", queue=_QUEUE)
    async def mark(job: int, sent_ns: int = 0) -> None:
        if ledger is None:
            return
        if sleep_ms:
            ledger.begin(job)
            await asyncio.sleep(sleep_ms / 1000)
            ledger.end(job)
        elif sent_ns:
            ledger.begin(job, sent_ns)
            ledger.end(job)
        else:
            ledger.mark(job)

    return tasks


def enqueue(url: str, load: dict[str, int]) -> dict[str, float]:
    """One by one, from 64 callers, in batches of 100, one after another, and one by one by the blocking front."""
    return uvloop.run(_enqueue(url, load)) | _enqueue_blocking(url, load)


def _enqueue_blocking(url: str, load: dict[str, int]) -> dict[str, float]:
    (mark,), last = _tasks(None), sum(load.values())
    jobs = range(last - load.get("blocking", 0), last)
    if not jobs:
        return {}
    with BlockingHustleX(url) as hx, one_core():
        begun = time.perf_counter()
        for job in jobs:
            hx.jobs.enqueue(mark.job(job))
        return {"enqueue1_blocking": len(jobs) / (time.perf_counter() - begun)}


async def _enqueue(url: str, load: dict[str, int]) -> dict[str, float]:
    (mark,) = _tasks(None)
    first, last = load["one"] + load["many"], load["one"] + load["many"] + load["batch"]
    result: dict[str, float] = {}
    async with HustleX(url) as hx:

        async def send(job: int) -> None:
            await hx.jobs.enqueue(mark.job(job))

        if load["many"]:
            result["enqueue64"] = await per_second(CALLERS, range(load["one"], first), send)
        if load["batch"]:
            begun = time.perf_counter()
            for start in range(first, last, _BATCH):
                await hx.jobs.enqueue_many(mark.job(job) for job in range(start, min(start + _BATCH, last)))
            result["enqueue_batch"] = load["batch"] / (time.perf_counter() - begun)
        if load["one"]:
            result["enqueue1"] = await per_second(1, range(load["one"]), send)
    return result


def produce(url: str, kind: str, *, jobs: int, gap_ms: float = 0, rate: float = 0, seconds: int = 0) -> None:
    """See the functions of these names: pace (gap_ms), flood (rate), schedule (seconds)."""
    if kind == "pace":
        uvloop.run(_pace(url, jobs, gap_ms))
    elif kind == "flood":
        uvloop.run(_flood(url, jobs, rate))
    else:
        uvloop.run(_schedule(url, jobs, seconds))


async def _pace(url: str, jobs: int, gap_ms: float) -> None:
    """One job at a time, with pauses of half to one and a half gaps."""
    (mark,) = _tasks(None)
    async with HustleX(url) as hx:
        for job in range(jobs):
            await asyncio.sleep((0.5 + random.random()) * gap_ms / 1000)
            await hx.jobs.enqueue(mark.job(job=job, sent_ns=time.time_ns()))


async def _flood(url: str, jobs: int, rate: float) -> None:
    """Jobs at random moments, ``rate`` a second on average, whether the queue keeps up or not.

    Each turn hands over all that is due; a job's wait counts from its own moment, so a late producer is no excuse.
    """
    (mark,) = _tasks(None)
    async with HustleX(url) as hx:
        due = time.time() + 0.05
        job = 0
        while job < jobs:
            batch = []
            now = time.time()
            while due <= now and job < jobs:
                batch.append(mark.job(job=job, sent_ns=int(due * 1e9)))
                due += random.expovariate(rate)
                job += 1
            if batch:
                await hx.jobs.enqueue_many(batch)
            await asyncio.sleep(max(0.001, due - time.time()))


async def _schedule(url: str, jobs: int, seconds: int) -> None:
    """Jobs for the start of each of the next seconds, enqueued one to two seconds before the first of them."""
    (mark,) = _tasks(None)
    first = int(time.time()) + 2
    async with HustleX(url) as hx:
        await hx.jobs.enqueue_many(_due(mark, job, first + job % seconds) for job in range(jobs))


def _due(mark: Task[..., object], job: int, second: int) -> Job:
    at = datetime.fromtimestamp(second, UTC)
    return mark.job(job=job, sent_ns=second * 1_000_000_000).with_options(process_at=at)


def work(
    url: str, ledger: Ledger, *, concurrency: int = 100, sleep_ms: float = 0, queues: Mapping[str, int] | None = None
) -> None:
    """One process."""
    uvloop.run(_work(url, _tasks(ledger, sleep_ms), concurrency, queues or {_QUEUE: 1}))


async def _work(url: str, tasks: Tasks, concurrency: int, queues: Mapping[str, int]) -> None:
    async with HustleX(url) as hx:
        worker = Worker(hx.driver, tasks, queues=queues, concurrency=concurrency)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        await worker.run()


def left(client: redis.Redis) -> int:
    """Tasks pending, active, scheduled, or waiting for another try."""
    key = "asynq:{" + _QUEUE + "}:"
    lists = sum(client.llen(key + state) for state in ("pending", "active"))
    return int(lists) + int(sum(client.zcard(key + state) for state in ("scheduled", "retry", "archived", "lease")))
