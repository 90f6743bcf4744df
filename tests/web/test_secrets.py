"""A user's whole walk through the example, and no trace of a secret of it: on the wire, in Redis, in jobs, in logs."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from examples.gigs.app import create_app
from hustlex.otp import Delivery
from tests.conftest import SECRET

PHONES = ("+2348031234567", "+2348031234568")
_END = "the end of what was watched"


@pytest.fixture
async def app(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setenv("HUSTLEX_URL", url)
    monkeypatch.setenv("HUSTLEX_SECRET", SECRET.decode())
    monkeypatch.setenv("HUSTLEX_DATA", str(tmp_path))
    app = create_app()
    async with app.router.lifespan_context(app):
        yield app


@contextmanager
def watched(url: str) -> Iterator[list[str]]:
    """Every command the server runs meanwhile, as MONITOR shows it, those inside scripts included."""
    seen: list[str] = []
    with redis.Redis.from_url(url) as client, client.monitor() as monitor:

        def watch() -> None:
            while _END not in (line := monitor.next_command()["command"]):
                seen.append(line)

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        yield seen
        with redis.Redis.from_url(url) as other:
            other.echo(_END)
        watching.join(60)
        assert not watching.is_alive()


class Walk:
    """What a user does, and every secret that came by."""

    def __init__(self, app: Any, phone: str) -> None:
        self._app = app
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gigs")
        self._phone = phone
        self.secrets = {phone, phone.removeprefix("+234"), SECRET.decode()}

    async def sign_in(self) -> None:
        asked = (await self._client.post("/auth/otp/request", json={"phone": self._phone})).json()
        delivery = await self._app.state.hustlex.otp.open(asked["challenge"])
        assert isinstance(delivery, Delivery)
        wrong = {"challenge": asked["challenge"], "code": f"{(int(delivery.code) + 1) % 10**6:06}"}
        assert (await self._client.post("/auth/otp/verify", json=wrong)).status_code == 400
        right = {"challenge": asked["challenge"], "code": delivery.code, "nonce": "a-nonce-of-some-length"}
        self._keep((await self._client.post("/auth/otp/verify", json=right)).json())
        self.secrets |= {delivery.code, wrong["code"]}

    def _keep(self, tokens: dict[str, Any]) -> None:
        self._client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        self._refresh = tokens["refresh_token"]
        self.secrets |= {tokens["access_token"], tokens["access_token"].rpartition(".")[2]}
        self.secrets |= set(tokens["refresh_token"].split(".")[-2:])

    async def go_on(self, receiver: str) -> None:
        transfer = {"to_phone": receiver, "amount_kobo": 1234567}
        headers = {"Idempotency-Key": "a-key-of-the-client"}
        for _ in range(2):
            paid = await self._client.post("/wallet/transfers", json=transfer, headers=headers)
            assert paid.status_code == 200
        assert (await self._client.post("/gigs", json={"title": "Roof", "category": "x", "price_kobo": 0})).is_error
        self._keep((await self._client.post("/auth/refresh", json={"refresh_token": self._refresh})).json())
        assert (await self._client.get("/users/me")).status_code == 200
        await self._client.post("/auth/logout", json={"refresh_token": self._refresh})
        assert (await self._client.get("/users/me")).status_code == 401
        await self._client.post("/auth/refresh", json={"refresh_token": self._refresh})
        await self._client.aclose()


async def test_a_walk_leaves_no_secret_behind(
    app: Any, url: str, raw: redis.Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "hustlex")
    raw.slowlog_reset()  # flushing a server leaves there what tests before called
    raw.config_set("slowlog-log-slower-than", 0)
    raw.config_set("slowlog-max-len", 100_000)
    walks = [Walk(app, phone) for phone in PHONES]
    with watched(url) as commands:
        for walk in walks:
            await walk.sign_in()
        await walks[0].go_on(PHONES[1])
    slow = [str(entry["command"]) for entry in raw.slowlog_get(100_000)]
    raw.config_set("slowlog-log-slower-than", 10_000)
    raw.config_set("rdbcompression", "no")
    raw.save()
    dump = Path(raw.config_get("dir")["dir"], "dump.rdb").read_bytes()
    places = {
        "commands": "\n".join(commands).encode(),
        "the slow log": "\n".join(slow).encode(),
        "the dump": dump,
        "the logs": "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records).encode(),
    }
    assert all(places.values()) and b"otp:{" in places["commands"] and b"asynq:{" in dump
    found = [(where, secret) for where, text in places.items() for secret in secrets_of(walks) if secret in text]
    assert [(where, len(secret)) for where, secret in found] == []


def secrets_of(walks: list[Walk]) -> list[bytes]:
    return sorted({secret.encode() for walk in walks for secret in walk.secrets})
