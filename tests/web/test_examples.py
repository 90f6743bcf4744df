"""The examples that people copy: their own visitors walk through them, on a real server, with real workers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from examples import visit
from examples.run import HERE, processes
from examples.visit import until, walk_of
from hustlex.app import HustleX
from hustlex.drivers.ports import free_port
from hustlex.jobs import Tasks
from hustlex.sync import HustleX as BlockingHustleX
from hustlex.testing import patient
from hustlex.worker import Worker
from tests.conftest import PATIENCE, SECRET
from tests.support.go import compiled

ROOT = HERE.parent
NAMES = ("crawl", "shop", "flask_notes", "django_polls", "go_resize")
LONGEST = 150


@pytest.fixture(autouse=True)
def environment(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``examples.run`` makes it, with fronts that wait for a busy machine's server."""
    monkeypatch.setenv("HUSTLEX_URL", url)
    monkeypatch.setenv("HUSTLEX_SECRET", SECRET.decode())
    monkeypatch.setenv("HUSTLEX_DATA", str(tmp_path))
    for name, front in (("shop", HustleX), ("crawl", HustleX), ("flask_notes", BlockingHustleX)):
        monkeypatch.setattr(f"examples.{name}.app.HustleX", partial(front, **patient()))


@contextmanager
def working(tasks: Tasks) -> Iterator[None]:
    """A worker beside the test, in a thread."""
    made: list[tuple[asyncio.AbstractEventLoop, Worker]] = []
    started = threading.Event()

    async def run() -> None:
        async with HustleX(os.environ["HUSTLEX_URL"], timeout=PATIENCE) as hx:
            worker = Worker(hx.driver, tasks)
            made.append((asyncio.get_running_loop(), worker))
            started.set()
            await worker.run()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert started.wait(60)
    try:
        yield
    finally:
        loop, worker = made[0]
        loop.call_soon_threadsafe(worker.stop)
        thread.join()


@contextmanager
def serving(app: Any) -> Iterator[httpx.Client]:
    """An ASGI application on a port of its own, in a thread, and a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            until(lambda: server.started)
            with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def walked(name: str, client: httpx.Client, **options: Any) -> list[str]:
    """What the visitor tells; it raises when something is not as it should be."""
    walk: Any = walk_of(name)
    return list(walk(client, **options))


def test_the_shop() -> None:
    from examples.shop.app import app, tasks

    with serving(app) as client, working(tasks):
        assert len(walked("shop", client)) == 5


def test_the_crawl() -> None:
    from examples.crawl.app import app

    with serving(app) as client:
        begun, told = walked("crawl", client, pages=60)
        assert begun == "60 crawls enqueued"
        assert told.startswith("60 pages read")


def test_the_notes() -> None:
    from examples.flask_notes.app import create_app, open_front, tasks

    with open_front() as hx, working(tasks):
        transport = httpx.WSGITransport(app=create_app(hx))
        with httpx.Client(transport=transport, base_url="http://127.0.0.1") as client:
            assert len(walked("flask_notes", client)) == 5


def test_the_polls_by_their_two_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """As a reader types them; Django's settings are one for all of a process, so it cannot run in this one."""
    port = str(free_port())
    command = [sys.executable, "-m", "examples.run", "django_polls", port]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        try:
            told = list(takewhile(lambda line: line != "ready\n", running.stdout or ()))
            visit.main("django_polls", port)
        finally:
            running.send_signal(signal.SIGINT)
        rest = running.communicate()[0]
    assert running.returncode == 0, "".join(told) + rest
    assert capsys.readouterr().out.endswith("all as it should be\n")


@pytest.mark.timeout(300, func_only=True)
def test_go_beside_python(tmp_path_factory: pytest.TempPathFactory) -> None:
    from examples.go_resize.app import app, tasks

    binary = compiled(tmp_path_factory, HERE / "go_resize", "example-resize")
    with serving(app) as client, working(tasks), subprocess.Popen([str(binary)], stderr=subprocess.DEVNULL) as worker:
        try:
            assert len(walked("go_resize", client)) == 3
        finally:
            worker.terminate()


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_short_and_says_its_two_commands(name: str) -> None:
    files = [path for path in (HERE / name).iterdir() if path.suffix in (".py", ".go")]
    assert sum(len(path.read_text("utf-8").splitlines()) for path in files if path.stem != "walk") < LONGEST
    texts = "".join(path.read_text("utf-8") for path in files)
    assert f"python -m examples.run {name}" in texts
    assert f"python -m examples.visit {name}" in texts
    assert "web" in processes(name, "8000")
    assert name in (ROOT / "examples" / "README.md").read_text("utf-8")
