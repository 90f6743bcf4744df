"""What a process says of itself: the truth, in one sentence, at its door, in code and in the log."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta

import httpx
import msgspec
import pytest
from fastapi import FastAPI

from hustlex import HustleX, sync
from hustlex.core import health
from hustlex.ratelimit import Policy
from hustlex.web import health_router, install, lifespan
from tests.conftest import SECRET
from tests.support.proxy import Proxy


class Paid(msgspec.Struct):
    amount: int


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    with Proxy(url) as made:
        yield made


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI(lifespan=lifespan(lambda: HustleX(proxy.url, secret=SECRET, timeout=timedelta(seconds=1))))
    install(app)
    app.include_router(health_router())
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://hustlex.test") as made,
    ):
        made.front = app.state.hustlex  # type: ignore[attr-defined]
        yield made


async def until(asked: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not asked():
            await asyncio.sleep(0.01)


async def test_each_state_is_told_at_the_door_and_in_the_log(
    client: httpx.AsyncClient, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    front: HustleX = client.front  # type: ignore[attr-defined]
    well = {"ok": True, "trouble": {}, "degraded": {}}
    assert (await client.get("/health")).json() == well
    users = front.cache("user", int, ttl=timedelta(minutes=1), near=timedelta(minutes=1))
    limit = Policy("p", 5, timedelta(minutes=1))
    access = (await front.tokens.login("ada")).or_raise().access
    async with front.events.channel("news:{it}", Paid).subscribe(it=1):
        await front.tokens.check(access, mode="bounded")
        await users.get(1)
        await until(lambda: front.degraded == {})
        answer = await client.get("/health")
        assert (answer.status_code, answer.json(), answer.headers["cache-control"]) == (200, well, "no-store")
        proxy.refuse = True
        proxy.cut()
        while not front.ratelimit.degraded:
            await front.ratelimit.check(limit, "u", endpoint="/")
        await until(lambda: len(front.degraded) == 4)
        answer = await client.get("/health")
        assert answer.status_code == 503
        told = answer.json()
        assert told["ok"] is False
        assert told["trouble"] == {"server": "the server cannot be reached"}
        assert told["degraded"].keys() == {"ratelimit", "tokens", "cache", "events"}
        assert told["degraded"]["events"] == "1 channels hear nothing: their link to the server is broken"
        assert str(proxy.port) not in answer.text
        assert health.degraded().items() >= told["degraded"].items()
        for sentence in (*told["trouble"].values(), *told["degraded"].values()):
            assert sum(sentence in record.getMessage() for record in caplog.records) == 1
        assert (await client.head("/health")).status_code == 503
        proxy.refuse = False
        while front.ratelimit.degraded:
            await front.ratelimit.check(limit, "u", endpoint="/")
            await asyncio.sleep(0.02)
        await until(lambda: front.degraded == {})
        caplog.clear()
        assert (await client.get("/health")).json() == well
        ends = [each.getMessage() for each in caplog.records if each.name == "hustlex.health"]
        assert len(ends) == 5
        assert all(end.endswith("as it should be again") for end in ends)


async def test_second_best_stays_in_service(client: httpx.AsyncClient, proxy: Proxy) -> None:
    front: HustleX = client.front  # type: ignore[attr-defined]
    front.ratelimit._limiter.fallback.breaker.open = True
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()["ok"]) == (200, True)
    assert answer.json()["degraded"] == {"ratelimit": front.ratelimit.trouble}


def test_the_blocking_front_tells_too(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    with sync.HustleX(proxy.url, secret=SECRET, timeout=timedelta(seconds=1)) as front:
        assert front.health().ok
        proxy.refuse = True
        proxy.cut()
        with caplog.at_level(logging.ERROR):
            assert front.health().trouble == {"server": "the server cannot be reached"}
        assert "server: the server cannot be reached" in caplog.text


def test_a_closed_front_tells_no_more(proxy: Proxy) -> None:
    with sync.HustleX(proxy.url) as front:
        front.ratelimit._limiter.fallback.breaker.open = True
        assert front.degraded["ratelimit"] in health.degraded().values()
    assert front not in health._tellers
    assert front.health().trouble == {"front": "this HustleX was closed"}


async def test_a_process_that_was_told_to_stop_is_not_well(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()
    monkeypatch.setattr("hustlex.web.health.stopping", told)
    assert (await client.get("/health")).status_code == 200
    told.set()
    answer = await client.get("/health")
    assert answer.status_code == 503
    assert answer.json() == {"ok": False, "trouble": {"process": "it was told to stop"}, "degraded": {}}
