"""T-E16: every code with which a socket of events answers or closes, beside those of ``test_events``."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import redis
from fastapi import FastAPI

from hustlex.web import rights, socket
from tests.web.test_events import Browser, Options, Paid, channels, closing_code, live, opened, options, orders, world

__all__ = ["channels", "live", "options", "orders", "world"]  # fixtures


@pytest.fixture
def patience() -> Options:
    return {"write_s": 0.05}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch, patience: Options) -> None:
    """Short patience with clients, where a test waits for its end."""
    monkeypatch.setattr("hustlex.web.events.SocketOptions", partial(socket.SocketOptions, **patience))


class TestStale:
    @pytest.fixture
    def patience(self) -> Options:
        return {"connect_s": 0.02}

    async def test_who_never_says_who_connects_is_stale(self, live: FastAPI) -> None:
        async with opened(live, token=None) as browser:
            assert await closing_code(browser) == 4502


async def test_a_client_that_takes_nothing_is_slow(live: FastAPI, orders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stuck(self: Browser, message: Any) -> None:
        if message["type"] == "websocket.send":
            await self.takes.wait()
        await self.outgoing.put(message)

    monkeypatch.setattr(Browser, "send", stuck)
    async with opened(live) as browser:
        await browser.subscribe("orders:1")
        browser.takes.clear()
        await orders.publish(Paid(1), order_id=1)
        assert await closing_code(browser) == 4008


async def test_a_server_that_stops_says_so(live: FastAPI) -> None:
    async with opened(live) as browser:
        await browser.subscribe("orders:1")
        for task in list(rights._open):
            task.cancel()
        assert await closing_code(browser) == 4001


async def test_a_front_that_ends_closes_with_an_error_that_may_be_tried_again(live: FastAPI) -> None:
    async with opened(live) as browser:
        await browser.subscribe("orders:1")
        await live.state.hustlex.driver.close()
        assert await closing_code(browser) == 4004


async def test_what_the_server_refuses_is_temporary(live: FastAPI, raw: redis.Redis) -> None:
    raw.set("ev:{orders:1}:m", "no hash", ex=60)
    async with opened(live) as browser:
        error = (await browser.ask(history={"ch": "orders:1"}))["error"]
        assert error == {"code": 108, "message": "not available", "temporary": True}
        raw.delete("ev:{orders:1}:m")
        assert (await browser.ask(history={"ch": "orders:1"}))["history"]["msgs"] == []
