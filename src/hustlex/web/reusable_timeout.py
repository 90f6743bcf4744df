"""A timeout for what one task does again and again."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class ReusableTimeout:
    """``with timeout(10.0): await ...``, any number of times, one after the other, in the task that made it.

    As ``asyncio.timeout``, but no timer is set each time: the one there is looks, when it rings, whether the block that
    runs then is late. Of what an event stream costs per event the timers were a quarter.
    """

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._rings_at = self._until = self._seconds = 0.0
        self._rang = False
        self._cancelling = 0

    def __call__(self, seconds: float) -> Self:
        self._seconds = seconds
        return self

    def __enter__(self) -> None:
        self._until = self._loop.time() + self._seconds
        self._cancelling = self._task.cancelling()
        if self._handle is None or self._until < self._rings_at:
            self._set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._until = 0.0
        if self._rang:
            self._rang = False
            if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def _set(self) -> None:
        self.close()
        self._rings_at = self._until
        self._handle = self._loop.call_at(self._until, self._ring)

    def _ring(self) -> None:
        self._handle = None
        if not self._until:
            return
        if self._loop.time() < self._until:
            self._set()
        else:
            self._rang = True
            self._task.cancel()

    def close(self) -> None:
        """Take the timer away."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
