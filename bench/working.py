"""A worker in a process of its own, under watch."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psutil  # type: ignore[import-untyped,unused-ignore]

from bench.ledger import Ledger

_LOOK_SECONDS = 0.001
_STOP_SECONDS = 15.0


class Running:
    """The process. name: of its arm, for complaints."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], complaints: IO[bytes]) -> None:
        self.name = name
        self._process = process
        self._complaints = complaints
        self._seen = psutil.Process(process.pid)

    def until(self, reached: Callable[[], Any], seconds: float = 30, look_seconds: float = _LOOK_SECONDS) -> None:
        """Wait for a condition; ends the suite when the worker ends first, or the time does."""
        deadline = time.monotonic() + seconds
        while not reached():
            if self._process.poll() is not None:
                self._complaints.seek(0)
                raise SystemExit(f"{self.name}: the worker ended early:\n{self._complaints.read().decode()[-2_000:]}")
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.name}: not there after {seconds:.0f} s")
            time.sleep(look_seconds)

    def cpu_s(self) -> float:
        """Seconds of CPU so far."""
        times = self._seen.cpu_times()
        return float(times.user + times.system)

    def threads_cpu_s(self) -> float:
        """The same of the threads that it has now, by the nanosecond where the kernel tells (Linux)."""
        told = [path.read_text() for path in Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")]
        return sum(int(line.split()[0]) for line in told) / 1e9 if told else self.cpu_s()

    def rss_mb(self) -> float:
        """Resident memory now, in millions of bytes."""
        return float(self._seen.memory_info().rss) / 1e6

    def stop(self) -> None:
        """In order: what is done is acknowledged."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(_STOP_SECONDS)

    def kill(self) -> None:
        """At once: kill -9."""
        self._process.kill()
        self._process.wait()


@contextmanager
def working(name: str, module: str, url: str, ledger: Ledger, **settings: Any) -> Iterator[Running]:
    """A worker of this arm; killed at the end unless it was stopped."""
    command = [sys.executable, "-m", "bench.arm", module, "work", url, str(ledger.path), json.dumps(settings)]
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=complaints) as process,
    ):
        try:
            yield Running(name, process, complaints)
        finally:
            process.kill()


@contextmanager
def new_ledger(jobs: int) -> Iterator[Ledger]:
    """A ledger for this many jobs, in a temporary file."""
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger", jobs) as ledger:
        yield ledger


def check(name: str, ledger: Ledger, left: int) -> None:
    """Ends the suite unless each job ran exactly once and the server holds none."""
    lost, repeated = ledger.faults()
    if lost or repeated or left:
        raise SystemExit(f"{name}: delivery was not exact: {lost} jobs lost, {repeated} repeated, {left} left behind")
