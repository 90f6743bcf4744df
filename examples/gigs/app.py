"""The ASGI application: signing in from hustlex.web, the routes of this example, errors as problems."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response

from examples.gigs.accounts import find_or_create
from examples.gigs.backend import open_backend
from examples.gigs.jobs import send_code
from examples.gigs.money import KeyReused, NotEnoughMoney
from examples.gigs.routes import router
from hustlex.web import Problem, auth_router, health_router, install, lifespan, sessions_router


@asynccontextmanager
async def connected(app: FastAPI) -> AsyncIterator[None]:
    """Open everything once per process."""
    async with open_backend() as backend, lifespan(lambda: backend.hx)(app):
        app.state.backend = backend
        yield


def create_app() -> FastAPI:
    """The application, not yet connected to anything."""
    app = FastAPI(title="HustleX gigs", lifespan=connected)
    install(app)
    app.include_router(router)
    app.include_router(health_router())

    async def identify(phone: str) -> str:
        backend = app.state.backend
        return str(await find_or_create(backend.database, phone, backend.settings.welcome_kobo))

    app.include_router(auth_router(send=send_code, identify=identify))
    app.include_router(sessions_router())
    app.add_exception_handler(NotEnoughMoney, _not_enough_money)
    app.add_exception_handler(KeyReused, _key_reused)
    return app


async def _not_enough_money(_: Request, __: Exception) -> Response:
    return Problem(409, detail="The wallet does not hold that much.").response()


async def _key_reused(_: Request, __: Exception) -> Response:
    return Problem(422, detail="This Idempotency-Key was used for another transfer.").response()
