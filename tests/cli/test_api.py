"""``hustlex api`` in a process of its own: who is believed, what is shown, how long it waits, and that it stops."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from hustlex.cli import collector
from hustlex.cli.main import cli
from hustlex.cli.serving import lingering, proxies, without_documentation
from hustlex.drivers.ports import free_port
from hustlex.errors import ConfigurationError

APP = """
import os
from fastapi import FastAPI, Request

app = FastAPI()
mounted = FastAPI()
app.mount("/v2", mounted)

@app.get("/gc")
async def collector() -> list[int]:
    import gc

    return [gc.get_freeze_count(), *gc.get_threshold()]

@app.get("/who")
async def who(request: Request) -> dict[str, str]:
    return {"client": request.client.host, "scheme": request.url.scheme}
"""


@contextmanager
def serving(place: Path, *options: str, text: str = APP, **environment: str) -> Iterator[tuple[int, Any]]:
    """The port of a running ``hustlex api``, and its process."""
    (place / "served.py").write_text(text)
    port = free_port()
    command = [sys.executable, "-m", "hustlex", "api", "served", "--port", str(port), *options]
    with subprocess.Popen(command, cwd=place, env={**os.environ, **environment}, stderr=subprocess.PIPE) as process:
        try:
            while process.poll() is None:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
            yield port, process
        finally:
            process.kill()


def get(port: int, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers, timeout=60, verify=False)


FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
DOCUMENTS = ("/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect", "/v2/docs", "/v2/openapi.json")


@pytest.mark.timeout(450)
def test_what_is_safe_by_default(tmp_path: Path) -> None:
    with serving(tmp_path, HUSTLEX_ENV="production", FORWARDED_ALLOW_IPS="*") as (port, _):
        answer = get(port, "/who", **FORWARDED)
        assert answer.json() == {"client": "127.0.0.1", "scheme": "http"}
        assert "server" not in answer.headers
        assert {get(port, path).status_code for path in DOCUMENTS} == {404}
        with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
            link.sendall(b"GET /who HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 20_000)
            assert link.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.timeout(450)
def test_what_is_asked_for(tmp_path: Path) -> None:
    options = ("--proxy-headers", "--forwarded-allow-ips", "127.0.0.0/8", "--docs", "--limit-concurrency", "2")
    with serving(tmp_path, *options, HUSTLEX_ENV="production") as (port, _):
        assert get(port, "/who", **FORWARDED).json() == {"client": "203.0.113.9", "scheme": "https"}
        assert {get(port, path).status_code for path in DOCUMENTS} == {200}
        with socket.create_connection(("127.0.0.1", port)):
            assert get(port, "/who").status_code == 503


@pytest.mark.timeout(450)
def test_headers_that_do_not_come_are_not_waited_for(tmp_path: Path) -> None:
    with serving(tmp_path, "--header-timeout", "0.3") as (port, _):
        half = [b"", b"GET /who HTT", b"GET /who HTTP/1.1\r\nHost: a\r\nX-A: "]
        links = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in half]
        for link, words in zip(links, half, strict=True):
            link.sendall(words)
        assert [link.recv(100) for link in links] == [b"", b"", b""]
        kept = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for _ in range(2):
            kept.request("GET", "/who")
            assert kept.getresponse().read()
        kept.sock.sendall(b"GET /")
        assert kept.sock.recv(100) == b""
        for link in (*links, kept):
            link.close()


STREAM = """
import asyncio
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()

@app.get("/slow")
async def slow() -> StreamingResponse:
    async def body():
        yield b"begun"
        await asyncio.sleep(1)
        yield b"ended"
    return StreamingResponse(body())
"""


@pytest.mark.timeout(450)
def test_an_answer_under_way_outlives_the_header_limit_and_the_stop(tmp_path: Path) -> None:
    with serving(tmp_path, "--header-timeout", "0.1", text=STREAM) as (port, process):
        with httpx.stream("GET", f"http://127.0.0.1:{port}/slow", timeout=60, verify=False) as answer:
            chunks = answer.iter_bytes()
            assert next(chunks) == b"begun"
            process.send_signal(signal.SIGTERM)
            assert b"".join(chunks) == b"ended"
        assert process.wait(60) in (0, -signal.SIGTERM)


SILENCE = """
import asyncio
from contextlib import asynccontextmanager
from fastapi import FastAPI, Request
from hustlex.web import sse_response

app = FastAPI()

class Silence:
    def __aiter__(self):
        return self

    async def __anext__(self):
        await asyncio.Event().wait()

@asynccontextmanager
async def silent():
    yield Silence()

