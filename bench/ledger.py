"""Which job ran how often: one byte per job in a shared file, so that a handler can report without touching Redis."""

from __future__ import annotations

import mmap
from pathlib import Path
from types import TracebackType
from typing import Self


class Ledger:
    """A file of counters, mapped by the worker (which marks) and by the bench (which watches). At most 255 per job."""

    def __init__(self, path: Path, jobs: int = 0) -> None:
        if jobs:
            path.write_bytes(bytes(jobs))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def mark(self, job: int) -> None:
        """Count one run of a job."""
        self._map[job] += 1

    def started(self) -> bool:
        """Whether any job ran."""
        return self._map[:].count(0) < len(self._map)

    def complete(self) -> bool:
        """Whether every job ran at least once."""
        return self._map.find(b"\0", 0) < 0

    def faults(self) -> tuple[int, int]:
        """How many jobs never ran, and how many ran more than once."""
        counters = self._map[:]
        lost = counters.count(0)
        return lost, len(counters) - lost - counters.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._map.close()
