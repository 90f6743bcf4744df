"""kill -9 of a worker with all its slots taken: what is lost, what runs twice, and how long until all is done."""

from __future__ import annotations

import time

import redis

from bench.harness import new_server
from bench.own.jobs import enqueue, left
from bench.working import new_ledger, working

_OWN = "bench.own.jobs"
_JOBS = 1_000
_SLOTS = 50
_SETTINGS = {"concurrency": _SLOTS, "sleep_ms": 100}
_KEY = "asynq:{default}:"


def crash() -> dict[str, float]:
    """1,000 jobs of 100 ms, 50 at once, killed near the middle, started again at once."""
    with new_server() as server, redis.Redis.from_url(server.url) as client, new_ledger(_JOBS) as ledger:
        enqueue(server.url, {"one": 0, "many": 0, "batch": _JOBS})
        with working("crash", _OWN, server.url, ledger, **_SETTINGS) as worker:
            worker.until(lambda: ledger.done > _JOBS * 0.4 and sum(ledger.starts) - sum(ledger.ends) == _SLOTS)
            worker.kill()
        starts, ends = ledger.starts, ledger.ends
        cut_off = {job for job in range(_JOBS) if starts[job] > ends[job]}
        held = client.llen(_KEY + "active")
        again = time.monotonic()
        with working("crash", _OWN, server.url, ledger, **_SETTINGS) as worker:
            worker.until(lambda: ledger.complete() and not left(client), 60, 0.01)
            seconds = time.monotonic() - again
            worker.stop()
        repeated = {job for job, times in enumerate(ledger.starts) if times > 1}
        return {
            "crash_in_flight": len(cut_off),
            "crash_held": held,
            "crash_lost": ledger.faults()[0],
            "crash_repeated": len(repeated),
            "crash_repeated_others": len(repeated - cut_off),
            "crash_retries_burnt": float(client.get(_KEY + "failed") or 0),
            "crash_finished_s": seconds,
        }
