"""Requests that the example's own OpenAPI document suggests, and ones that break it, sent over a real socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
import redis
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from examples.gigs.app import create_app
from hustlex.otp import Delivery
from tests.conftest import SECRET
from tests.support.depth import examples

Statuses = dict[str, set[int]]
_BUDGETS = (b"ratelimit:", b"otp:{ip:", b"otp:{pfx:", b"otp:{blk:", b"otp:{cc:")
_STREAMS = {"/events"}
_OPEN = ("POST /gigs", "GET /users/me", "GET /gigs", "POST /auth/logout")
"""What a signed-in user with a valid request gets through: else nothing behind the doors was tried."""
_NOT_ITS_FAULT = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


class Served:
    """The example behind uvicorn, in a thread with a loop of its own."""

    def __init__(self) -> None:
        self.app = create_app()
        self._server = uvicorn.Server(uvicorn.Config(self.app, port=0, log_config=None, lifespan="on"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the example did not start"
            self._thread.join(0.01)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        self._loop = self._server.servers[0].get_loop()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(60)
        assert not self._thread.is_alive()

    def sign_in(self, phone: str) -> str:
        """An access token."""
        challenge = self._post("request", phone=phone)["challenge"]
        opening = self.app.state.hustlex.otp.open(challenge)
        delivery = asyncio.run_coroutine_threadsafe(opening, self._loop).result(60)
        assert isinstance(delivery, Delivery)
        proof = {"challenge": challenge, "code": delivery.code}
        token: str = self._post("verify", **proof)["access_token"]
        return token

    def _post(self, path: str, **body: str) -> Any:
        """Nothing is verified: reading the authorities takes longer than the request."""
        return httpx.post(f"{self.url}/auth/otp/{path}", json=body, timeout=60, verify=False).json()


@pytest.fixture
def served(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("HUSTLEX_URL", url)
    monkeypatch.setenv("HUSTLEX_SECRET", SECRET.decode())
    monkeypatch.setenv("HUSTLEX_DATA", str(tmp_path))
    with Served() as served:
        yield served


@pytest.mark.timeout(450)
def test_no_request_is_answered_with_a_5xx(served: Served, raw: redis.Redis) -> None:
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    asked: Statuses = {}
    for number, found in enumerate(schema.get_all_operations()):
        assert isinstance(found, Ok), found
        operation = found.ok()
        if operation.path in _STREAMS:
            continue
        tokens = ["", served.sign_in(f"0803{100 + number}4567")]
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            with requests.Session() as link:
                _bombard(operation, mode, tokens, raw, asked, link)
    assert all(any(status < 300 for status in asked[label]) for label in _OPEN), asked


def _bombard(
    operation: Any,
    mode: GenerationMode,
    tokens: list[str],
    raw: redis.Redis,
    asked: Statuses,
    link: requests.Session,
) -> None:
    """Valid requests, or broken ones, by nobody and by somebody; no budget may hide what lies behind it."""

    @settings(max_examples=examples(25), deadline=None, database=None, suppress_health_check=_NOT_ITS_FAULT)
    @given(case=operation.as_strategy(generation_mode=mode))
    def bombard(case: Any) -> None:
        if spent := [key for key in raw.scan_iter(count=10_000) if key.startswith(_BUDGETS)]:
            raw.delete(*spent)
        for token in tokens:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answer = case.call(session=link, headers=headers, timeout=60)
            asked.setdefault(operation.label, set()).add(answer.status_code)
            assert answer.status_code < 500, f"{operation.label} answered {answer.status_code}"

    bombard()
