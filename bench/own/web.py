"""What this package adds to a route of FastAPI's: applications that answer the same, each with one thing more."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request

from hustlex import HustleX
from hustlex.idempotency import Started
from hustlex.web import (
    CacheMiddleware,
    CurrentUser,
    Idempotent,
    RateLimit,
    RateLimitMiddleware,
    ResponseCache,
    StrictUser,
    install,
    lifespan,
)

SECRET = "6c6b3d7f09a2e1b4c5d8f7a6b3c2e1d0"
USER = {
    "id": 7,
    "name": "Adaeze Okafor",
    "phone": "+2348031234567",
    "tags": ["a", "b"],
    "rating": 4.9,
    "bio": 300 * "x",
}
PATH = "/users/{user_id}"
WIDE = "1000000/minute"
_TTL = timedelta(minutes=10)


async def answer(user_id: int) -> dict[str, Any]:
    """The handler of every arm."""
    return USER | {"id": user_id}


def bare(_: str) -> FastAPI:
    """Nothing but FastAPI."""
    app = FastAPI()
    app.get(PATH)(answer)
    app.post(PATH)(answer)
    return app


def _app(url: str) -> FastAPI:
    """Installed, with a logged-in user."""
    opened = lifespan(lambda: HustleX(url, secret=SECRET))

    @asynccontextmanager
    async def logged_in(app: FastAPI) -> AsyncIterator[None]:
        async with opened(app):
            pair: Any = await app.state.hustlex.tokens.login(f"user{os.getpid()}")  # one user may have so many sessions
            await app.state.hustlex.tokens.start()
            app.state.users = app.state.hustlex.cache("user", dict[str, Any], ttl=_TTL)
            app.state.bench_headers = {"Authorization": f"Bearer {pair.access}"}
            yield

    app = FastAPI(lifespan=logged_in)
    install(app)
    return app


def installed(url: str) -> FastAPI:
    """``install`` alone: problems, header fields, bodies, hosts."""
    app = _app(url)
    app.get(PATH)(answer)
    return app


def limit(url: str) -> FastAPI:
    """A limit per address as a dependency."""
    app = _app(url)
    app.get(PATH, dependencies=[Depends(RateLimit(f"{WIDE} per ip"))])(answer)
    return app


async def _key() -> str:
    return "user7"


def limit_own_key(url: str) -> FastAPI:
    """A limit per what a dependency of the application answers."""
    app = _app(url)
    app.get(PATH, dependencies=[Depends(RateLimit(WIDE, key=_key))])(answer)
    return app


def limit_middleware(url: str) -> FastAPI:
    """The same by the middleware."""
    app = _app(url)
    app.add_middleware(RateLimitMiddleware, rules=[f"{WIDE} per ip"])
    app.get(PATH)(answer)
    return app


async def _seen(user_id: int, user: CurrentUser) -> dict[str, Any]:
    return USER | {"id": user_id, "by": user.user_id}


async def _strictly_seen(user_id: int, user: StrictUser) -> dict[str, Any]:
    return USER | {"id": user_id, "by": user.user_id}


def current_user(url: str) -> FastAPI:
    """A checked token, without a round trip."""
    app = _app(url)
    app.get(PATH)(_seen)
    return app


def strict_user(url: str) -> FastAPI:
    """A checked token, with one."""
    app = _app(url)
    app.get(PATH)(_strictly_seen)
    return app


def cached(url: str) -> FastAPI:
    """A cached function, found in Redis."""
    app = _app(url)

    async def read(user_id: int, request: Request) -> Any:
        async def load() -> dict[str, Any]:
            return await answer(user_id)

        return await request.app.state.users.get_or_compute(user_id, load)

    app.get(PATH)(read)
    return app


def page(url: str) -> FastAPI:
    """A cached response."""
    app = _app(url)
    app.add_middleware(CacheMiddleware)
    app.get(PATH, dependencies=[Depends(ResponseCache(ttl=_TTL, public=True))])(answer)
    return app


async def _pay(user_id: int, user: StrictUser, claim: Annotated[Started, Depends(Idempotent())]) -> dict[str, Any]:
    return USER | {"id": user_id, "by": user.user_id}


def idempotent(url: str) -> FastAPI:
    """A payment that may be repeated, of a strictly checked user."""
    app = _app(url)
    app.post(PATH)(_pay)
    return app


def payment(url: str) -> FastAPI:
    """The same with a limit per user: the guide's route."""
    app = _app(url)
    app.post(PATH, dependencies=[Depends(RateLimit(f"{WIDE} per user"))])(_pay)
    return app
