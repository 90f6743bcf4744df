"""An application as ``hustlex worker`` loads it: it sets a tracer provider, and tells the worker nothing."""

from __future__ import annotations

import json
import os
from datetime import timedelta

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from hustlex import Tasks
from hustlex.jobs import Retry, current_job


def line(span: ReadableSpan) -> str:
    context, parent = span.get_span_context(), span.parent
    assert context is not None
    told = {
        "name": span.name,
        "trace": f"{context.trace_id:032x}",
        "parent": f"{parent.span_id:016x}" if parent is not None else "",
        "attempt": (span.attributes or {}).get("hustlex.task.attempt"),
    }
    return json.dumps(told) + "\n"


if path := os.environ.get("SPANS"):
    provider = TracerProvider()
    exporter = ConsoleSpanExporter(out=open(path, "a", buffering=1), formatter=line)  # noqa: SIM115 - open to the end
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

tasks = Tasks()


@tasks.task("mail")
async def mail(to: str) -> None:
    """Fails once."""
    if current_job().retried == 0:
        raise Retry(in_=timedelta(milliseconds=1))
