"""Which job began and ended how often, and how late: a shared file, so that a handler can report without Redis.

Three parts, for n jobs: n times 8 bytes, the nanoseconds from sending to start; n times 1 byte, starts; n times 1 byte,
ends. ``peers/asynq/work.go`` writes the same.
"""

from __future__ import annotations

import mmap
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_BYTES = 10


class Ledger:
    """Mapped by the worker (which marks) and by the bench (which watches). At most 255 runs per job."""

    def __init__(self, path: Path, jobs: int = 0) -> None:
        if jobs:
            path.write_bytes(bytes(jobs * _BYTES))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self.path = path
        self.jobs = len(self._map) // _BYTES
        self._waits = memoryview(self._map)[: 8 * self.jobs].cast("q")
        self._starts, self._ends = 8 * self.jobs, 9 * self.jobs

    def begin(self, job: int, sent_ns: int = 0) -> None:
        """A run starts. sent_ns: the Unix time that its wait counts from, 0 when nobody asks."""
        if sent_ns:
            self._waits[job] = time.time_ns() - sent_ns
        self._map[self._starts + job] += 1

    def end(self, job: int) -> None:
        """A run ended well."""
        self._map[self._ends + job] += 1

    def mark(self, job: int) -> None:
        """A run that takes no time."""
        self._map[self._starts + job] += 1
        self._map[self._ends + job] += 1

    def waits_ms(self) -> list[float]:
        """From sending to start, in order; early ones are negative."""
        return sorted(wait / 1e6 for wait in self._waits)

    @property
    def starts(self) -> bytes:
        """How often each job began."""
        return self._map[self._starts : self._ends]

    @property
    def ends(self) -> bytes:
        """How often each job ended well."""
        return self._map[self._ends :]

    @property
    def done(self) -> int:
        """Jobs that ended well at least once."""
        return self.jobs - self.ends.count(0)

    def complete(self) -> bool:
        """Whether every job ended well at least once."""
        return self._map.find(b"\0", self._ends) < 0

    def faults(self) -> tuple[int, int]:
        """How many jobs never ended well, and how many began more than once."""
        starts = self.starts
        return self.ends.count(0), self.jobs - starts.count(0) - starts.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waits.release()
        self._map.close()
