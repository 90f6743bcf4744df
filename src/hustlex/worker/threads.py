"""Threads for plain functions. They are daemons: one that hangs does not keep a stopping process alive."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import queue
import threading
from collections.abc import Callable
from typing import Any

from hustlex.core.faults import as_exception
from hustlex.core.forks import end_copy

_Work = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class Threads:
    """Grows to ``limit`` threads as calls wait for one."""

    @property
    def trouble(self) -> str:
        """What keeps new calls from being made, "" = nothing. A call that nobody waits for keeps its thread."""
        if self._lost < self._limit:
            return ""
        return f"all {self._limit} threads are held by functions that do not end"

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._count = 0
        self._busy = 0
        self._lost = 0

    def submit(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Run a function in a thread, in the caller's context variables; the future gets its result."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()
        self._busy += 1
        future.add_done_callback(self._left)
        if self._busy > self._count and self._count < self._limit:
            self._count += 1
            threading.Thread(target=self._serve, daemon=True, name=f"hustlex {self._count}").start()
        self._work.put((lambda: context.run(function), loop, future))
        return future

    def _left(self, future: asyncio.Future[Any]) -> None:
        self._lost += future.cancelled()

    def _serve(self) -> None:
        own = os.getpid()
        while (work := self._work.get()) is not None:
            function, loop, future = work
            result, error = None, None
            try:
                result = function()
            except BaseException as fault:  # noqa: BLE001 - handed to the caller
                error = fault
            end_copy(own, error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._deliver, future, result, error)
            del work, function, future, result, error

    def _deliver(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._busy -= 1
        if future.done():
            self._lost -= 1
        elif error is None:
            future.set_result(result)
        else:
            future.set_exception(as_exception(error))

    def close(self) -> None:
        """Let idle threads end; busy ones end after their call."""
        for _ in range(self._count):
            self._work.put(None)