@app.get("/events")
async def events(request: Request):
    return await sse_response(request, silent(), authorize=None)
"""


@pytest.mark.timeout(450)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_open_event_stream_ends_with_the_server(tmp_path: Path, number: int) -> None:
    """Politely: a stream that was cut off by the end of the grace would have no last chunk."""
    with serving(tmp_path, text=SILENCE) as (port, process):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
            link.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
            heard = b""
            while not heard.endswith(b":\n\n\r\n"):
                heard += link.recv(1000)
            process.send_signal(number)
            while chunk := link.recv(1000):
                heard += chunk
        assert heard.endswith(b"0\r\n\r\n")
        assert process.wait(60) in (0, -number)
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--forwarded-allow-ips", "10.0.0.1"], "works with --proxy-headers alone"),
        (["--proxy-headers", "--forwarded-allow-ips", "proxy.local"], "which is no address"),
        (["--proxy-headers", "--forwarded-allow-ips", "10.0.0.0/99"], "which is no address"),
        (["--proxy-headers", "--forwarded-allow-ips", "10.0.0.1/8"], "which is no address"),
        (["--proxy-headers", "--forwarded-allow-ips", ""], "which is no address"),
        (["--host", "999.1.1.1"], "cannot listen on 999.1.1.1"),
        (["--host", "::1x"], "cannot listen on ::1x"),
    ],
)
def test_wrong_options_are_one_sentence(arguments: Sequence[str], words: str) -> None:
    error = CliRunner().invoke(cli, ["api", "served", *arguments]).exception
    assert isinstance(error, ConfigurationError)
    assert words in str(error)


def test_proxies_are_addresses_networks_or_everybody() -> None:
    assert proxies(False, None) == ["127.0.0.1"]
    assert proxies(True, ["10.0.0.1, 10.1.0.0/16", "fd00::/8"]) == ["10.0.0.1", "10.1.0.0/16", "fd00::/8"]
    assert proxies(True, ["10.0.0.1", "*"]) == ["*"]


def test_only_fastapis_own_pages_are_taken_out() -> None:
    app = FastAPI(redoc_url=None)
    inner = FastAPI(docs_url="/help")
    app.mount("/inner", inner)

    @app.get("/redoc")
    async def mine() -> str:
        return "mine"

    class Wrapper:
        def __init__(self, app: object) -> None:
            self.app = app

    without_documentation(Wrapper(Wrapper(app)))
    assert [route.path for route in app.routes] == ["/inner", "/redoc"]
    assert inner.routes == []
    without_documentation(object())
    assert json.dumps(app.openapi())


@pytest.mark.parametrize(("freeze", "frozen"), [("true", True), ("false", False)])
def test_what_the_start_made_is_left_out_of_collections(tmp_path: Path, freeze: str, frozen: bool) -> None:
    with serving(tmp_path, HUSTLEX_FREEZE_GC=freeze) as (port, _):
        count, *thresholds = get(port, "/gc").json()
    assert (count > 10_000, thresholds == [*collector._THRESHOLDS]) == (frozen, frozen)


class Told:
    """uvicorn's server as far as a drain knows it."""

    def __init__(self) -> None:
        self.server_state = SimpleNamespace(default_headers=[])
        self.heard: list[object] = []

    def handle_exit(self, sig: int, frame: object) -> None:
        self.heard.append(sig)

    async def on_tick(self, counter: int) -> bool:
        self.server_state.default_headers = [(b"date", b"now")]
        return True

    async def shutdown(self, sockets: object = None) -> None:
        self.heard.append([*self.server_state.default_headers])


@pytest.mark.parametrize(("seconds", "signals"), [(0.01, 1), (600.0, 2)])
async def test_a_drain_lasts_its_time_or_until_the_second_signal(
    monkeypatch: pytest.MonkeyPatch, seconds: float, signals: int
) -> None:
    """What it is like for customers: tests/rollout."""
    told = threading.Event()
    monkeypatch.setattr("hustlex.cli.serving.stopping", told)
    server = lingering(Told, seconds)()
    server.handle_exit(signal.SIGTERM, None)
    draining = asyncio.create_task(server.shutdown())
    while not server.server_state.default_headers:
        await asyncio.sleep(0.001)
    assert told.is_set()
    for _ in range(signals - 1):
        server.handle_exit(signal.SIGTERM, None)
    await draining
    headers = [(b"date", b"now"), (b"connection", b"close")]
    assert server.heard == [*[signal.SIGTERM] * signals, headers]


async def test_without_a_drain_an_end_is_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hustlex.cli.serving.stopping", threading.Event())
    server = lingering(Told, 0.0)()
    await server.shutdown()
    assert server.heard == [[]]
