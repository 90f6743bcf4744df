"""Threads for plain functions. They are daemons: one that hangs does not keep a stopping process alive."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from hustlex.core.faults import as_exception
from hustlex.core.forks import end_copy

_Work = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class Threads:
    """Grows to ``limit`` threads as calls wait for one.

    An exception may be thrown into a thread at any step, by a library whose time for a function is over: none ends
    here, and no call is lost by it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._calls: deque[_Work] = deque()
        self._bell: queue.SimpleQueue[bool] = queue.SimpleQueue()
        """One word for each call, and False for each end: what strikes a thread as it wakes takes a word, no call."""
        self._running: set[asyncio.Future[Any]] = set()
        self._count = 0
        self._lost = 0

    @property
    def trouble(self) -> str:
        """What keeps new calls from being made, "" = nothing. A call that nobody waits for keeps its thread."""
        if self._lost < self._limit:
            return ""
        return f"all {self._limit} threads are held by functions that do not end"

    def submit(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Run a function in a thread, in the caller's context variables; the future gets its result.

        Raises RuntimeError when there is no thread and the system lets none start.
        """
        loop = asyncio.get_running_loop()
        if len(self._running) >= self._count and self._count < self._limit:
            self._grow()
        future: asyncio.Future[Any] = loop.create_future()
        future.add_done_callback(self._left)
        self._running.add(future)
        self._calls.append((partial(contextvars.copy_context().run, function), loop, future))
        self._bell.put(True)
        return future

    def _grow(self) -> None:
        try:
            threading.Thread(target=self._serve, daemon=True, name=f"hustlex {self._count + 1}").start()
        except RuntimeError:
            if not self._count:
                raise
        else:
            self._count += 1

    def _left(self, future: asyncio.Future[Any]) -> None:
        self._lost += future.cancelled()

    def _serve(self) -> None:
        own, hand = os.getpid(), list[_Work]()
        while True:
            try:
                if not self._bell.get():
                    return
                self._call(own, hand)
            except BaseException as fault:  # noqa: BLE001 - thrown in from outside
                if hand:
                    self._end(hand, None, fault)
                else:
                    self._bell.put(True)

    def _call(self, own: int, hand: list[_Work]) -> None:
        """Make the next call, if it was not made for another word."""
        with contextlib.suppress(IndexError):
            hand.append(self._calls.popleft())
        if not hand:
            return
        result, error = None, None
        try:
            result = hand[0][0]()
        except BaseException as fault:  # noqa: BLE001 - handed to the caller
            error = fault
        end_copy(own, error)
        self._end(hand, result, error)

    def _end(self, hand: list[_Work], result: Any, error: BaseException | None) -> None:
        _, loop, future = hand[0]
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._deliver, future, result, error)
        hand.clear()

    def _deliver(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        if future not in self._running:  # told twice
            return
        self._running.discard(future)
        if future.done():
            self._lost -= 1
        elif error is None:
            future.set_result(result)
        else:
            future.set_exception(as_exception(error))

    def close(self) -> None:
        """Let idle threads end; busy ones end after their call."""
        for _ in range(self._count):
            self._bell.put(False)
