"""Processes for functions that compute: one call at a time in each, killed when its time is over."""

from __future__ import annotations

import asyncio
import atexit
import multiprocessing.util  # noqa: F401 - its exit function waits for children, so ours must be registered later
import os
import pickle
import signal
import weakref
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, cast

import msgspec

from hustlex.jobs.define.context import CurrentJob
from hustlex.jobs.define.signals import Retry, Snooze, found
from hustlex.jobs.define.tasks import Task
from hustlex.jobs.wire import encode_task
from hustlex.worker.attempt_errors import ProcessDied
from hustlex.worker.execute.child import VERDICTS, ChildCall, ChildOutcome, serve
from hustlex.worker.threads import Threads

_SPAWN = get_context("spawn")
_FAREWELL_S = 1.0


class Processes:
    """Started when they are needed, and kept. How many there are is not decided here: one for each call that runs."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._idle: list[ChildProcess] = []

    async def run(self, task: Task[..., Any], current: CurrentJob, begins: Callable[[], None]) -> Any:
        """The function's result. Cancelling kills the process. begins: called when the process is ready for the call.

        Raises what the function raises, as far as it can be pickled (else RuntimeError with its type and text), and
        ProcessDied. The child's traceback is a note on the error.
        """
        function = task.function
        while True:
            child = self._idle.pop() if self._idle else ChildProcess()
            if not child.started:
                await self._do(child, partial(child.start, function.__module__))
            begins()
            message = encode_task(current.message)
            call = ChildCall(function.__module__, function.__qualname__, task.type, message, current.deadline_ms)
            answer = await self._do(child, partial(child.ask, msgspec.msgpack.encode(call)))
            if answer:  # one that died while it had nothing to do is no reason to fail
                self._idle.append(child)
                return _result(msgspec.msgpack.decode(answer, type=ChildOutcome))

    async def _do(self, child: ChildProcess, action: Callable[[], bytes]) -> bytes:
        """Something that takes long, in a thread."""
        future = self._threads.submit(action)
        try:
            return cast("bytes", await asyncio.shield(future))
        except asyncio.CancelledError:
            child.kill()
            await asyncio.wait([future])
            future.exception()
            raise

    async def close(self) -> None:
        """End the processes that have nothing to do."""
        idle, self._idle = self._idle, []
        if idle:
            await asyncio.wait([self._threads.submit(child.close) for child in idle])


class ChildProcess:
    """One process. What takes long is to be called in a thread."""

    def __init__(self) -> None:
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._killed = False

    @property
    def started(self) -> bool:
        """Whether it was ready for calls once."""
        return self._process is not None

    def start(self, module: str) -> bytes:
        """Wait until it has imported the module of its first call. Raises ProcessDied."""
        self._pipe, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=serve, args=(theirs, module), daemon=True, name="hustlex handler")
        process.start()
        theirs.close()
        self._process = process
        _living.add(self)
        if self._killed:
            self.kill()
        return self._receive()

    def ask(self, request: bytes) -> bytes:
        """Send a call and wait for its answer; nothing when it could not be sent. Raises ProcessDied."""
        assert self._pipe is not None
        try:
            self._pipe.send_bytes(request)
        except OSError:
            self._end()
            return b""
        return self._receive()

    def _receive(self) -> bytes:
        assert self._pipe is not None
        try:
            return self._pipe.recv_bytes()
        except (EOFError, OSError):
            raise ProcessDied(self._end()) from None

    def kill(self) -> None:
        """End it now, with all that it has started. Safe from any thread, also while it starts."""
        self._killed = True
        process = self._process
        if process is None or process.pid is None or process.exitcode is not None:
            return
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()

    def close(self) -> None:
        """Let it end."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.join(_FAREWELL_S)
        self._end()

    def _end(self) -> str:
        """How it ended; one that has only closed its pipe is killed."""
        process = self._process
        if process is None:
            return "was never started"
        process.join(_FAREWELL_S)
        if process.exitcode is None:
            self.kill()
            process.join()
        code = process.exitcode or 0
        process.close()
        self._process = None
        _living.discard(self)
        return f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _result(answer: ChildOutcome) -> Any:
    if not answer.failed:
        return pickle.loads(answer.value)  # noqa: S301 - from our own child
    error = _load(answer) or RuntimeError(answer.reason)
    if answer.trace:
        BaseException.add_note(error, f"in a process of its own:\n{answer.trace}")
    for name, in_ms in answer.verdicts.items():
        if found(error, VERDICTS[name]) is None:
            verdict = _verdict(VERDICTS[name], in_ms)
            verdict.__cause__, error.__cause__ = error.__cause__, verdict
    raise error


def _verdict(kind: type[Exception], in_ms: int) -> Exception:
    return kind(in_=timedelta(milliseconds=in_ms)) if kind in (Snooze, Retry) else kind()


def _load(answer: ChildOutcome) -> Exception | None:
    load: Callable[[bytes], Any] = pickle.loads
    with suppress(BaseException):  # the child could load it; this process may have other modules
        error = load(answer.value)
        if isinstance(error, Exception):
            return error
    return None


_living: weakref.WeakSet[ChildProcess] = weakref.WeakSet()


@atexit.register
def _kill_all() -> None:
    """For a worker that ends without ``close``: multiprocessing would wait for its children for ever."""
    for child in list(_living):
        child.kill()
