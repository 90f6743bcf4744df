"""What one process counts: a hook that turns what it is told into numbers, told in Prometheus' text format."""

from __future__ import annotations

import os
import platform
import threading
import time
import weakref
from bisect import bisect_left
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from hustlex.core import check, forks
from hustlex.core.logs import logger
from hustlex.core.process import resident_bytes
from hustlex.core.streams import KINDS, open_streams
from hustlex.core.telemetry import (
    AttemptEnd,
    AttemptEnded,
    AttemptStart,
    CallEnd,
    CallStart,
    Counting,
    DoorEnd,
    DoorEnded,
    End,
    Watch,
    ended,
)
from hustlex.metrics import rooms
from hustlex.metrics.board import Board, anonymous, read
from hustlex.metrics.callers import CallerSketch
from hustlex.metrics.declared import CALL
from hustlex.metrics.families import Families
from hustlex.metrics.pulled import Pulled
from hustlex.metrics.shared import SharedBoards
from hustlex.metrics.text import exposition

_log = logger("hustlex")
_EVERY_S = 5.0
_OUTCOMES = {
    "Unavailable": "unavailable",
    "Timeout": "timeout",
    "OutcomeUnknown": "unknown",
    "Refused": "refused",
    "Denied": "denied",
    "ServerFull": "full",
    "NotDurable": "not_durable",
    "Misuse": "misuse",
}
"""By the class of an error."""

_all: weakref.WeakSet[Any] = weakref.WeakSet()
Source = Callable[[Families], None]
"""Writes what it knows: gauges, of a worker and the like. Asked before each answer."""


class CallSeries:
    """Calls of one operation. Its ``end`` is what a call costs: a lock and three additions.

    flying: as long as there are calls without an answer; a list, which threads may lengthen and shorten without a lock.
    made, spare: of ``CountedCall``; what is not spare is under way. Making one takes longer than all that it does.
    """

    def __init__(self, families: Families, op: str, flying: list[None]) -> None:
        self.made: list[None] = []
        self.spare: list[CountedCall] = []
        self._landed = flying.pop
        self._families = families
        self._op = op
        self._lock, self._numbers = families.lock, families.board.numbers
        room = op.partition(".")[0] if "." in op else "other"
        with families.lock:
            self._ok = families["calls_total"].place((op, "ok"))
            self._took = families["call_duration_seconds"].place((room,))
        self._sum = self._took + len(CALL) + 1

    def end(self, call: CallEnd) -> None:
        """A call has ended."""
        if not (call.waits or call.memory):
            self._landed()
        if call.outcome != "ok" or call.waits or call.memory:
            self.ended_otherwise(call)
        else:
            self.answered(call.seconds)

    def answered(self, seconds: float) -> None:
        """As most end."""
        numbers = self._numbers
        with self._lock:
            numbers[self._ok] += 1.0
            numbers[self._took + bisect_left(CALL, seconds)] += 1.0
            numbers[self._sum] += seconds

    def ended_otherwise(self, call: CallEnd) -> None:
        """It failed; or its duration says nothing of the server."""
        outcome: str = "memory" if call.memory else call.outcome
        if outcome == "failed":
            outcome = _OUTCOMES.get(call.error, "other")
        asked = not (call.waits or call.memory)
        with self._lock:
            self._numbers[self._families["calls_total"].place((self._op, outcome))] += 1.0
            if asked and outcome != "cancelled":
                self._numbers[self._took + bisect_left(CALL, call.seconds)] += 1.0
                self._numbers[self._sum] += call.seconds


class CountedCall:
    """``with``: a call that is counted as by ``CallSeries.end``. began: when, by the steady clock."""

    __slots__ = ("_op", "_series", "began")

    def __init__(self, series: CallSeries, op: str) -> None:
        self._series, self._op = series, op
        self.began = 0.0
        series.made.append(None)

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        series = self._series
        try:
            if error is None:
                series.answered(time.monotonic() - self.began)
            else:
                series.ended_otherwise(ended(CallStart((self._op,)), time.monotonic() - self.began, error))
        except Exception:  # noqa: BLE001 - what counts must not change what a call did
            _log.exception("a call was not counted; it goes on")
        series.spare.append(self)


