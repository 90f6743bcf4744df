"""Processes of the application under chaos: workers and the API. They can be killed, stopped and replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from hustlex.cli.exits import exit_code
from hustlex.drivers.launch import tied
from hustlex.errors import Unavailable

ROOT = Path(__file__).parents[2]
_NO_SERVER = exit_code(Unavailable("away"))
_BEGINS_S = 30.0
_PATH = os.pathsep.join(("src", ".", "tests/chaos/clock"))


class Program:
    """A process that is started anew whenever it was ended. command: of the next start."""

    def __init__(self, name: str, command: Sequence[str] = (), environment: dict[str, str] | None = None) -> None:
        self.name = name
        self._command = list(command)
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None
        self.log: Path | None = None
        self.clock_offset_s = 0
        self._began = 0.0

    def command(self) -> list[str]:
        """What the next start runs."""
        return self._command

    def start(self) -> None:
        """Begin; its output goes to its log."""
        self._began = time.monotonic()
        output = subprocess.DEVNULL if self.log is None else self.log.open("ab")
        try:
            self._process = subprocess.Popen(
                tied(self.command()),
                cwd=ROOT,
                env=os.environ
                | self._environment
                | {"CHAOS_CLOCK_OFFSET_S": str(self.clock_offset_s), "PYTHONPATH": _PATH},
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        finally:
            if not isinstance(output, int):
                output.close()

    def supervise(self) -> bool:
        """Whether it is gone, though nobody ended it. One that began while its server was away says so and ends, and
        whoever supervises it begins it again.
        """
        code = None if self._process is None else self._process.poll()
        if code == _NO_SERVER and time.monotonic() - self._began < _BEGINS_S:
            self.start()
            return False
        return code is not None

    async def kill(self) -> None:
        """kill -9, what it leaves behind is noted, and it is not started again."""
        await asyncio.to_thread(self._end, signal.SIGKILL)
        await self.died()

    async def died(self) -> None:
        """What a ledger must know of a sudden end, before anybody else takes the work over."""

    async def replace(self, clock_offset_s: int = 0) -> None:
        """A deploy: ended in order, then the next one, whose clock may be wrong."""
        self.clock_offset_s = clock_offset_s
        await asyncio.to_thread(self._end, signal.SIGTERM)
        self.start()

    async def stand_still(self, seconds: float) -> None:
        """SIGSTOP, and later SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """The end of the play."""
        if self._process is not None:
            self._end(how)

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
