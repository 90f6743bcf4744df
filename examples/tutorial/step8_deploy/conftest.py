"""A gateway for text messages, and the settings of production."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

texts: list[str] = []


class Gateway(BaseHTTPRequestHandler):
    """Takes every message."""

    def do_POST(self) -> None:
        texts.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["text"])
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def gateway(hustlex_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The texts that it took."""
    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("HUSTLEX_ENV", "production")
        monkeypatch.setenv("AJO_ORIGINS", "https://ajo.example")
        monkeypatch.setenv("AJO_SMS_GATEWAY", f"http://127.0.0.1:{server.server_address[1]}/messages")
        texts.clear()
        yield texts
        server.shutdown()
        thread.join()
