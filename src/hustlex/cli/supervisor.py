"""Keep a few child processes running: relay their output, restart one that dies, stop them in order."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

import hustlex
from hustlex.cli.relay import Relay
from hustlex.cli.repeats import Repeats
from hustlex.core.logs import logger
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.drivers.embedded_cluster import EmbeddedCluster
from hustlex.drivers.launch import tied
from hustlex.errors import ConfigurationError

_log = logger("hustlex.worker")

_STEADY_SECONDS = 10.0
_MOST_EARLY_DEATHS = 5
_WATCH_SECONDS = 0.25
_LAST_WORDS_SECONDS = 1.0
_LIVES_SECONDS = 3.0
"""After it what a child said is told, even if the one before had said the same and ended."""
_HURRY = 2
_SET_UP = 2
"""The exit code of a program that cannot work as it was started."""


def program() -> list[str]:
    """This command, for a child; a file of the application's called queue.py must not stand for Python's own there."""
    beside = Path(hustlex.__file__).parents[1] == Path.cwd()  # nobody else would find it
    return [sys.executable, *([] if beside else ["-P"]), "-m", "hustlex"]


class Child(msgspec.Struct):
    """One program to keep running. ready_port, ready_path: it is ready once this port of 127.0.0.1, or this socket,
    accepts. leads: those after it start when it is ready. stage: those of one are stopped together.
    """

    name: str
    command: Sequence[str]
    ready_port: int = 0
    ready_path: str = ""
    leads: bool = False
    stage: int = 0
    stop_seconds: float = 15.0


class Supervisor:
    """Runs until a signal, or until a child cannot be kept alive.

    changed: what changed since it was asked last, "" for nothing; then the children are started again.
    relayed: whether what the children write is told line by line with their names; else they write for themselves.
    restarts: of each child, so far. pids: of those that run.
    """

    def __init__(
        self,
        server: EmbeddedServer | EmbeddedCluster | None,
        children: Sequence[Child],
        environment: dict[str, str],
        changed: Callable[[], str] | None = None,
        *,
        relayed: bool = True,
    ) -> None:
        self._server = server
        self._children = children
        self._environment = {**os.environ, **environment}
        self._changed = changed
        self._say = say if relayed else _note
        self._relayed = relayed
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()
        self._failed = 0
        self._asked = 0
        self.restarts = {child.name: 0 for child in children}

    @property
    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._running.items()}

    async def run(self) -> int:
        """0 after an orderly stop; when it gave up on a child, that one's exit code, or 1. A second signal hurries, a
        third kills."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop)
        keepers: list[asyncio.Task[None]] = []
        if self._server is not None:
            keepers.append(asyncio.create_task(self._keep_server(self._server)))
        if self._changed:
            keepers.append(asyncio.create_task(self._reload(self._changed)))
        ready = asyncio.create_task(self._begin(keepers))
        await self._stopping.wait()
        ready.cancel()
        if self._relayed:
            print_line("stopping")
        await self._stop_all()
        await asyncio.gather(*keepers, ready, return_exceptions=True)
        return self._failed

    async def _begin(self, keepers: list[asyncio.Task[None]]) -> None:
        """Start all, and say when all are ready."""
        for child in self._children:
            keepers.append(asyncio.create_task(self._keep(child)))
            if child.leads:
                await _ready(child)
        if self._relayed:
            for child in self._children:
                await _ready(child)
            print_line("ready")

    async def _stop_all(self) -> None:
        for stage in sorted({child.stage for child in self._children}):
            await asyncio.gather(*(self._stop(child) for child in self._children if child.stage == stage))

    def _asked_to_stop(self) -> None:
        self._asked += 1
        if self._asked > 1:
            for process in self._running.values():
                _signal(process, signal.SIGINT if self._asked == _HURRY else signal.SIGKILL)
        self._stopping.set()

    async def _keep(self, child: Child) -> None:
        early_deaths, repeats = 0, Repeats(functools.partial(say, child.name))
        while not self._stopping.is_set():
            started, news = time.monotonic(), self._news
            code = await self._live(child, repeats)
            early_deaths = 0 if time.monotonic() - started > _STEADY_SECONDS else early_deaths + 1
            hopeless = early_deaths >= _MOST_EARLY_DEATHS or code == _SET_UP
            same = repeats.ended(again=early_deaths > 0 and not hopeless)
            if self._stopping.is_set():
                return
            if news.is_set():
                early_deaths = 0
                continue
            if hopeless:
                if not self._changed:
                    self._give_up(child, code)
                    return
                self._say(child.name, f"ended ({_how(code)}); waiting for a change")
                await _first(news, self._stopping)
                continue
            words = ", with the same words" if same else ""
            self._say(child.name, f"ended ({_how(code)}){words}; starting it again")
            self.restarts[child.name] += 1
            await self._pause(0.1 * 2**early_deaths)

    async def _live(self, child: Child, repeats: Repeats) -> int:
        """Run it once. Its end is the process' own, whoever else holds its output open."""
        if not self._relayed:
            return await self._watch(child, None)
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        relay = Relay(repeats.hear)
        pipe, _ = await loop.connect_read_pipe(lambda: relay, os.fdopen(reading, "rb", 0))
        lives = loop.call_later(_LIVES_SECONDS, repeats.tell)
        code = await self._watch(child, writing)
        lives.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await relay.ended.wait()
        pipe.close()
        return code

    async def _watch(self, child: Child, output: int | None) -> int:
        """From the start of its process to its end. output: where it writes, which is closed here."""
        try:
            process = await asyncio.create_subprocess_exec(
                *tied(child.command),
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output and asyncio.subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal reaches this process only: it decides the order
            )
        finally:
            if output is not None:
                os.close(output)
        self._running[child.name] = process
        code = await process.wait()
        self._running.pop(child.name, None)
        return code

    def _give_up(self, child: Child, code: int) -> None:
        self._say(child.name, f"cannot be kept running ({_how(code)}); stopping everything")
        self._failed = max(code, 1)
        self._stopping.set()

    async def _keep_server(self, server: EmbeddedServer | EmbeddedCluster) -> None:
        while not self._stopping.is_set():
            await self._pause(_WATCH_SECONDS)
            if not server.running and not self._stopping.is_set():
                say("server", "ended; starting it again")
                try:
                    await asyncio.to_thread(server.start)
                except ConfigurationError as error:
                    say("server", str(error))

    async def _reload(self, changed: Callable[[], str]) -> None:
        while not self._stopping.is_set():
            await self._pause(_WATCH_SECONDS)
            if what := await asyncio.to_thread(changed):
                say("reload", f"{what} changed; starting again")
                news, self._news = self._news, asyncio.Event()
                news.set()
                await asyncio.gather(*(self._stop(child) for child in self._children))

    async def _stop(self, child: Child) -> None:
        process = self._running.get(child.name)
        if process is None or process.returncode is not None:
            return
        _signal(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(child.stop_seconds):
                await process.wait()
        except TimeoutError:
            self._say(child.name, f"did not stop within {child.stop_seconds:g} s; killed")
            _signal(process, signal.SIGKILL)

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not into a stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


async def _first(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for one in waiting:
        one.cancel()


async def _ready(child: Child) -> None:
    while (child.ready_port or child.ready_path) and not await _accepts(child):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.05)


async def _accepts(child: Child) -> bool:
    try:
        if child.ready_path:
            _, writer = await asyncio.open_unix_connection(child.ready_path)
        else:
            _, writer = await asyncio.open_connection("127.0.0.1", child.ready_port)
    except OSError:
        return False
    writer.close()
    return True


def say(name: str, text: str) -> None:
    """One line of a child's output, with its name."""
    print_line(f"{name:<9} | {text}")


def _note(name: str, text: str) -> None:
    _log.warning("%s %s", name, text)


def print_line(text: str) -> None:
    """One line on standard output. When nobody reads it any more, the end of the program is asked for, in order."""
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - as long as the program
        os.kill(os.getpid(), signal.SIGTERM)


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    """Send it one. asyncio's own way looks first whether the process has ended, and takes the end from who waits."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
