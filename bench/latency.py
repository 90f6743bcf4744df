"""How long a job waits: into an idle worker, under steady load, and after the moment it was scheduled for."""

from __future__ import annotations

import json
import time
from importlib import import_module
from typing import Any

import redis

from bench.harness import percentile, run_arm
from bench.working import check, new_ledger, working

_OWN, _GO = "bench.own.jobs", "bench.peers.asynq_go"


def into_idle(url: str, client: redis.Redis, jobs: int, *, producer: str = _OWN) -> dict[str, float]:
    """From just before the call that enqueues to the handler's first line, one job at a time."""
    return _waits("pickup", url, client, jobs, producer, "pace", gap_ms=8)


def into_idle_go(url: str, client: redis.Redis, jobs: int) -> dict[str, float]:
    """The same from our producer into an idle worker of Go's asynq, which looks once a second."""
    return _waits("pickup_asynq", url, client, jobs, _OWN, "pace", worker=_GO, settings={"concurrency": 10}, gap_ms=250)


def into_idle_peer(url: str, client: redis.Redis, jobs: int, name: str, module: str) -> dict[str, float]:
    """The same for a Python peer, from its own producer."""
    return _waits(f"pickup_{name}", url, client, jobs, module, "pace", worker=module, gap_ms=8)


def under_load(url: str, client: redis.Redis, rate: float, seconds: float) -> dict[str, float]:
    """At this many jobs a second, sent at random moments whatever the queue does."""
    return _waits("open_loop", url, client, int(rate * seconds), _OWN, "flood", rate=rate) | {"open_loop_per_s": rate}


def scheduled(url: str, client: redis.Redis, jobs: int, seconds: int) -> dict[str, float]:
    """From the scheduled second (Asynq's wire has whole ones) to the handler's first line."""
    found = _waits("scheduled_late", url, client, jobs, _OWN, "schedule", seconds=seconds)
    if found["scheduled_late_min_ms"] < 0:
        raise SystemExit(f"a scheduled job began {-found['late_min']:.1f} ms early")
    return found


def _listens(client: redis.Redis, worker: str) -> bool:
    """Whether a worker is there: Asynq's are registered, others are blocked in a read."""
    if worker in (_OWN, _GO):
        return bool(client.exists("asynq:servers"))
    return int(client.info("clients")["blocked_clients"]) > 0


def _waits(
    name: str,
    url: str,
    client: redis.Redis,
    jobs: int,
    producer: str,
    kind: str,
    *,
    worker: str = _OWN,
    settings: dict[str, Any] | None = None,
    **pace: float,
) -> dict[str, float]:
    client.flushall()
    with new_ledger(jobs) as ledger, working(name, worker, url, ledger, **(settings or {})) as running:
        running.until(lambda: _listens(client, worker), look_seconds=0.05)
        time.sleep(0.5)
        run_arm(producer, "produce", url, kind, json.dumps({"jobs": jobs, **pace}))
        running.until(ledger.complete, look_seconds=0.05)
        running.stop()
        check(name, ledger, import_module(worker).left(client))
        waits = ledger.waits_ms()
    shares = {"p50": 0.5, "p99": 0.99}
    found = {f"{name}_{label}_ms": percentile(waits, share) for label, share in shares.items()}
    return found | {f"{name}_min_ms": waits[0], f"{name}_max_ms": waits[-1]}
