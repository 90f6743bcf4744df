"""``hustlex worker --processes N``: drained jobs per second by one, two and as many processes as there are cores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import redis

from bench.harness import (
    QUICK,
    Budget,
    Figures,
    print_goals,
    print_summary,
    print_table,
    run_arm,
    serving,
    turned,
)
from bench.ledger import Ledger
from bench.own.jobs import left
from bench.working import check, new_ledger
from hustlex.cli.processes import cores

_COUNTS = sorted({1, 2, cores(0)})
_SHARE = 2 if QUICK else 1
_KINDS = {"nothing": (0, 240_000 // _SHARE), "200 us of CPU": (200, 30_000 // _SHARE)}
_PAUSED = "asynq:{default}:paused"
_SEEN_S = 1.2
_PATIENCE_S = 60.0


def main() -> None:
    """Measure in turn, print the table and the summary."""
    figures = Figures()
    arms = [f"{kind}, {count}" for kind in _KINDS for count in _COUNTS]
    with serving() as server, redis.Redis.from_url(server.url) as client:
        for number in Budget(60 if QUICK else 150, 7).rounds():
            for arm in turned(arms, number):
                kind, _, count = arm.rpartition(", ")
                figures.add(arm, _drained(server.url, client, int(count), *_KINDS[kind]))
    print_table(
        f"Jobs drained per second by `hustlex worker --processes N`, on {cores(0)} cores with the server",
        ["each job does, processes", "per second"],
        [[arm, figures.cell(arm, "drain")] for arm in arms],
    )
    found = {}
    for name, kind in (("nothing", "nothing"), ("busy", "200 us of CPU")):
        found |= {f"processes_{name}_{count}_per_s": figures.median(f"{kind}, {count}", "drain") for count in _COUNTS}
        found[f"processes_{name}_2_vs_1"] = found[f"processes_{name}_2_per_s"] / found[f"processes_{name}_1_per_s"]
    print_goals("processes", found)
    print_summary(found)


def _drained(url: str, client: redis.Redis, count: int, spin_us: int, jobs: int) -> dict[str, float]:
    client.flushall()
    run_arm("bench.own.jobs", "enqueue", url, json.dumps({"one": 0, "many": 0, "batch": jobs}))
    with new_ledger(jobs) as ledger:
        rate = _rate(url, client, count, spin_us, ledger)
        check(f"{count} processes", ledger, left(client))
    return {"drain": rate}


def _rate(url: str, client: redis.Redis, count: int, spin_us: int, ledger: Ledger) -> float:
    """The queue is paused until every process is there; each sees its end within a second."""
    environment = {**os.environ, "BENCH_LEDGER": str(ledger.path), "BENCH_SPIN_US": str(spin_us), "HUSTLEX_URL": url}
    command = [sys.executable, "-m", "hustlex", "worker", "bench.own.processes", "--queue", "default=1"]
    client.set(_PAUSED, 1)
    # In a session of its own, as the children of several are: a busy machine shares its time by session.
    options: dict[str, Any] = {"env": environment, "stderr": subprocess.DEVNULL, "start_new_session": True}
    with subprocess.Popen([*command, "--processes", str(count)], **options) as process:
        try:
            _until(lambda: client.zcard("asynq:servers") == count)
            client.delete(_PAUSED)
            time.sleep(_SEEN_S)
            begun, done = time.perf_counter(), ledger.done
            _until(ledger.complete)
            rate = (ledger.jobs - done) / (time.perf_counter() - begun)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    return rate


def _until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            raise SystemExit("the jobs were not done in time")
        time.sleep(0.001)


if __name__ == "__main__":
    main()
