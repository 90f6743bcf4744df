"""huey on its Redis list."""

from __future__ import annotations

import logging
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis
from huey import RedisHuey
from huey.consumer import Consumer

from bench.harness import CALLERS, one_core
from bench.ledger import Ledger

SETTINGS = "results off, 1 worker thread (more threads are slower for a job that does nothing)"


def enqueue(url: str, load: dict[str, int]) -> dict[str, float]:
    """One by one and from 64 threads; it has no batch."""
    _, mark = _app(url, None)

    def send_all(jobs: range) -> None:
        for job in jobs:
            mark(job)

    last = load["one"] + load["many"]
    with ThreadPoolExecutor(CALLERS) as threads:
        begun = time.perf_counter()
        list(threads.map(send_all, [range(load["one"] + number, last, CALLERS) for number in range(CALLERS)]))
        many = load["many"] / (time.perf_counter() - begun)
    with one_core():
        begun = time.perf_counter()
        send_all(range(load["one"]))
        one = load["one"] / (time.perf_counter() - begun)
    return {"enqueue1": one, "enqueue64": many}


def produce(url: str, kind: str, *, jobs: int, gap_ms: float) -> None:
    """pace: one job at a time, with pauses of half to one and a half gaps."""
    _, mark = _app(url, None)
    for job in range(jobs):
        time.sleep((0.5 + random.random()) * gap_ms / 1000)
        mark(job, time.time_ns())


def work(url: str, ledger: Ledger) -> None:
    """One process; its Consumer directly, without the command line."""
    logging.disable(logging.INFO)
    app, _ = _app(url, ledger)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    consumer = Consumer(app, workers=1, periodic=False)
    consumer.start()
    signal.sigwait({signal.SIGTERM})
    consumer.stop(graceful=True)


def left(client: redis.Redis) -> int:
    """Messages queued; a message taken is forgotten."""
    return int(client.llen("huey.redis.bench"))


def _app(url: str, ledger: Ledger | None) -> tuple[Any, Any]:
    app = RedisHuey("bench", url=url, results=False)

    @app.task()
    def mark(job: int, sent_ns: int = 0) -> None:
        if ledger is not None:
            ledger.begin(job, sent_ns)
            ledger.end(job)

    return app, mark
