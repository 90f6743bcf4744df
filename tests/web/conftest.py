"""An app on a real server, and a client that speaks to it without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import fastapi.dependencies.utils
import fastapi.routing
import httpx
import pytest
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.ratelimit import RateLimitOptions
from hustlex.web import install, lifespan

Serve = Callable[[FastAPI], AbstractAsyncContextManager[httpx.AsyncClient]]


def new_app(url: str, clock: FixedClock, *, timeout: timedelta = timedelta(seconds=5), **options: Any) -> FastAPI:
    """An installed app whose front stands on this server and this clock. options: of ``install`` and ``lifespan``."""
    secret = b"a test secret of thirty-two bytes or more"
    limits = RateLimitOptions(timeout=timeout)
    front = partial(HustleX, url, secret=secret, clock=clock, timeout=timedelta(seconds=5), ratelimit=limits)
    own = ("legacy", "origins", "hosts", "max_body", "headers")
    installed = {name: options.pop(name) for name in own if name in options}
    app = FastAPI(lifespan=lifespan(front, **options))
    install(app, **installed)
    return app


@asynccontextmanager
async def serving(app: FastAPI, address: str = "203.0.113.7") -> AsyncIterator[httpx.AsyncClient]:
    """Start the app and give a client whose requests come from this address."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 4711))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://hustlex.test") as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def no_thread_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test here serves: nothing of the package goes through FastAPI's thread pool."""

    async def watched(call: Any, *args: Any, **named: Any) -> Any:
        assert not getattr(call, "__module__", "").startswith("hustlex"), f"{call} ran in a thread"
        return await run_in_threadpool(call, *args, **named)

    for module in (fastapi.routing, fastapi.dependencies.utils):
        monkeypatch.setattr(module, "run_in_threadpool", watched)


@pytest.fixture
def app(url: str, clock: FixedClock) -> FastAPI:
    """An empty installed app on the emptied server."""
    return new_app(url, clock, origins=["http://hustlex.test"], hosts=["*"])


@pytest.fixture
def serve() -> Serve:
    """``async with serve(app) as client``: after the test has given the app its routes."""
    return serving


@pytest.fixture
def app_on() -> Callable[..., FastAPI]:
    """``app_on(url, clock)``: an app on a server of the test's choice, with options."""
    return new_app
