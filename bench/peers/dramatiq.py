"""dramatiq on its Redis broker."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Retries

from bench.harness import CALLERS, one_core
from bench.ledger import Ledger

SETTINGS = "1 process, 4 threads, prefetch 500, only the Retries middleware"
_THREADS = 4
_PREFETCH = 500


def enqueue(url: str, load: dict[str, int]) -> dict[str, float]:
    """One by one and from 64 threads; it has no batch."""
    actor = _actor(url, None)

    def send_all(jobs: range) -> None:
        for job in jobs:
            actor.send(job)

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


def work(url: str, ledger: Ledger) -> None:
    """One process; its Worker directly, without the command line's parent process."""
    broker = _actor(url, ledger).broker
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    worker = dramatiq.Worker(broker, worker_threads=_THREADS)
    worker.queue_prefetch = _PREFETCH
    worker.start()
    signal.sigwait({signal.SIGTERM})
    worker.stop()


def left(client: redis.Redis) -> int:
    """Messages queued, and messages fetched and not acknowledged."""
    acks = sum(client.scard(key) for key in client.scan_iter("dramatiq:__acks__.*"))
    return int(client.llen("dramatiq:bench")) + int(acks)


def _actor(url: str, ledger: Ledger | None) -> dramatiq.Actor[[int], None]:
    broker = RedisBroker(url=url, middleware=[Retries()])  # type: ignore[no-untyped-call]

    @dramatiq.actor(broker=broker, queue_name="bench", actor_name="mark")
    def mark(job: int) -> None:
        if ledger is not None:
            ledger.mark(job)

    return mark
