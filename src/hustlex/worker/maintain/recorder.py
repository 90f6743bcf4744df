"""What this worker tells of its queues for those who look back: how they stand, every 10 s, and failures it saw.

It travels with the looks of the poller: at most one call more in 10 s (in 30 s while nothing changes), and in 2 s one
for each queue whose tasks failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hustlex.core.logs import logger
from hustlex.core.op import AsyncDriver, Op
from hustlex.errors import Error, OutcomeUnknown
from hustlex.jobs.keys import QueueKeys
from hustlex.jobs.lease import record
from hustlex.jobs.lease.record import MOST_AT_ONCE, FailureCount, QueueMeasure
from hustlex.worker.clock import WorkerClock, monotonic
from hustlex.worker.execute.failures import FailureTally
from hustlex.worker.queue_state import QueueState

_EVERY_S = 10.0
_SAME_EVERY_S = 30.0
"""What did not change is told again after this: each minute has its figures, and what had none for two is unknown."""
_FAILURES_EVERY_S = 2.0
_log = logger("hustlex.worker")

Told = tuple[QueueKeys, list[FailureCount]]


class Recorder:
    """Nothing waits for it, and what it cannot tell is told later or never."""

    def __init__(self, driver: AsyncDriver, clock: WorkerClock, failures: FailureTally) -> None:
        self._driver = driver
        self._clock = clock
        self._failures = failures
        self._seen: dict[str, QueueMeasure] = {}
        self._known: dict[str, tuple[QueueMeasure, float]] = {}
        self._looked_at = self._told_at = self._failed_at = float("-inf")
        self._trouble = ""

    def looks(self) -> bool:
        """Whether the next look at the queues should measure them."""
        now = monotonic()
        if now - self._looked_at < _EVERY_S:
            return False
        self._looked_at = now
        return True

    def measured(self, queue: QueueState, seen: QueueMeasure | None) -> None:
        """A look has found this."""
        was, told_at = self._known.get(queue.name, (None, 0.0))
        if seen is not None and (seen != was or monotonic() - told_at >= _SAME_EVERY_S):
            self._seen[queue.name] = seen

    def calls(self) -> tuple[list[Op[Any]], list[Told]]:
        """What is to be told now: failures first, by queue; and whose they are."""
        now, told, ops = monotonic(), list[Told](), list[Op[Any]]()
        if now - self._failed_at >= _FAILURES_EVERY_S and (told := self._failures.take()):
            self._failed_at = now
            ops += [record.failures(keys, counts, self._clock.for_script()) for keys, counts in told]
        if self._seen and now - self._told_at >= _EVERY_S:
            self._told_at = now
            names = list(self._seen)[:MOST_AT_ONCE]
            measures = [(name, self._seen.pop(name)) for name in names]
            self._known.update((name, (seen, now)) for name, seen in measures)
            ops.append(record.history(measures, self._clock.for_script()))
        return ops, told

    def answered(self, told: Sequence[Told], answers: Sequence[Any]) -> None:
        """Take the answers in: failures that were surely not counted are told again."""
        if not answers:
            return
        failures = [answer for answer in answers if isinstance(answer, Error)]
        for (keys, counts), answer in zip(told, answers, strict=False):
            if isinstance(answer, Error) and not isinstance(answer, OutcomeUnknown):
                self._failures.put_back(keys, counts)
        reason = str(failures[0]) if failures else ""
        if reason and not self._trouble:
            _log.warning("what happens in the queues cannot be written down: %s", reason)
        self._trouble = reason

    async def finish(self) -> None:
        """Tell the last failures."""
        self._failed_at = float("-inf")
        ops, told = self.calls()
        if ops:
            self.answered(told, await self._driver.run_many(ops))
