"""Go's asynq: ``asynq/`` compiled at run time. Where there is no Go, or it does not build, this arm is left out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from bench.harness import CALLERS, one_core
from bench.ledger import Ledger
from bench.own.jobs import left

SETTINGS = "asynq v0.26.0, one queue, every other setting at its default"
__all__ = ["SETTINGS", "build", "enqueue", "left", "produce", "work"]

_SOURCE = Path(__file__).parent / "asynq"
_BINARY = "BENCH_ASYNQ"
_BUILD_SECONDS = 300


def build(folder: Path) -> str:
    """Compile into this folder. Why there is no binary, or "" when there is one."""
    go = shutil.which("go")
    if go is None:
        return "Go is not installed"
    binary = folder / "asynq"
    command = [go, "build", "-o", str(binary), "."]
    try:
        built = subprocess.run(command, cwd=_SOURCE, capture_output=True, text=True, timeout=_BUILD_SECONDS)
    except subprocess.TimeoutExpired:
        return f"it did not build in {_BUILD_SECONDS} s"
    if built.returncode:
        return f"it does not build: {built.stderr.strip().splitlines()[-1]}"
    os.environ[_BINARY] = str(binary)
    return ""


def enqueue(url: str, load: dict[str, int]) -> dict[str, float]:
    """One by one and from 64 goroutines; it has no batch."""
    many = _rate(url, load["one"], load["many"], CALLERS)
    with one_core():
        return {"enqueue64": many, "enqueue1": _rate(url, 0, load["one"], 1)}


def _rate(url: str, first: int, count: int, callers: int) -> float:
    command = [os.environ[_BINARY], "enqueue", url, str(first), str(count), str(callers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rate: float = json.loads(done.stdout)["per_s"]
    return rate


def produce(url: str, kind: str, *, jobs: int, gap_ms: int) -> None:
    """pace: one job at a time, with pauses of half to one and a half gaps."""
    os.execv(os.environ[_BINARY], ["asynq", kind, url, str(jobs), str(gap_ms)])


def work(url: str, ledger: Ledger, *, concurrency: int, sleep_ms: int = 0) -> None:
    """This process becomes the Go worker."""
    os.execv(os.environ[_BINARY], ["asynq", "work", url, str(ledger.path), str(concurrency), str(sleep_ms)])
