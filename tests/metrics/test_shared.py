"""Several processes of one service: every one tells of all, no counter falls, and gauges go with their process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from hustlex.core.telemetry import CallEnd, CallStart
from hustlex.drivers.ports import free_port
from hustlex.metrics import Metrics
from hustlex.metrics.board import SIZE
from hustlex.metrics.shared import text_of
from tests.metrics.conftest import Numbers, numbers
from tests.support import forked

PATIENCE_S = 50

PROCESS = """
import sys
from hustlex.core.telemetry import CallEnd, CallStart
from hustlex.metrics.process import Metrics

metrics = Metrics(sys.argv[2])
for _ in range(int(sys.argv[1])):
    metrics(CallStart(("a.b",)))(CallEnd(("a.b",), seconds=0.02))
metrics(CallStart(("a.b",)))
metrics.refresh()
print("counted", flush=True)
sys.stdin.read()
"""
CALLS = "hustlex_calls_total", ("a.b", "ok")


def count(metrics: Metrics, times: int) -> None:
    for _ in range(times):
        metrics(CallStart(("a.b",)))(CallEnd(("a.b",), seconds=0.02))


def start(folder: Path, times: int) -> subprocess.Popen[str]:
    process = forked.Popen(
        [sys.executable, "-c", PROCESS, str(times), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "counted\n"
    return process


def test_two_processes_and_one_that_is_killed(tmp_path: Path) -> None:
    mine = Metrics(str(tmp_path))
    count(mine, 3)
    others = [start(tmp_path, 10), start(tmp_path, 100)]
    try:
        found = told(mine)
        assert found[CALLS] == 113
        assert found["hustlex_calls_in_flight", ()] == 2
        assert found["hustlex_call_duration_seconds_count", ("a",)] == 113
        os.kill(others[0].pid, signal.SIGKILL)
        others[0].wait()
        for _ in range(2):
            found = told(mine)
            assert found[CALLS] == 113
            assert found["hustlex_calls_in_flight", ()] == 1
        assert len(list(tmp_path.glob("*.board"))) == 2
    finally:
        for process in others:
            process.communicate()
    assert numbers(text_of(str(tmp_path)))[CALLS] == 113


def told(metrics: Metrics) -> Numbers:
    return numbers(metrics.text())


def test_who_comes_later_goes_on_from_what_ended_ones_counted(tmp_path: Path) -> None:
    for times in (1, 2, 3):
        metrics = Metrics(str(tmp_path))
        count(metrics, times)
        os.close(metrics._file)
        metrics.families.board.numbers.release()
        del metrics
    assert numbers(text_of(str(tmp_path)))[CALLS] == 6


def test_a_crash_while_tidying_counts_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start(tmp_path, 5)
    process.communicate()

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", crash)
        with pytest.raises(KeyboardInterrupt):
            text_of(str(tmp_path))
    assert len(list(tmp_path.glob("*.board"))) == 1
    for _ in range(2):
        assert numbers(text_of(str(tmp_path)))[CALLS] == 5
    assert list(tmp_path.glob("*.board")) == []


def test_what_is_no_board_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "1-a.board").write_bytes(b"short")
    (tmp_path / "2-b.board").write_bytes(bytes(SIZE))
    (tmp_path / "ended.json").write_bytes(b"no json")
    metrics = Metrics(str(tmp_path))
    count(metrics, 1)
    assert told(metrics)[CALLS] == 1


def test_a_forked_child_counts_for_itself(tmp_path: Path) -> None:
    metrics = Metrics(str(tmp_path))
    count(metrics, 2)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        count(metrics, 5)
        os.write(writer, b"1")
        os._exit(0)
    assert os.read(reader, 1) == b"1"
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    assert told(metrics)[CALLS] == 7


APP = """
import os
from hustlex.core.telemetry import CallEnd, CallStart
from hustlex.metrics import process_metrics

metrics, name = process_metrics(), (f"pid.{os.getpid()}",)
metrics(CallStart(name))(CallEnd(name, seconds=0.02))

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": metrics.text()})
"""


def scraped(port: int) -> dict[int, float]:
    """What any of the processes that listen there tells of all: calls by process."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/metrics")
        found = numbers(connection.getresponse().read())
    except (OSError, HTTPException):
        return {}
    finally:
        connection.close()
    calls = {labels[0]: value for (name, labels), value in found.items() if name == "hustlex_calls_total"}
    return {int(op.removeprefix("pid.")): value for op, value in calls.items()}


@pytest.mark.timeout(2 * PATIENCE_S)
def test_whichever_worker_of_uvicorn_answers_tells_of_all(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "shop.py").write_text(APP)
    known = {**os.environ, "HUSTLEX_METRICS_DIR": str(tmp_path / "metrics")}
    command = [sys.executable, "-m", "uvicorn", "shop:app", "--port", str(port), "--workers", "2", "--lifespan", "off"]
    server = subprocess.Popen(command, cwd=tmp_path, env=known, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + PATIENCE_S
        while list(scraped(port).values()) != [1.0, 1.0]:
            assert time.monotonic() < until and server.poll() is None
            time.sleep(0.05)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=PATIENCE_S)
