"""The conventional instruments, and the counts of ``Metrics`` as observable ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry import metrics as api
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

from hustlex.core.telemetry import AttemptEnd, CallEnd, DoorEnd
from hustlex.metrics.board import Figures, read
from hustlex.metrics.declared import METRICS, Metric
from hustlex.metrics.process import Metrics
from hustlex.otel import conventions as names

_FRESH_S = 1.0


class Instruments:
    """Of one meter."""

    def __init__(self, name: str, provider: MeterProvider | None, metrics: Metrics | None) -> None:
        meter = api.get_meter(name, meter_provider=provider)
        self._process = meter.create_histogram(
            names.PROCESS_DURATION,
            unit="s",
            description="Duration of processing operation.",
            explicit_bucket_boundaries_advisory=names.PROCESS_BOUNDS,
        )
        self._operation = meter.create_histogram(
            names.CLIENT_DURATION,
            unit="s",
            description="Duration of messaging operation initiated by a producer or consumer client.",
            explicit_bucket_boundaries_advisory=names.PROCESS_BOUNDS,
        )
        self._sent = meter.create_counter(names.SENT, unit="{message}", description="Messages that were sent.")
        self._consumed = meter.create_counter(
            names.CONSUMED, unit="{message}", description="Messages that were delivered to the application."
        )
        self._db = meter.create_histogram(
            names.DB_DURATION,
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=names.DB_BOUNDS,
        )
        if metrics is not None:
            _observe(meter, metrics)

    def called(self, call: CallEnd) -> None:
        """A call to the server has ended."""
        given: dict[str, Any] = {names.DB_SYSTEM: names.REDIS, names.DB_SUMMARY: call.op, **names.of_call(call)}
        if call.error:
            given[names.ERROR] = call.error
        self._db.record(call.seconds, given)

    def sent(self, queue: str, count: int, door: DoorEnd) -> None:
        """Tasks were handed over."""
        given: dict[str, Any] = {names.SYSTEM: names.ASYNQ, names.OPERATION: "enqueue", names.OPERATION_TYPE: "send"}
        if queue:
            given[names.DESTINATION] = queue
        if door.error:
            given[names.ERROR] = door.error
        self._operation.record(door.seconds, given)
        self._sent.add(count, given)

    def processed(self, queue: str, attempt: AttemptEnd) -> None:
        """An attempt is over."""
        given: dict[str, Any] = {names.SYSTEM: names.ASYNQ, names.OPERATION: "process", names.DESTINATION: queue}
        if attempt.error:
            given[names.ERROR] = attempt.error
        self._process.record(attempt.seconds, given)
        self._consumed.add(1, given)


def _observe(meter: Meter, metrics: Metrics) -> None:
    """Each counter and gauge that one process has, under its name with dots: ``hustlex.otp_issue`` and so on."""
    look = _Collection(metrics)
    for metric in METRICS.values():
        if metric.fleet or metric.kind == "histogram":
            continue
        name = metric.name.replace("_", ".", 1).removesuffix("_total")
        make = meter.create_observable_counter if metric.kind == "counter" else meter.create_observable_gauge
        make(name, callbacks=[look.of(metric)], description=metric.about)


class _Collection:
    """One reading for all instruments of a collection."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._figures: Figures = {}
        self._until = float("-inf")

    def of(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        """The callback of one instrument."""

        def tell(_: CallbackOptions) -> Iterable[Observation]:
            if time.monotonic() > self._until:
                self._metrics.refresh()
                self._figures = read(self._metrics.families.board.memory)
                self._until = time.monotonic() + _FRESH_S
            for (name, labels), numbers in self._figures.items():
                if name == metric.name:
                    yield Observation(numbers[0], dict(zip(metric.labels, labels, strict=True)))

        return tell
