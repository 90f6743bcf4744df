"""Keep a few child processes running: relay their output, restart one that dies, stop them in order."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from hustlex.drivers.embedded import EmbeddedServer
from hustlex.drivers.launch import tied
from hustlex.errors import ConfigurationError

_STOP_SECONDS = 15.0
_STEADY_SECONDS = 10.0
_MOST_EARLY_DEATHS = 5
_WATCH_SECONDS = 0.25


class Child(msgspec.Struct):
    """One program to keep running. ready_port: it is ready once this port of 127.0.0.1 accepts."""

    name: str
    command: Sequence[str]
    ready_port: int = 0


class Supervisor:
    """Runs until a signal, or until a child cannot be kept alive."""

    def __init__(self, server: EmbeddedServer, children: Sequence[Child], environment: dict[str, str]) -> None:
        self._server = server
        self._children = children
        self._environment = {**os.environ, **environment}
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._failed = False

    async def run(self) -> bool:
        """True when it gave up on a child; False after an orderly stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        keepers = [asyncio.create_task(self._keep(child)) for child in self._children]
        keepers.append(asyncio.create_task(self._keep_server()))
        ready = asyncio.create_task(self._announce_ready())
        await self._stopping.wait()
        ready.cancel()
        print("stopping", flush=True)
        for child in self._children:
            await self._stop(child)
        await asyncio.gather(*keepers, ready, return_exceptions=True)
        return self._failed

    async def _keep(self, child: Child) -> None:
        early_deaths = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._live(child)
            if self._stopping.is_set():
                return
            early_deaths = 0 if time.monotonic() - started > _STEADY_SECONDS else early_deaths + 1
            if early_deaths >= _MOST_EARLY_DEATHS or code == 2:
                self._give_up(child, code)
                return
            say(child.name, f"ended ({_how(code)}); starting it again")
            await self._pause(0.1 * 2**early_deaths)

    async def _live(self, child: Child) -> int:
        process = await asyncio.create_subprocess_exec(
            *tied(child.command),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal reaches this process only: it decides the order
        )
        self._running[child.name] = process
        assert process.stdout is not None
        async for line in process.stdout:
            say(child.name, line.decode(errors="replace").rstrip())
        code = await process.wait()
        self._running.pop(child.name, None)
        return code

    def _give_up(self, child: Child, code: int) -> None:
        say(child.name, f"cannot be kept running ({_how(code)}); stopping everything")
        self._failed = True
        self._stopping.set()

    async def _keep_server(self) -> None:
        while not self._stopping.is_set():
            await self._pause(_WATCH_SECONDS)
            if not self._server.running and not self._stopping.is_set():
                say("server", "ended; starting it again")
                try:
                    await asyncio.to_thread(self._server.start)
                except ConfigurationError as error:
                    say("server", str(error))

    async def _stop(self, child: Child) -> None:
        process = self._running.get(child.name)
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            say(child.name, f"did not stop within {_STOP_SECONDS:g} s; killed")
            process.kill()

    async def _announce_ready(self) -> None:
        for child in self._children:
            while child.ready_port and not await _accepts(child.ready_port):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        print("ready", flush=True)

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not into a stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def say(name: str, text: Any) -> None:
    """One line of a child's output, with its name."""
    print(f"{name:<9} | {text}", flush=True)


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
