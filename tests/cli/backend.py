"""``hustlex up`` in a process of its own, in a directory of its own."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from hustlex.drivers.ports import free_port
from tests.support import forked

ROOT = Path(__file__).parents[2]
_PATIENCE_SECONDS = 120.0


class Up:
    """Started on entry, stopped with Ctrl-C on exit. Lines holds what it printed. forks: where what it starts need not
    be started as a user's ``up`` does."""

    def __init__(
        self,
        data: Path,
        *extra: str,
        modules: Sequence[str] = ("examples.gigs",),
        at: Path = ROOT,
        forks: bool = False,
    ) -> None:
        self.data = data
        self.port = free_port()
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._extra = extra
        self._modules = modules
        self._at = at
        self._program = "tests.cli.forking" if forks else "hustlex"

    def __enter__(self) -> Self:
        console = () if "--console" in self._extra else ("--no-console",)
        command = [sys.executable, "-m", self._program, "up", *self._modules, *console]
        self._process = forked.Popen(
            [*command, "--port", str(self.port), "--data", str(self.data), *self._extra],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self._at,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "HUSTLEX_SHUTDOWN_TIMEOUT_S": "2"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.lines.append(line.rstrip())
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for_line(self, pattern: str, *, after: int = 0) -> str:
        """The first line from number ``after`` on that matches."""
        end = time.monotonic() + _PATIENCE_SECONDS
        with self._news:
            while True:
                for line in self.lines[after:]:
                    if re.search(pattern, line):
                        return line
                if self._ended or not self._news.wait(end - time.monotonic()):
                    raise AssertionError(f"no line matches {pattern!r}:\n" + "\n".join(self.lines))

    def child(self, name: str) -> int:
        """The process id of a child that was forked."""
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                pid, _, more = stat.read_text().partition(" (")
                command, _, state = more.rpartition(") ")
                if command == f"hustlex {name}"[:15] and int(state.split()[1]) == self._process.pid:
                    return int(pid)
        raise AssertionError(f"no child {name}")

    def kill(self, name: str) -> None:
        """kill -9 a child, and wait until another one has been started in its place."""
        seen = len(self.lines)
        os.kill(self.child(name), signal.SIGKILL)
        self.wait_for_line(rf"^{name} +\| ended", after=seen)

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        code = self._process.wait(_PATIENCE_SECONDS)
        self._reader.join(_PATIENCE_SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ledger(self) -> dict[str, int]:
        """Every movement of money, by key."""
        with closing(sqlite3.connect(self.data / "gigs.db")) as connection:
            return dict(connection.execute("select key, amount_kobo from ledger"))
