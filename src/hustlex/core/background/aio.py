"""Work in a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Background:
    """Starts in a running event loop, and anew in the next one.

    work: looks at ``ended`` in its turns, waits by ``pause``. before_again: called before it starts another time.
    """

    def __init__(
        self, work: Callable[[], Awaitable[None]], name: str, before_again: Callable[[], None] = lambda: None
    ) -> None:
        self._work = work
        self._name = name
        self._before_again = before_again
        self._task: asyncio.Future[None] | None = None
        self._ready = asyncio.Event()
        self.ended = False

    def start(self) -> None:
        """Begin, unless it runs or was ended; again when its event loop has ended, or in a child process."""
        task, loop = self._task, asyncio.get_running_loop()
        if self.ended or (task and not task.done() and task.get_loop() is loop):
            return
        if task is not None:
            self._before_again()
            self._ready = asyncio.Event()
        self._task = loop.create_task(self._run(), name=self._name)
        self._task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Future[None]) -> None:
        """What has ended for good leads to its task no more, whose error would lead back: strangers begin these, and a
        cycle stays until somebody looks for it.
        """
        if self.ended and task is self._task:
            self._task = None

    async def _run(self) -> None:
        await self._work()

    @property
    def begun(self) -> bool:
        """Whether it was started, and not ended."""
        return self._task is not None and not self.ended

    async def pause(self, seconds: float) -> None:
        """Wait; shorter when it is ended."""
        await asyncio.sleep(seconds)

    def ready(self) -> None:
        """Let go who waits."""
        self._ready.set()

    async def wait(self, seconds: float) -> bool:
        """Until ``ready`` for the first time; False when that took longer."""
        try:
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        except TimeoutError:
            return False
        return True

    def end(self) -> None:
        """Stop soon. Idempotent."""
        self.ended = True
        self._work = _nothing
        if self._task is not None and self._task.get_loop() is asyncio.get_running_loop():
            self._task.cancel()

    async def close(self, seconds: float) -> None:
        """Stop, and wait for that, no longer than this. Idempotent."""
        self.end()
        if self._task is not None and self._task.get_loop() is asyncio.get_running_loop():
            await asyncio.wait((self._task,), timeout=seconds)


async def _nothing() -> None:
    return None
