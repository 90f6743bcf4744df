"""The front lives as long as the app: opened in its event loop, closed after its last request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

from hustlex.app import HustleX
from hustlex.errors import ConfigurationError
from hustlex.web.limits import RateLimitHeaders
from hustlex.web.problem import install_problems
from hustlex.web.replay import IdempotencyMiddleware


def install(app: FastAPI) -> None:
    """Errors become problems, answers carry RateLimit headers, idempotent ones are kept.

    Call it once, right after creating the app.
    """
    install_problems(app)
    app.add_middleware(RateLimitHeaders)
    app.add_middleware(IdempotencyMiddleware)
    app.state.hustlex_limits = {}


def lifespan(open_front: Callable[[], HustleX]) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """``FastAPI(lifespan=lifespan(lambda: HustleX(url, secret=secret)))``; also usable inside a lifespan of your own.

    The app starts although the server cannot be reached; requests that need it are answered 503 until it can.
    Raises ConfigurationError at start-up when ``install(app)`` was forgotten.
    """

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        if not hasattr(app.state, "hustlex_limits"):
            raise ConfigurationError("this app's errors are not installed", hint="call hustlex.web.install(app)")
        async with open_front() as front:
            app.state.hustlex = front
            yield

    return opened
