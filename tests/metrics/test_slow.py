"""The log of slow calls."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from hustlex.core.telemetry import CallEnd, CallStart
from hustlex.errors import Misuse
from hustlex.metrics import Metrics, SlowLog
from hustlex.metrics import slow as module

LIMIT = timedelta(milliseconds=100)


def call(log: SlowLog, op: str, seconds: float, **more: Any) -> None:
    end = log(CallStart((op,)))
    if end is not None:
        end(CallEnd((op,), seconds=seconds, **more))


def test_slow_calls_are_logged_some_of_them_and_all_are_counted(
    metrics: Metrics, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    log = SlowLog(LIMIT, per_minute=2, metrics=metrics)
    with caplog.at_level(logging.WARNING, "hustlex.slow"):
        call(log, "a.b", 0.1)
        for _ in range(5):
            call(log, "a.b", 0.25)
        call(log, "c.d", 0.5, outcome="failed", error="Unavailable")
        now[0] += 60
        call(log, "a.b", 0.3)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "a.b took 250 ms: ok",
        "a.b took 250 ms: ok",
        "c.d took 500 ms: Unavailable",
        "a.b took 300 ms: ok, and 3 more were not logged",
    ]
    last: Any = caplog.records[-1]
    assert (last.slow_op, last.slow_seconds, last.slow_left_out) == ("a.b", 0.3, 3)
    assert 'hustlex_slow_calls_total{op="a.b"} 6' in metrics.text().decode()


def test_what_waits_on_purpose_is_never_slow() -> None:
    assert SlowLog()(CallStart(("subscribe",), waits=True)) is None
    assert SlowLog()(CallStart(("tokens.check",), memory=True)) is None


@pytest.mark.parametrize("wrong", [{"over": 5}, {"over": timedelta(0)}, {"per_minute": 0}, {"metrics": "x"}])
def test_bad_arguments_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        SlowLog(**wrong)
