"""A log of our own calls that were slow: some of them, so that an outage does not fill the disk."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

from hustlex.core import check
from hustlex.core.logs import logger
from hustlex.core.telemetry import CallEnd, CallStart, End, Telemetry
from hustlex.metrics.process import Metrics

_log = logger("hustlex.slow")
_MINUTE_S = 60.0
_MOST_OPS = 500


class SlowLog(Telemetry):
    """A hook: ``HustleX(url, hook=Combined(process_metrics(), SlowLog()))``. Logs to ``hustlex.slow``.

    over: calls that take longer are slow; what waits on purpose is not. per_minute: lines for each operation; how many
    more there were, the next line says. metrics: where all of them are counted, as ``hustlex_slow_calls_total``.
    A line has the operation, its outcome and its duration, as text and as fields: never a key or a value.
    """

    def __init__(
        self, over: timedelta = timedelta(milliseconds=100), *, per_minute: int = 6, metrics: Metrics | None = None
    ) -> None:
        """Raises Misuse."""
        self._over_s = check.duration("over", over, timedelta(microseconds=1)).total_seconds()
        self._most = check.whole("per_minute", per_minute, 1, 10_000)
        if metrics is not None:
            check.instance("metrics", metrics, Metrics)
        self._metrics = metrics
        self._lock = threading.Lock()
        self._minutes: dict[str, tuple[float, int]] = {}

    def __call__(self, start: CallStart) -> End | None:
        return None if start.waits or start.memory else self._end

    def _end(self, call: CallEnd) -> None:
        if call.seconds <= self._over_s:
            return
        if self._metrics is not None:
            self._metrics.families["slow_calls_total"].add((call.op,))
        left_out = self._take(call.op)
        if left_out is None:
            return
        fields = {
            "slow_op": call.op,
            "slow_seconds": round(call.seconds, 6),
            "slow_outcome": call.error or call.outcome,
            "slow_size": call.size,
            "slow_left_out": left_out,
        }
        more = f", and {left_out} more were not logged" if left_out else ""
        _log.warning("%s took %.0f ms: %s%s", call.op, call.seconds * 1e3, fields["slow_outcome"], more, extra=fields)

    def _take(self, op: str) -> int | None:
        """One line of this minute: how many were left out before it. None: there is none left."""
        now = time.monotonic()
        with self._lock:
            since, lines = self._minutes.get(op, (now, 0))
            left_out = max(0, lines - self._most)
            if now - since >= _MINUTE_S:
                since, lines = now, 0
            else:
                left_out = 0
            if len(self._minutes) < _MOST_OPS or op in self._minutes:
                self._minutes[op] = since, lines + 1
        return left_out if lines < self._most else None
