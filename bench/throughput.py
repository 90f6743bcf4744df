"""Enqueue, then drain by one worker process: jobs that do nothing, and jobs that sleep for 5 ms."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import redis

from bench.harness import QUICK, run_arm
from bench.ledger import Ledger
from bench.working import check, new_ledger, working

OURS = "hustlex"
_SLEEP_MS = 5
_SLOTS = 200
IDEAL = _SLOTS / _SLEEP_MS * 1000


@dataclass(frozen=True)
class Arm:
    """load: how many jobs are enqueued in which way. settings: of the worker."""

    module: str
    load: Mapping[str, int]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def jobs(self) -> int:
        """All of them."""
        return sum(self.load.values())


def _load(one: int, many: int, batch: int = 0, **more: int) -> dict[str, int]:
    """About a second of draining; half of that when it must be quick."""
    share = 2 if QUICK else 1
    return {way: jobs // share for way, jobs in {"one": one, "many": many, "batch": batch, **more}.items()}


_OWN, _GO = "bench.own.jobs", "bench.peers.asynq_go"
_NAP = {"sleep_ms": _SLEEP_MS, "concurrency": _SLOTS}
PYTHON = {
    OURS: Arm(_OWN, _load(5_000, 20_000, 60_000, blocking=5_000)),
    "repid": Arm("bench.peers.repid", _load(2_000, 8_000)),
    "dramatiq": Arm("bench.peers.dramatiq", _load(2_000, 4_000)),
    "huey": Arm("bench.peers.huey", _load(4_000, 2_000)),
}
GO = {f"asynq {slots}": Arm(_GO, _load(5_000, 10_000), {"concurrency": slots}) for slots in (10, 100)}
BARE_LOOP = "no queue"
NAPS = {OURS: Arm(_OWN, _load(0, 0, 40_000), _NAP)}
GO_NAPS = {f"asynq {_SLOTS}": Arm(_GO, _load(2, 12_000), _NAP)}


def measure(name: str, arm: Arm, url: str, client: redis.Redis) -> dict[str, float]:
    """One round of an arm, on an empty server."""
    client.flushall()
    measured = run_arm(arm.module, "enqueue", url, json.dumps(arm.load))
    with new_ledger(arm.jobs) as ledger:
        measured |= _drain(name, arm, url, client, ledger)
        check(name, ledger, import_module(arm.module).left(client))
    return measured


def bare_loop() -> dict[str, float]:
    """The same sleeps without any queue."""
    settings = {"sleep_ms": _SLEEP_MS, "slots": _SLOTS, "jobs": NAPS[OURS].jobs}
    return run_arm("bench.own.bare_loop", "nap", json.dumps(settings))


def _drain(name: str, arm: Arm, url: str, client: redis.Redis, ledger: Ledger) -> dict[str, float]:
    """From the first job done to the last, so without the worker's start."""
    with working(name, arm.module, url, ledger, **arm.settings) as worker:
        worker.until(lambda: ledger.done)
        done, before = ledger.done, _Usage(client, worker.cpu_s())
        worker.until(ledger.complete)
        after = _Usage(client, worker.cpu_s())
        rss = worker.rss_mb()
        worker.stop()
    jobs = arm.jobs - done
    return {
        "drain": jobs / (after.at - before.at),
        "ideal": jobs / (after.at - before.at) / IDEAL,
        "worker_cpu": (after.worker_s - before.worker_s) / jobs * 1e6,
        "server_cpu": (after.server_s - before.server_s) / jobs * 1e6,
        "scripts": (after.scripts - before.scripts) / jobs,
        "rss": rss,
    }


class _Usage:
    """at: seconds. worker_s, server_s: CPU so far. scripts: calls so far."""

    def __init__(self, client: redis.Redis, worker_s: float) -> None:
        self.at = time.perf_counter()
        self.worker_s = worker_s
        info: dict[str, Any] = client.info("cpu")
        self.server_s = float(info["used_cpu_user"]) + float(info["used_cpu_sys"])
        stats: dict[str, Any] = client.info("commandstats")
        self.scripts = sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))
