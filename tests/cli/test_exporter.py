"""``hustlex exporter`` and the port of a scheduler, as an operator starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from examples.gigs import tour
from examples.gigs.tour import wait_for
from hustlex.drivers.ports import free_port
from hustlex.sync import HustleX
from tests.cli import inside
from tests.cli.backend import ROOT
from tests.support import forked

MODULE = """
from hustlex import Tasks
from hustlex.jobs import Job

tasks = Tasks()
tasks.cron("often", "@every 1s", Job("tick"))
"""
Run = Callable[..., tuple[subprocess.Popen[str], int]]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tour, "_PATIENCE_SECONDS", 90.0)


@pytest.fixture
def run(url: str, tmp_path: Path) -> Iterator[Run]:
    begun: list[subprocess.Popen[str]] = []

    def begin(*words: str, option: str) -> tuple[subprocess.Popen[str], int]:
        port = free_port()
        command = [sys.executable, "-m", "hustlex", *words, "--url", url, option, str(port)]
        known = {**os.environ, "PYTHONPATH": str(ROOT)}
        begun.append(forked.Popen(command, cwd=tmp_path, env=known, stderr=subprocess.PIPE, text=True))
        return begun[-1], port

    yield begin
    for process in begun:
        process.kill()
        process.communicate(timeout=60)


def get(port: int, path: str) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    with suppress(OSError, HTTPException):
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    return ""


def test_the_exporter_answers_and_ends_when_it_is_told_to(run: Run, url: str) -> None:
    with HustleX(url) as hx:
        hx.jobs.enqueue("t", b"", queue="mail")
    exporter, port = run("exporter", option="--port")
    assert wait_for(lambda: 'hustlex_queue_work{queue="mail"} 1' in get(port, "/metrics"))
    assert json.loads(get(port, "/scale?queue=mail"))["work"] == 1
    assert "/scale" in get(port, "/other")
    exporter.send_signal(signal.SIGTERM)
    assert exporter.wait(timeout=60) == 0


def test_a_scheduler_tells_what_it_fired(run: Run, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(MODULE)
    _, port = run("scheduler", "shop", option="--health-port")
    assert wait_for(lambda: 'hustlex_schedule_fires_total{outcome="fired"}' in get(port, "/metrics"))
    assert json.loads(get(port, "/health")) == {"ok": True, "trouble": ""}


def test_the_files_are_written_and_nothing_is_started(tmp_path: Path) -> None:
    ran = inside.hustlex("exporter", "--files", str(tmp_path / "ops"))
    assert [Path(line).name for line in ran.stdout.splitlines()] == ["grafana.json", "alerts.yaml", "keda.yaml"]
    assert (tmp_path / "ops" / "alerts.yaml").exists()
