"""Tasks for ``hustlex worker``: they mark the ledger that BENCH_LEDGER names, after BENCH_SPIN_US of computing."""

from __future__ import annotations

import os
import time
from pathlib import Path

from bench.ledger import Ledger
from hustlex import Tasks

tasks = Tasks()
_ledger = Ledger(Path(os.environ["BENCH_LEDGER"]))
_spin_s = float(os.environ.get("BENCH_SPIN_US", "0")) / 1e6


@tasks.task("bench:mark", queue="default")
async def mark(job: int) -> None:
    until = time.thread_time() + _spin_s
    while _spin_s and time.thread_time() < until:
        pass
    _ledger.mark(job)
