"""Jobs that do nothing: enqueue, and drain by one worker process with every delivery counted; ours beside the peers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]
import redis

from bench.harness import QUICK, Budget, Figures, print_summary, print_table, run_arm, serving, turned, versions
from bench.ledger import Ledger

_OURS = "hustlex"
# Enough jobs for about a second of draining each.
_ARMS = {
    _OURS: ("bench.own.jobs", {"one": 3_000, "many": 20_000, "batch": 57_000}),
    "repid": ("bench.peers.repid", {"one": 2_000, "many": 8_000, "batch": 0}),
    "dramatiq": ("bench.peers.dramatiq", {"one": 1_000, "many": 4_000, "batch": 0}),
}
_FIGURES = (
    ("enqueue 1 by 1 /s", "enqueue1", 0),
    ("64 at once /s", "enqueue64", 0),
    ("batch /s", "enqueue_batch", 0),
    ("drain /s", "drain", 0),
    ("worker us/job", "worker_cpu", 1),
    ("server us/job", "server_cpu", 1),
    ("MB", "rss", 0),
)
_DRAIN_SECONDS = 30.0
_STOP_SECONDS = 15.0
_LOOK_SECONDS = 0.001


def main() -> None:
    """Run the arms in turn, print the table and the summary."""
    figures = Figures()
    with serving() as server, redis.Redis.from_url(server.url) as client:
        for number in Budget(40 if QUICK else 150, 9).rounds():
            for arm in turned(list(_ARMS), number):
                client.flushall()
                figures.add(arm, _measure(arm, server.url, client))
    _report(figures)


def _measure(arm: str, url: str, client: redis.Redis) -> dict[str, float]:
    module, load = _ARMS[arm]
    measured = run_arm(module, "enqueue", url, json.dumps(load))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger"
        with Ledger(path, sum(load.values())) as ledger:
            measured |= _drain(arm, url, client, path, ledger)
            _check(arm, ledger, import_module(module).left(client))
    return measured


def _drain(arm: str, url: str, client: redis.Redis, path: Path, ledger: Ledger) -> dict[str, float]:
    """From the first job done to the last, so without the worker's start."""
    module, load = _ARMS[arm]
    jobs = sum(load.values())
    command = [sys.executable, "-m", "bench.arm", module, "work", url, str(path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as worker:
        try:
            process = psutil.Process(worker.pid)
            _until(ledger.started, worker, arm)
            begun, cpu, server_cpu = time.perf_counter(), _cpu(process), _server_cpu(client)
            _until(ledger.complete, worker, arm)
            seconds, cpu, server_cpu = (
                time.perf_counter() - begun,
                _cpu(process) - cpu,
                _server_cpu(client) - server_cpu,
            )
            rss = process.memory_info().rss / 1e6
            worker.send_signal(signal.SIGTERM)
            worker.wait(_STOP_SECONDS)
        finally:
            worker.kill()
    return {"drain": jobs / seconds, "worker_cpu": cpu / jobs * 1e6, "server_cpu": server_cpu / jobs * 1e6, "rss": rss}


def _until(reached: Any, worker: subprocess.Popen[str], arm: str) -> None:
    deadline = time.monotonic() + _DRAIN_SECONDS
    while not reached():
        if worker.poll() is not None:
            assert worker.stderr is not None
            raise SystemExit(f"{arm}: the worker ended early:\n{worker.stderr.read()[-2_000:]}")
        if time.monotonic() > deadline:
            raise SystemExit(f"{arm}: not drained in {_DRAIN_SECONDS:.0f} s")
        time.sleep(_LOOK_SECONDS)


def _check(arm: str, ledger: Ledger, left: int) -> None:
    lost, repeated = ledger.faults()
    if lost or repeated or left:
        raise SystemExit(f"{arm}: delivery was not exact: {lost} jobs lost, {repeated} repeated, {left} left behind")


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _server_cpu(client: redis.Redis) -> float:
    info: dict[str, Any] = client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def _report(figures: Figures) -> None:
    print_table(
        f"Jobs that do nothing, one worker process, each done exactly once ({versions('repid', 'dramatiq')}): "
        "median (min-max)",
        ["", *(head for head, _, _ in _FIGURES)],
        [[arm, *(figures.cell(arm, name, digits) for _, name, digits in _FIGURES)] for arm in _ARMS],
    )
    for arm, (module, _) in _ARMS.items():
        print(f"{arm}: {import_module(module).SETTINGS}")
    peers = [arm for arm in _ARMS if arm != _OURS]
    summary: dict[str, float] = {}
    for name in ("drain", "enqueue64", "enqueue1"):
        ours = figures.median(_OURS, name)
        summary |= {f"{name}_per_s": ours, f"{name}_vs_best_python": ours / figures.best(peers, name)}
        summary |= {f"{name}_{peer}_per_s": figures.median(peer, name) for peer in peers}
    summary["enqueue_batch_per_s"] = figures.median(_OURS, "enqueue_batch")
    summary |= {f"worker_cpu_us_{arm}": figures.median(arm, "worker_cpu") for arm in _ARMS}
    print_summary(summary)


if __name__ == "__main__":
    main()
