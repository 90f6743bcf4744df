"""Handlers that keep the event loop to themselves: heartbeats, timeouts and all other handlers wait for them."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from types import FrameType
from typing import Any

from hustlex.jobs.wire import TaskMessage
from hustlex.worker.clock import monotonic
from hustlex.worker.runners import Runners

_log = logging.getLogger("hustlex.worker")

_QUIET_S = 60.0
_REMEMBERED_S = 600.0
_EVERY_S = 2.0
_STUCK_S = 2.0
_FRAMES = 4
_DRIVERS = (Runners._begin.__code__, Runners._resume.__code__)


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
                task_type,
                seconds * 1e3,
            )

    def may_log(self, task_type: str) -> bool:
        """True once a minute for each type."""
        now = monotonic()
        if now - self._logged_at.get(task_type, -_QUIET_S) < _QUIET_S:
            return False
        self._logged_at[task_type] = now
        return True


class StallWatch:
    """A thread that knocks at the loop, and says who holds it when nobody answers: the loop itself could not."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._stop = threading.Event()
        self._loop_thread = 0

    def start(self) -> None:
        """Watch the loop that is running here."""
        self._loop_thread = threading.get_ident()
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._watch, args=(loop,), daemon=True, name="hustlex stall watch").start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stop.wait(_EVERY_S):
            answered = threading.Event()
            try:
                loop.call_soon_threadsafe(answered.set)
            except RuntimeError:
                return
            while not answered.wait(_STUCK_S) and not self._stop.is_set():
                self._report()

    def _report(self) -> None:
        frame = sys._current_frames().get(self._loop_thread)
        task_type = _type_at(frame) or "unknown"
        if frame is not None and self._blocks.may_log(task_type):
            where = "".join(traceback.format_stack(frame)[-_FRAMES:])
            _log.error("the event loop stands still, in task type %s; nothing else runs:\n%s", task_type, where)


def _type_at(frame: FrameType | None) -> str:
    """The type of the job that is being run in this frame or one that called it."""
    while frame is not None:
        if frame.f_code in _DRIVERS:
            job: Any = frame.f_locals.get("job")
            return str(job.message.type)
        frame = frame.f_back
    return ""
