"""Traces and instruments, kept in memory; and trace context in the headers of tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from hustlex.app import HustleX
from hustlex.core.op import Effect, Op, command
from hustlex.core.telemetry import Combined
from hustlex.errors import Misuse, Refused, Unsuccessful
from hustlex.jobs import Duplicate, Job, Retry, Tasks
from hustlex.jobs.wire import decode_task
from hustlex.metrics import Metrics
from hustlex.otel import OpenTelemetry, trace_fields
from hustlex.otel.hook import server_of
from hustlex.sync import HustleX as BlockingHustleX
from tests.conftest import PATIENCE, SECRET
from tests.worker.support import running, until

HOUR = timedelta(hours=1)
MOMENT = timedelta(milliseconds=1)


class Traces:
    """Spans by name, as they end."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    @property
    def ended(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.ended if span.name == name]


@pytest.fixture
def traces() -> Iterator[Traces]:
    traces = Traces()
    yield traces
    traces.provider.shutdown()


def trace_of(span: Any) -> int:
    return int(span.get_span_context().trace_id)


def span_of(span: Any) -> int:
    return int(span.get_span_context().span_id)


async def test_one_trace_shows_the_request_the_job_and_its_retry(url: str, traces: Traces) -> None:
    tasks, heard = Tasks(), []

    @tasks.task("mail")
    async def mail(to: str) -> None:
        heard.append(trace_fields())
        with traces.tracer.start_as_current_span("smtp"):
            await asyncio.sleep(0)
        if len(heard) == 1:
            raise Retry(in_=MOMENT)

    hook = OpenTelemetry(tracer_provider=traces.provider)
    async with HustleX(url, timeout=PATIENCE, hook=hook) as hx, running(hx.driver, tasks):
        with traces.tracer.start_as_current_span("POST /gigs") as request:
            await hx.jobs.enqueue(mail.job("ada@example.com"))
        await until(lambda: len(traces.named("process default")) == 2)
    [enqueue] = traces.named("enqueue default")
    first, second = traces.named("process default")
    assert {trace_of(span) for span in (enqueue, first, second)} == {trace_of(request)}
    assert enqueue.parent is not None and enqueue.parent.span_id == span_of(request)
    assert all(span.parent is not None and span.parent.span_id == span_of(enqueue) for span in (first, second))
    assert [span.parent.span_id for span in traces.named("smtp") if span.parent] == [span_of(first), span_of(second)]
    assert (enqueue.kind, first.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert first.status.status_code is StatusCode.ERROR and second.status.status_code is StatusCode.UNSET
    sent, ran = dict(enqueue.attributes or {}), dict(second.attributes or {})
    assert sent["messaging.system"] == ran["messaging.system"] == "asynq"
    assert sent["messaging.message.id"] == ran["messaging.message.id"]
    assert (sent["messaging.operation.type"], ran["messaging.operation.type"]) == ("send", "process")
    assert (sent["hustlex.task.type"], sent["hustlex.outcome"]) == ("mail", "enqueued")
    assert (ran["hustlex.task.attempt"], ran["hustlex.outcome"]) == (2, "done")
    assert (first.attributes or {})["error.type"] == "Retry"
    assert [fields["attempt"] for fields in heard] == ["1", "2"]
    assert {fields["trace_id"] for fields in heard} == {f"{trace_of(request):032x}"}
    assert "ada@" not in str([span.to_json() for span in traces.ended])


@pytest.mark.parametrize(
    ("parent", "options", "within"),
    [
        ("soon", {"process_in": MOMENT}, False),
        ("always", {"process_in": MOMENT}, True),
        ("soon", {}, True),
        ("never", {}, False),
    ],
)
async def test_which_attempts_stand_in_the_trace_of_the_producer(
    url: str, traces: Traces, parent: Any, options: dict[str, Any], within: bool
) -> None:
    tasks = Tasks()

    @tasks.task("t")
    async def t() -> None: ...

    hook = OpenTelemetry(tracer_provider=traces.provider, parent=parent)
    async with HustleX(url, timeout=PATIENCE, hook=hook) as hx, running(hx.driver, tasks):
        await hx.jobs.enqueue(t.job(), **options)
        await until(lambda: traces.named("process default"))
    [enqueue], [process] = traces.named("enqueue default"), traces.named("process default")
    assert (trace_of(process) == trace_of(enqueue)) is within
    assert [link.context.span_id for link in process.links] == [span_of(enqueue)]


async def test_headers_carry_the_trace_and_change_nothing_else(url: str, traces: Traces, raw: redis.Redis) -> None:
    async with HustleX(url, timeout=PATIENCE, hook=OpenTelemetry(tracer_provider=traces.provider)) as hx:
        first = await hx.jobs.enqueue("t", b"same", unique_for=HOUR, task_id="t1", headers={"mine": "1"})
        again = await hx.jobs.enqueue("t", b"same", unique_for=HOUR)
        own = {"traceparent": "00-11111111111111111111111111111111-2222222222222222-01"}
        await hx.jobs.enqueue("t", b"", task_id="t2", headers=own)
        many = await hx.jobs.enqueue_many([Job("t", b"", {"task_id": f"m{n}"}) for n in range(2)])
    assert first.or_raise().id == "t1" and isinstance(again, Duplicate) and len(many) == 2
    with pytest.raises(Unsuccessful):
        again.or_raise()

    def headers(task_id: str) -> dict[str, str]:
        return decode_task(raw.hget(f"asynq:{{default}}:t:{task_id}", "msg")).headers

    stored = decode_task(raw.hget("asynq:{default}:t:t1", "msg"))
    assert (stored.type, stored.payload, stored.queue, stored.id) == ("t", b"same", "default", "t1")
    assert stored.headers["mine"] == "1"
    assert stored.headers["traceparent"].split("-")[2] == f"{span_of(traces.named('enqueue default')[0]):016x}"
    assert headers("t2") == own
    assert headers("m0") == headers("m1") != headers("t1")


@pytest.mark.parametrize("broken", ["", "00-nothing", "ff-" + "0" * 32 + "-" + "0" * 16 + "-01"])
async def test_a_malformed_context_is_ignored(url: str, traces: Traces, broken: str) -> None:
    tasks = Tasks()

    @tasks.task("t")
    async def t() -> None: ...

    async with HustleX(url, timeout=PATIENCE) as plain:
        await plain.jobs.enqueue("t", None, headers={"traceparent": broken})
    hook = OpenTelemetry(tracer_provider=traces.provider)
    async with HustleX(url, timeout=PATIENCE, hook=hook) as hx, running(hx.driver, tasks):
        await until(lambda: traces.named("process default"))
    [process] = traces.named("process default")
    assert process.parent is None and not process.links


def test_blocking_rooms_have_spans_and_calls_are_sampled(url: str, traces: Traces) -> None:
    hook = OpenTelemetry(tracer_provider=traces.provider, calls=1)
    with BlockingHustleX(url, secret=SECRET, timeout=PATIENCE, hook=hook) as hx:
        hx.pins.reset("u1")
        with pytest.raises(Misuse):
            hx.pins.reset("")
    good, bad = traces.named("pins.reset")[-2:]
    [call, room] = [span for span in traces.ended if span.name == "pins.reset"][:2]
    assert (call.kind, room.kind) == (SpanKind.CLIENT, SpanKind.INTERNAL)
    assert call.parent is not None and call.parent.span_id == span_of(room)
    place = {"server.address": urlsplit(url).hostname, "server.port": urlsplit(url).port}
    sent = {"db.operation.name": "EVALSHA", "db.stored_procedure.name": "pins.reset"}
    assert dict(call.attributes or {}) == {"db.system.name": "redis", "db.query.summary": "pins.reset"} | sent | place
    assert dict(room.attributes or {}) == {"hustlex.room": "pins", "hustlex.outcome": "bool"}
    assert bad.status.status_code is StatusCode.ERROR and (bad.attributes or {})["error.type"] == "Misuse"
    assert good is room


async def test_a_span_says_what_was_sent_and_how_it_was_refused(url: str, traces: Traces, raw: redis.Redis) -> None:
    raw.rpush("list", "x")

    def get(name: str, key: str = "list") -> Op[object]:
        return command(name, Effect.READ, "GET", key, keys=(key,), decode=bool)

    hook = OpenTelemetry(tracer_provider=traces.provider, calls=1)
    async with HustleX(url, timeout=PATIENCE, hook=hook) as hx:
        with pytest.raises(Refused):
            await hx.driver.run(get("test.one"))
        await hx.driver.run_many([get("test.two"), get("test.two", "other")])
        strlen = command("test.length", Effect.READ, "STRLEN", "other", keys=("other",), decode=int)
        await hx.driver.run_many([get("test.three", "other"), strlen])
    told = {
        span.name: [(span.attributes or {}).get(f"db.{name}") for name in ("operation.name", "response.status_code")]
        for span in traces.ended
    }
    assert told["test.one"] == ["GET", "WRONGTYPE"]
    assert told["test.two"] == ["PIPELINE GET", "WRONGTYPE"]
    assert told["batch"] == ["PIPELINE", None]


async def test_instruments_are_the_conventional_ones_and_our_counts(url: str, metrics: Metrics) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    tasks, traces = Tasks(), Traces()

    @tasks.task("t")
    async def t() -> None: ...

    ours = OpenTelemetry(meter_provider=provider, tracer_provider=traces.provider, metrics=metrics)
    async with HustleX(url, timeout=PATIENCE, hook=Combined(metrics, ours)) as hx, running(hx.driver, tasks):
        await hx.jobs.enqueue(t.job())
        await until(lambda: traces.named("process default"))
    found = {
        metric.name: metric.data.data_points
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    provider.shutdown()
    assert [point.count for point in found["messaging.process.duration"]] == [1]
    assert dict(found["messaging.process.duration"][0].attributes) == {
        "messaging.system": "asynq",
        "messaging.operation.name": "process",
        "messaging.destination.name": "default",
    }
    assert [point.value for point in found["messaging.client.sent.messages"]] == [1]
    assert [point.value for point in found["messaging.client.consumed.messages"]] == [1]
    assert sum(point.count for point in found["db.client.operation.duration"]) > 2
    assert [point.value for point in found["hustlex.tasks"]] == [1]
    assert {point.attributes["op"] for point in found["hustlex.calls"]} >= {"batch", "jobs.cycle"}


async def test_steps_of_a_workflow_link_to_who_started_it(url: str, traces: Traces) -> None:
    tasks = Tasks()

    @tasks.task("a")
    async def a() -> None: ...

    hook = OpenTelemetry(tracer_provider=traces.provider)
    async with HustleX(url, timeout=PATIENCE, hook=hook) as hx, running(hx.driver, tasks):
        await hx.jobs.start(a.job().then(a.job().with_options(headers={"mine": "1"})))
        await until(lambda: len(traces.named("process default")) == 2)
    [start] = traces.named("jobs.start")
    for process in traces.named("process default"):
        assert process.parent is None and [link.context.span_id for link in process.links] == [span_of(start)]


def test_outside_of_everything_there_is_nothing_to_add() -> None:
    assert trace_fields() == {}


@pytest.mark.parametrize("wrong", [{"calls": 2}, {"calls": "x"}, {"parent": "maybe"}, {"metrics": 1}])
def test_bad_arguments_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        OpenTelemetry(**wrong)


async def test_without_a_provider_nothing_is_kept_and_everything_works(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        async with HustleX(url, timeout=PATIENCE, hook=OpenTelemetry()) as hx:
            (await hx.jobs.enqueue("t", b"")).or_raise()
    assert caplog.records == []


@pytest.mark.parametrize("front", [HustleX, BlockingHustleX])
async def test_spans_say_which_server_was_asked(url: str, traces: Traces, front: Any) -> None:
    hook = OpenTelemetry(tracer_provider=traces.provider, calls=1)

    def blocking() -> None:
        with front(url, timeout=PATIENCE, hook=hook) as hx:
            hx.jobs.enqueue("t", b"")

    if front is HustleX:
        async with front(url, timeout=PATIENCE, hook=hook) as hx:
            await hx.jobs.enqueue("t", b"")
    else:
        await asyncio.to_thread(blocking)
    parts = urlsplit(url)
    place = {"server.address": parts.hostname, "server.port": parts.port}
    asked = [span for span in traces.ended if span.kind in (SpanKind.CLIENT, SpanKind.PRODUCER)]
    assert {span.kind for span in asked} == {SpanKind.CLIENT, SpanKind.PRODUCER}
    for span in asked:
        assert {name: (span.attributes or {}).get(name) for name in place} == place, span.name


@pytest.mark.parametrize(
    ("node", "place"),
    [
        ("10.0.0.7:6379", {"server.address": "10.0.0.7", "server.port": 6379}),
        ("[::1]:7000", {"server.address": "::1", "server.port": 7000}),
        ("redis.internal:6380", {"server.address": "redis.internal", "server.port": 6380}),
        ("/run/redis.sock", {"server.address": "/run/redis.sock"}),
        ("/run/odd:6379", {"server.address": "/run/odd:6379"}),
    ],
)
def test_a_server_in_attributes(node: str, place: dict[str, Any]) -> None:
    assert server_of(node) == place
