"""The ASGI application: signing in from hustlex.web, the routes of this example, errors as problems."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from examples.gigs import pages
from examples.gigs.accounts import find_or_create
from examples.gigs.backend import open_backend
from examples.gigs.jobs import send_code
from examples.gigs.money import KeyReused, NotEnoughMoney
from examples.gigs.rendering import STATIC
from examples.gigs.routes import router
from hustlex.tokens import Access
from hustlex.web import (
    Allow,
    Deny,
    Problem,
    auth_router,
    events_router,
    health_router,
    install,
    lifespan,
    metrics_router,
    sessions_router,
)


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
    app.include_router(metrics_router())

    async def identify(phone: str) -> str:
        backend = app.state.backend
        return str(await find_or_create(backend.database, phone, backend.settings.welcome_kobo))

    app.include_router(auth_router(send=send_code, identify=identify))
    app.include_router(sessions_router())
    app.include_router(events_router(lambda _: [app.state.backend.notices, app.state.backend.board], authorize=may))
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_exception_handler(NotEnoughMoney, _not_enough_money)
    app.add_exception_handler(KeyReused, _key_reused)
    app.add_exception_handler(404, _nothing_here)
    return app


async def may(access: Access | None, _: str, values: dict[str, str], action: str) -> Allow | Deny:
    """Everybody may hear of the board, and each user of what is theirs; nobody publishes from outside."""
    own = "user_id" not in values or (access is not None and access.user_id == values["user_id"])
    return Allow() if own and action != "publish" else Deny()


async def _nothing_here(request: Request, error: Exception) -> Response:
    """For people a page, for programs a problem."""
    assert isinstance(error, HTTPException)
    if "text/html" in request.headers.get("accept", "") and request.method == "GET":
        return await pages.trouble(request, Problem(404, detail="There is no page at this address."))
    problem = error if isinstance(error, Problem) else Problem(404, detail=str(error.detail), headers=error.headers)
    return problem.response()


async def _not_enough_money(_: Request, __: Exception) -> Response:
    return Problem(409, detail="The wallet does not hold that much.").response()


async def _key_reused(_: Request, __: Exception) -> Response:
    return Problem(422, detail="This Idempotency-Key was used for another transfer.").response()