class Metrics(Counting):
    """A hook: ``HustleX(url, hook=metrics)``, and the text of ``GET /metrics``: ``metrics.text()``.

    directory: for services of several processes, one for each service and machine, empty when it starts; each process'
    ``text`` then tells of all. See ``process_metrics`` for the one of this process.
    """

    def __init_subclass__(cls) -> None:
        if cls.__call__ is not Metrics.__call__:
            cls.count = _in_words  # type: ignore[assignment]

    def __init__(self, directory: str | None = None) -> None:
        """Raises ConfigurationError when the directory cannot be used."""
        self._shared = SharedBoards(check.text("directory", directory)) if directory is not None else None
        self._fronts: weakref.WeakSet[Any] = weakref.WeakSet()
        self.drivers: weakref.WeakSet[Any] = weakref.WeakSet()
        """Those that belong to no front, and whose connections are told of."""
        self._sources: list[Source] = [_of_process]
        self._file = -1
        self._refreshing = threading.Lock()
        self._fresh()
        _all.add(self)
        forks.watch(self)

    def _fresh(self) -> None:
        """Nothing is counted yet, in this process."""
        memory = anonymous()
        if self._shared is not None:
            memory, self._file = self._shared.claim()
        self.families = Families(Board(memory))
        self._calls: dict[str, CallSeries] = {}
        self.callers = CallerSketch()
        self._pulled = Pulled()
        self._refresh_at = 0.0 if self._shared is not None else float("inf")
        self._flying: list[None] = []

    def forked(self) -> None:
        """See ``core.forks``: what the parent counted is the parent's, and so is its file."""
        self._refreshing = threading.Lock()
        if self._file >= 0:
            os.close(self._file)
        self._fresh()

    # -- what it is told

    def __call__(self, start: CallStart) -> End:
        if time.monotonic() > self._refresh_at:
            self.refresh()
        if not (start.waits or start.memory):
            self._flying.append(None)
        op = start.ops[0] if len(start.ops) == 1 else start.op
        return (self._calls.get(op) or self._series(op)).end

    def _series(self, op: str) -> CallSeries:
        series = self._calls[op] = CallSeries(self.families, op, self._flying)
        return series

    def count(self, op: str) -> AbstractContextManager[object]:
        """See ``core.telemetry.Counting``."""
        began = time.monotonic()
        if began > self._refresh_at:
            self._try_to_refresh()
        try:
            call = self._calls[op].spare.pop()
        except (KeyError, IndexError):
            call = CountedCall(self._calls.get(op) or self._series(op), op)
        call.began = began
        return call

    def _in_flight(self) -> int:
        calls = list(self._calls.values())
        return len(self._flying) + sum(max(0, len(series.made) - len(series.spare)) for series in calls)

    def door(self, name: str, about: Any) -> DoorEnded | None:
        families = self.families
        if name == "jobs.enqueue_many":
            return partial(rooms.count_many, families)
        count = rooms.COUNTED.get(name)
        if count is None:
            return None

        def end(door: DoorEnd) -> None:
            for metric, labels in count(about, door):
                families[metric].add(labels)

        return end if not name.startswith("ratelimit.") else partial(self._decided, end, name, about)

    def _decided(self, end: DoorEnded, name: str, about: Any, door: DoorEnd) -> None:
        end(door)
        refused = rooms.refused(name, about, door)
        if refused is not None:
            self.callers.note(*refused)

    def attempt(self, start: AttemptStart) -> AttemptEnded:
        families = self.families

        def end(attempt: AttemptEnd) -> None:
            kind = start.type or "_unknown"
            families["tasks_total"].add((kind, start.queue, attempt.outcome))
            families["task_duration_seconds"].observe(attempt.seconds, (kind,))

        return end

    def leased(self, queue: str, count: int, waited_s: float) -> None:
        self.families["task_wait_seconds"].observe(waited_s, (queue,), count)

    def fired(self, outcome: str, delay_s: float) -> None:
        self.families["schedule_fires_total"].add((outcome,))
        if outcome == "fired":
            self.families["schedule_delay_seconds"].observe(max(delay_s, 0.0))

    def note(self, event: Any) -> None:
        rooms.noted(self.families, event)

    def join(self, front: Any) -> None:
        self._fronts.add(front)

    @property
    def fronts(self) -> list[Any]:
        """Those that tell it."""
        return list(self._fronts)

    # -- what it tells

    def ask(self, source: Source) -> None:
        """Ask this function for gauges before each answer, from now on."""
        self._sources.append(check.function("source", source))

    def refresh(self) -> None:
        """Ask for what is not told by itself: what fronts know, gauges. Every 5 s where other processes read it."""
        if not self._refreshing.acquire(blocking=False):
            return
        try:
            self._refresh_at = time.monotonic() + _EVERY_S if self._shared is not None else float("inf")
            for source in self._sources:
                source(self.families)
            self.families["calls_in_flight"].put(self._in_flight())
            self._pulled.write(self.families, list(self._fronts), list(self.drivers))
            for name, folded in self.families.folded():
                self.families["labels_folded"].put(folded, (name,))
        finally:
            self._refreshing.release()

    def _try_to_refresh(self) -> None:
        try:
            self.refresh()
        except Exception:  # noqa: BLE001 - a source that fails must not change what a call did
            _log.exception("what others know was not asked for; the call goes on")

    def text(self) -> bytes:
        """All metrics of this process (of all that share the directory), in Prometheus' text format 0.0.4."""
        self.refresh()
        figures = read(self.families.board.memory) if self._shared is None else self._shared.figures()
        return exposition(figures)


def _in_words(hook: Metrics, op: str) -> AbstractContextManager[object]:
    return Watch(hook, (op,))


def _of_process(families: Families) -> None:
    from hustlex import __version__

    families["process_resident_bytes"].put(resident_bytes())
    families["build_info"].put(1.0, (__version__, platform.python_version()))
    for kind, count in zip(KINDS, open_streams.counts, strict=True):
        families["event_streams"].put(count, (kind,))


_LOCK = threading.Lock()
_mine: list[Metrics] = []


def metrics_of(front: Any) -> Metrics | None:
    """Those that this front tells, among other hooks or alone."""
    return next((each for each in list(_all) if front in each.fronts), None)


def process_metrics() -> Metrics:
    """The metrics of this process, made when they are asked for first: ``HustleX(url, hook=process_metrics())``.

    What ``hustlex worker --health-port``, ``hustlex scheduler --health-port`` and ``metrics_router`` tell. In the
    directory HUSTLEX_METRICS_DIR, where that is set: then every process of the service tells of all of them.
    """
    with _LOCK:
        if not _mine:
            from hustlex.environment import metrics_dir

            _mine.append(Metrics(metrics_dir()))
        return _mine[0]
