"""gunicorn with uvicorn workers, forked from an application that is imported once, and one file of metrics each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from hustlex.drivers.ports import free_port
from tests.metrics.conftest import numbers

APP = """
import asyncio
import os

from fastapi import FastAPI

from hustlex import HustleX
from hustlex.telemetry import process_hook
from hustlex.testing import patient
from hustlex.web import Front, install, lifespan, metrics_router

hx = HustleX(os.environ["HUSTLEX_URL"], hook=process_hook(), **patient())
asyncio.run(hx.jobs.enqueue("before:fork", queue="low"))
app = FastAPI(lifespan=lifespan(lambda: hx))
install(app)
app.include_router(metrics_router())


@app.get("/work")
async def work(front: Front) -> int:
    await front.jobs.enqueue("mail:welcome")
    return os.getpid()
"""
COMMAND = "-m gunicorn ajo:app -k uvicorn_worker.UvicornWorker --workers 2 --preload --no-control-socket --timeout 0"


@pytest.fixture
def site(url: str, tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Its port; both workers take requests."""
    (tmp_path / "ajo.py").write_text(APP, "utf-8")
    port = free_port()
    command = [sys.executable, *COMMAND.split(), "--bind", f"127.0.0.1:{port}"]
    env = os.environ | {"HUSTLEX_URL": url, "HUSTLEX_METRICS_DIR": str(tmp_path / "metrics")}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as master:
        try:
            ready(master, 2)
            yield port, master
        finally:
            master.terminate()


def ready(master: subprocess.Popen[str], workers: int) -> None:
    """Return when so many more take requests."""
    said = ""
    while said.count("Application startup complete") < workers:
        line = master.stderr.readline()  # type: ignore[union-attr]
        assert line, said
        said += line


def get(port: int, path: str) -> bytes:
    with closing(HTTPConnection("127.0.0.1", port, timeout=50)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read()


def test_processes_forked_from_one_have_connections_of_their_own_and_tell_of_all(
    site: tuple[int, subprocess.Popen[str]],
) -> None:
    port, master = site
    first = int(get(port, "/work"))
    os.kill(first, signal.SIGKILL)
    ready(master, 1)
    assert int(get(port, "/work")) != first
    told = numbers(get(port, "/metrics"))
    assert told["hustlex_enqueued_total", ("enqueued", "default")] == 2
    assert told["hustlex_enqueued_total", ("enqueued", "low")] == 1  # by the one that all were forked from
    master.terminate()
    assert master.wait(50) == 0
