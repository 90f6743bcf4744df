"""One trace from a request to the job that it enqueued and to each of its attempts, in whatever process they run."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Literal, get_args

from opentelemetry import context, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from hustlex.core import check
from hustlex.core.telemetry import (
    AttemptEnd,
    AttemptEnded,
    AttemptStart,
    CallEnd,
    CallStart,
    DoorEnd,
    DoorEnded,
    End,
    Telemetry,
)
from hustlex.environment import trace_options
from hustlex.metrics.process import Metrics
from hustlex.metrics.rooms import word
from hustlex.otel import conventions as names
from hustlex.otel.instruments import Instruments

Parent = Literal["soon", "always", "never"]

_LATER = "hustlex-trace"
"""Beside ``traceparent``, of a task that was to run some other time."""
_NAME = "hustlex"
_W3C = TraceContextTextMapPropagator()
_FAILED = ("retry", "archived", "lost", "uncounted", "put_off")
_ENQUEUE = ("jobs.enqueue", "jobs.enqueue_many")
_MOST_NAMES = 255


_SENDER: ContextVar[Span | None] = ContextVar("hustlex.otel.sender", default=None)
"""The span of the enqueue that is under way here: its calls tell which server took it."""


class OpenTelemetry(Telemetry):
    """A hook: ``HustleX(url, hook=OpenTelemetry())``; with others, ``Combined(process_metrics(), OpenTelemetry())``.

    tracer_provider, meter_provider: default the global ones. calls: the share of calls to the server that get a span of
    their own, 0 to 1; those that fail are on the spans around them all the same. parent: which attempts of a task stand
    in the trace of who enqueued it: "soon" those of tasks that were to run at once, retries included; "always";
    "never". The others begin a trace of their own, and link to it. metrics: counts that are told as instruments,
    too, under their names with dots; else there are the conventional ones alone.

    Spans have names and words: never a key, a payload, a phone or an error's text.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        calls: float = 0.0,
        parent: Parent = "soon",
        metrics: Metrics | None = None,
    ) -> None:
        """Raises Misuse."""
        self._share = check.number("calls", calls, 0, 1)
        self._parent = check.one_of("parent", parent, get_args(Parent))
        if metrics is not None:
            check.instance("metrics", metrics, Metrics, hint="pass process_metrics()")
        for option, value, part in (
            ("tracer_provider", tracer_provider, "get_tracer"),
            ("meter_provider", meter_provider, "get_meter"),
        ):
            if value is not None:
                check.protocol(option, value, part, hint="pass one of OpenTelemetry's, or None for the one that is set")
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        self._instruments = Instruments(_NAME, meter_provider, metrics)

    def __call__(self, start: CallStart) -> End | None:
        if start.memory or start.waits:
            return None
        span = None
        if self._share and random.random() < self._share:
            given: dict[str, Any] = {names.DB_SYSTEM: names.REDIS, names.DB_SUMMARY: start.op}
            if start.size > 1:
                given[names.DB_BATCH] = start.size
            span = self._tracer.start_span(start.op, kind=SpanKind.CLIENT, attributes=given)
        called = self._instruments.called

        def end(call: CallEnd) -> None:
            called(call)
            if call.node and (sender := _SENDER.get()) is not None:
                sender.set_attributes(server_of(call.node))
            if span is not None:
                span.set_attributes(names.of_call(call))
                if call.node:
                    span.set_attributes(server_of(call.node))
                _close(span, call.error)

        return end

    def door(self, name: str, about: Any) -> DoorEnded | None:
        sends = name in _ENQUEUE
        given: dict[str, Any] = {names.ROOM: name.partition(".")[0]}
        if sends:
            given |= {names.SYSTEM: names.ASYNQ, names.OPERATION: "enqueue", names.OPERATION_TYPE: "send"}
            given |= _of_job(about)
        kind = SpanKind.PRODUCER if sends else SpanKind.INTERNAL
        span = self._tracer.start_span("enqueue" if sends else name, kind=kind, attributes=given)
        token = context.attach(trace.set_span_in_context(span))
        _SENDER.set(span if sends and span.is_recording() else None)

        def end(door: DoorEnd) -> None:
            context.detach(token)
            _SENDER.set(None)
            if not door.error:
                span.set_attribute(names.OUTCOME, word(type(door.answer).__name__))
            if sends:
                self._sent(span, door)
            _close(span, door.error)

        return end

    def _sent(self, span: Span, door: DoorEnd) -> None:
        """What is known of an enqueue once it has an answer."""
        many = isinstance(door.answer, list)
        outcomes: Sequence[Any] = door.answer if many else [door.answer]
        if many:
            span.set_attribute(names.BATCH_COUNT, len(outcomes))
        queues = {str(getattr(outcome, "queue", "")) for outcome in outcomes} - {""}
        queue = queues.pop() if len(queues) == 1 else ""
        if queue:
            span.set_attribute(names.DESTINATION, queue)
            span.update_name(f"enqueue {queue}")
        if not many and (task_id := getattr(door.answer, "id", "")):
            span.set_attribute(names.MESSAGE_ID, str(task_id))
        self._instruments.sent(queue, len(outcomes), door)

    def headers(self, *, later: bool) -> Mapping[str, str]:
        """``traceparent`` and ``tracestate`` of the span here, as any language's workers read them."""
        found: dict[str, str] = {}
        _W3C.inject(found)
        return found | {_LATER: "later"} if found and later else found

    def attempt(self, start: AttemptStart) -> AttemptEnded:
        carried = _W3C.extract(dict(start.headers), context=context.Context())
        producer = trace.get_current_span(carried).get_span_context()
        later = _LATER in start.headers
        within = producer.is_valid and (self._parent == "always" or (self._parent == "soon" and not later))
        given: dict[str, Any] = {
            names.SYSTEM: names.ASYNQ,
            names.OPERATION: "process",
            names.OPERATION_TYPE: "process",
            names.DESTINATION: start.queue,
            names.MESSAGE_ID: start.id,
            names.TASK_TYPE: start.type,
            names.ATTEMPT: start.attempt,
            names.MAX_RETRY: start.max_retry,
        }
        span = self._tracer.start_span(
            f"process {start.queue}",
            context=carried if within else context.Context(),
            kind=SpanKind.CONSUMER,
            attributes=given,
            links=[Link(producer)] if producer.is_valid else [],
        )
        context.attach(trace.set_span_in_context(span))  # of the handler's own context, which ends with it
        processed = self._instruments.processed

        def end(attempt: AttemptEnd) -> None:
            span.set_attribute(names.OUTCOME, attempt.outcome)
            processed(start.queue, attempt)
            _close(span, (attempt.error or attempt.outcome) if attempt.outcome in _FAILED else "")

        return end


def configured() -> OpenTelemetry | None:
    """As the settings say, where the process has a tracer provider; else None."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    calls, parent = trace_options()
    return OpenTelemetry(calls=calls, parent=parent)


def _of_job(about: Any) -> dict[str, Any]:
    """What a job says before it is sent."""
    if about is None:
        return {}
    kind = about if isinstance(about, str) else getattr(about, "type", "")
    queue = getattr(about, "options", {}).get("queue", "default")
    return {names.TASK_TYPE: str(kind)[:_MOST_NAMES], names.DESTINATION: str(queue)[:_MOST_NAMES]}


@lru_cache(maxsize=1024)
def server_of(node: str) -> Mapping[str, str | int]:
    """``host:port`` or a socket's path, as attributes."""
    host, colon, port = node.rpartition(":")
    if node.startswith("/") or not colon or not port.isdecimal():
        return {names.SERVER_ADDRESS: node}
    return {names.SERVER_ADDRESS: host.strip("[]"), names.SERVER_PORT: int(port)}


def _close(span: Span, error: str) -> None:
    if error:
        span.set_attribute(names.ERROR, error)
        span.set_status(Status(StatusCode.ERROR))
    span.end()
