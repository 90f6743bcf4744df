"""Handlers that keep the event loop to themselves: heartbeats, timeouts and all other handlers wait for them."""

from __future__ import annotations

import logging

from hustlex.jobs.wire import TaskMessage
from hustlex.worker.clock import monotonic
from hustlex.worker.journal import line_of

_log = logging.getLogger("hustlex.worker")

_QUIET_S = 60.0
_REMEMBERED_S = 600.0


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
