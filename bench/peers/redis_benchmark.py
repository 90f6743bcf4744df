"""redis-benchmark or valkey-benchmark, where the machine has one: C, one thread, without and with pipelining."""

from __future__ import annotations

import csv
import hashlib
import shutil
import subprocess
from urllib.parse import urlsplit

import redis

from bench.commands import CALLERS, SCRIPT, VALUE
from bench.harness import one_core, two_cores

PROGRAM = shutil.which("valkey-benchmark") or shutil.which("redis-benchmark")
PIPELINED = 64
_KEY = "bench:1"
_GUESS = {1: 15_000, 64: 100_000, 500: 80_000}
"""Calls a second, for the length of a run."""


def measured(url: str, seconds: float) -> dict[str, float]:
    """As ``bench.commands.measured``; get64_pipelined: with 64 commands in each write of each connection."""
    with redis.Redis.from_url(url) as client:
        client.set(_KEY, VALUE)
        client.script_load(SCRIPT)
    sha = hashlib.sha1(SCRIPT.encode()).hexdigest()
    commands = {"get": ["GET", _KEY], "set": ["SET", _KEY, VALUE.decode()], "evalsha": ["EVALSHA", sha, "1", _KEY]}
    found: dict[str, float] = {}
    for name, words in commands.items():
        for callers in CALLERS:
            row = _run(url, callers, int(_GUESS[callers] * seconds), words)
            found[f"{name}{callers}"] = float(row["rps"])
            if callers == max(CALLERS):
                found[f"{name}{callers}_p99_ms"] = float(row["p99_latency_ms"])
    many = int(_GUESS[64] * 5 * seconds)
    found["get64_pipelined"] = float(_run(url, 64, many, commands["get"], "-P", str(PIPELINED))["rps"])
    return found


def _run(url: str, callers: int, calls: int, words: list[str], *more: str) -> dict[str, str]:
    assert PROGRAM is not None
    at = urlsplit(url)
    where = ["-h", str(at.hostname), "-p", str(at.port), "-a", at.password or ""]
    options = [*where, "-c", str(callers), "-n", str(calls), "--csv", *more]
    with one_core() if callers == 1 else two_cores():
        done = subprocess.run([PROGRAM, *options, *words], capture_output=True, text=True, timeout=60, check=True)
    return next(csv.DictReader(done.stdout.splitlines()))
