"""What a line of a log says of where it was written."""

from __future__ import annotations

from opentelemetry import trace

from hustlex.jobs.define.context import CURRENT


def trace_fields() -> dict[str, str]:
    """trace_id and span_id of the span here, and of the job that runs here task_id, task_type, queue and attempt.

    For a processor of structlog or a filter of ``logging``: what there is none of is left out.
    """
    found: dict[str, str] = {}
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        found |= {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
    job = CURRENT.get(None)
    if job is not None:
        found |= {"task_id": job.id, "task_type": job.type, "queue": job.queue, "attempt": str(job.retried + 1)}
    return found
