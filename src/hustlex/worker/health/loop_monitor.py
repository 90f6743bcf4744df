"""Handlers that keep the event loop to themselves: heartbeats, timeouts and all other handlers wait for them.

A short block is noted by who runs the handler; a long one is seen by a thread, which also keeps what this worker holds.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections import deque
from contextlib import suppress
from types import FrameType

from hustlex.core.faults import loggable
from hustlex.core.logs import logger
from hustlex.core.op import AsyncDriver
from hustlex.errors import Error
from hustlex.jobs.wire import TaskMessage
from hustlex.worker.clock import WorkerClock, monotonic
from hustlex.worker.execute.executor import Executor
from hustlex.worker.journal import line_of
from hustlex.worker.maintain.heartbeat import Heartbeat
from hustlex.worker.queue_state import LeasedTask

_log = logger("hustlex.worker")

_EVERY_S = 1.0
_STUCK_S = 2.0
"""With _EVERY_S: a stall is noticed within 3 s, so at most 8 s after the last beat; at 10 the worker counts as dead."""
_UNKNOWN_MS = 60_000
_QUIET_S = 60.0
_REMEMBERED_S = 600.0
_FRAMES = 4
_KNOCKS = 60
"""With _EVERY_S: a minute."""
_LAST_S = 2.0
"""A beat of the thread's that takes longer is not waited for at the end."""
_DRIVERS = (Executor._begin.__code__, Executor._resume.__code__)


class Blocks:
    """Which types did it lately, and for how long. One log line for each type and minute."""

    def __init__(self) -> None:
        self._worst: dict[str, tuple[float, float]] = {}
        self._logged_at: dict[str, float] = {}

    @property
    def worst(self) -> dict[str, float]:
        """The longest block of the last ten minutes, in seconds, by task type."""
        since = monotonic() - _REMEMBERED_S
        return {task_type: seconds for task_type, (at, seconds) in self._worst.items() if at > since}

    def note(self, message: TaskMessage, seconds: float) -> None:
        """A handler of this task kept the loop for so long."""
        now, task_type = monotonic(), message.type
        at, worst = self._worst.get(task_type, (now, 0.0))
        self._worst[task_type] = (now, max(worst if at > now - _REMEMBERED_S else 0.0, seconds))
        if self.may_log(task_type):
            _log.warning(
                "task type %s kept the event loop for %.0f ms: await, or make it a plain function",
                line_of(task_type),
                seconds * 1e3,
            )

    def may_log(self, task_type: str) -> bool:
        """True once a minute for each type."""
        now = monotonic()
        if now - self._logged_at.get(task_type, -_QUIET_S) < _QUIET_S:
            return False
        self._logged_at[task_type] = now
        return True


class LoopMonitor:
    """Knocks at the loop; when nobody answers, a heartbeat from here says that this worker lives.

    It does so until the deadline of the task whose handler holds the loop, or for a minute when no handler does. After
    that the worker counts as dead and its tasks run elsewhere: a loop that never moves again must not keep them.
    """

    def __init__(self, driver: AsyncDriver, heartbeat: Heartbeat, blocks: Blocks, clock: WorkerClock) -> None:
        self._driver = driver
        self._heartbeat = heartbeat
        self._blocks = blocks
        self._clock = clock
        self._stop = threading.Event()
        self._ended = asyncio.Event()
        self._loop_thread = 0
        self._lags = deque[float](maxlen=_KNOCKS)
        self._knocked_at = float("inf")

    @property
    def lag(self) -> float:
        """Seconds: the longest time for which the loop answered nobody in the last minute, until now included."""
        return max([*self._lags, monotonic() - self._knocked_at, 0.0])

    def start(self) -> None:
        """Watch the loop that is running here."""
        self._loop_thread = threading.get_ident()
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._watch, args=(loop,), daemon=True, name="hustlex loop monitor").start()

    async def stop(self) -> None:
        """End the thread, and wait for it: a beat of its that comes behind the worker's goodbye would undo that."""
        self._stop.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await self._ended.wait()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._knock(loop)
        finally:
            with suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(self._ended.set)

    def _knock(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stop.wait(_EVERY_S):
            answered = threading.Event()
            self._knocked_at = knocked_at = monotonic()
            try:
                loop.call_soon_threadsafe(answered.set)
            except RuntimeError:
                return
            if not answered.wait(_STUCK_S) and not self._stop.is_set():
                try:
                    asyncio.run(self._stand_in(answered))
                except Exception as fault:  # noqa: BLE001 - logged; the next stall is watched as well
                    _log.error("the watch over the event loop broke", exc_info=loggable(fault))
            self._knocked_at = float("inf")
            self._lags.append(monotonic() - knocked_at)

    async def _stand_in(self, answered: threading.Event) -> None:
        """Until the loop moves again."""
        driver = self._driver.another()
        since_ms = self._clock.now_ms()
        try:
            while not answered.is_set() and not self._stop.is_set():
                job = self._report()
                ends_ms = job.deadline_ms if job else since_ms + _UNKNOWN_MS
                if self._clock.now_ms() < ends_ms:
                    await self._keep(driver)
                answered.wait(_STUCK_S)  # nothing else is to be done in this thread's loop
        finally:
            await driver.close()

    async def _keep(self, driver: AsyncDriver) -> None:
        try:
            await self._heartbeat.keep(driver)
        except Error as error:
            if self._blocks.may_log("heartbeat"):
                _log.error("the event loop stands still and a thread cannot keep its leases either: %s", error)

    def _report(self) -> LeasedTask | None:
        """Log who holds the loop, once a minute for each type. The job, when it is one."""
        frame = sys._current_frames().get(self._loop_thread)
        job = _job_at(frame)
        task_type = job.message.type if job else "unknown"
        if frame is not None and self._blocks.may_log(task_type):
            where = "".join(traceback.format_stack(frame)[-_FRAMES:])
            _log.error(
                "the event loop stands still, in task type %s; nothing else runs:\n%s", line_of(task_type), where
            )
        return job


def _job_at(frame: FrameType | None) -> LeasedTask | None:
    """The job that is being run in this frame or one that called it."""
    while frame is not None:
        if frame.f_code in _DRIVERS:
            job = frame.f_locals.get("job")
            return job if isinstance(job, LeasedTask) else None
        frame = frame.f_back
    return None
