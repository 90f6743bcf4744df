"""Traces come by themselves where a process has a tracer provider: nobody has to hand a hook to a worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from hustlex.app import HustleX
from hustlex.errors import ConfigurationError
from hustlex.jobs.wire import decode_task
from hustlex.metrics import process_metrics
from hustlex.otel import OpenTelemetry
from hustlex.telemetry import Combined, process_hook, together, tracing
from tests.conftest import PATIENCE
from tests.metrics.traced import mail
from tests.support import forked
from tests.worker.support import until

ROOT = Path(__file__).parents[2]


async def test_a_request_its_job_and_the_retry_are_one_trace(url: str, raw: redis.Redis, tmp_path: Path) -> None:
    spans, request = tmp_path / "spans", TracerProvider()
    spans.touch()
    worker = forked.Popen(
        [sys.executable, "-m", "hustlex", "worker", "tests.metrics.traced", "--url", url, "--queue", "default"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SPANS": str(spans)},
        stderr=subprocess.PIPE,
    )

    def told() -> list[dict[str, Any]]:
        lines = spans.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    try:
        async with HustleX(url, timeout=PATIENCE, hook=OpenTelemetry(tracer_provider=request)) as hx:
            with request.get_tracer("test").start_as_current_span("POST /users") as span:
                await hx.jobs.enqueue(mail.job("ada@example.com"), task_id="t", retention=PATIENCE)
            await until(lambda: worker.poll() is not None or len(told()) >= 2)
            stored = decode_task(raw.hget("asynq:{default}:t:t", "msg"))
    finally:
        worker.send_signal(signal.SIGTERM)
        _, errors = worker.communicate(timeout=50)
    assert worker.returncode == 0, errors
    first, second = told()
    assert [(each["name"], each["attempt"]) for each in (first, second)] == [
        ("process default", 1),
        ("process default", 2),
    ]
    wanted = f"{span.get_span_context().trace_id:032x}"
    assert first["trace"] == second["trace"] == wanted
    assert first["parent"] == second["parent"] != ""
    assert stored.headers["traceparent"].split("-")[1] == wanted  # as Go reads it, after the retry too
    assert b"ada@" not in errors and "ada@" not in spans.read_text()


def test_a_process_tells_its_metrics_and_traces_only_where_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hustlex.metrics.process._mine", [])
    assert tracing() is None and process_hook() is process_metrics()
    monkeypatch.setattr(trace, "get_tracer_provider", TracerProvider)
    assert isinstance(tracing(), OpenTelemetry)
    assert isinstance(process_hook(), Combined)
    assert together(None, None) is None
    monkeypatch.setenv("HUSTLEX_TRACE_CALLS", "2")
    with pytest.raises(ConfigurationError, match="HUSTLEX_TRACE_CALLS"):
        process_hook()
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert tracing() is None
