"""A page reads every answer: also those of middlewares that stand before the application, in any order."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from starlette.middleware.cors import CORSMiddleware

from hustlex.core.time import FixedClock
from hustlex.web import CurrentUser, Idempotent, Problem, RateLimit, RateLimitMiddleware, by_ip, install
from tests.web.conftest import Serve, new_app

PAGE = {"Origin": "https://page.example.org"}
HERE = {"Host": "api.example.org"}
LIMIT = "1/hour per ip on GET {}/limited"
CASES: dict[str, tuple[int, str, str, dict[str, str]]] = {
    "a limit of the middleware": (429, "GET", "/limited", {}),
    "a limit of the route": (429, "GET", "/dependent", {}),
    "a body that is too large": (413, "POST", "/echo", {}),
    "a host that is not served": (400, "GET", "/free", {"Host": "evil.example.org"}),
    "no user": (401, "GET", "/me", {}),
    "no rights": (403, "GET", "/answer/403", {}),
    "no key of idempotency": (400, "POST", "/once", {}),
    "a conflict": (409, "GET", "/answer/409", {}),
    "a server that is away": (503, "GET", "/answer/503", {}),
    "nothing there": (404, "GET", "/nothing", {}),
}


async def chunks(status: int) -> AsyncIterator[bytes]:
    for _ in range(20 if status == 413 else 0):
        yield bytes(20)


def serve_all(app: FastAPI) -> None:
    async def fine() -> str:
        return "ok"

    async def answer(status: int) -> None:
        raise Problem(status)

    async def echo(request: Request) -> int:
        return len(await request.body())

    async def me(user: CurrentUser) -> str:
        return user.user_id

    app.add_api_route("/limited", fine)
    app.add_api_route("/free", fine)
    app.add_api_route("/dependent", fine, dependencies=[Depends(RateLimit("1/hour per ip"))])
    app.add_api_route("/once", fine, methods=["POST"], dependencies=[Depends(Idempotent(key=by_ip))])
    app.add_api_route("/answer/{status}", answer)
    app.add_api_route("/echo", echo, methods=["POST"])
    app.add_api_route("/me", me)


def built(url: str, clock: FixedClock, order: Any, prefix: str) -> FastAPI:
    """An application to which these were added in this order; its routes are its own, or of one that is mounted."""
    app, inner = new_app(url, clock, hosts=["api.example.org"], max_body=100), FastAPI()
    app.user_middleware.clear()
    for each in order:
        if each == "cors":
            app.add_middleware(CORSMiddleware, allow_origins=[PAGE["Origin"]])
        elif each == "cors of the mounted":
            inner.add_middleware(CORSMiddleware, allow_origins=[PAGE["Origin"]])
        elif each == "limit":
            app.add_middleware(RateLimitMiddleware, rules=[LIMIT.format(prefix)])
        else:
            install(app, hosts=["api.example.org"], max_body=100)
    serve_all(inner if prefix else app)
    if prefix:
        app.mount(prefix, inner)
    return app


ORDERS = [
    *((order, prefix) for order in itertools.permutations(["cors", "limit", "install"]) for prefix in ("", "/m")),
    *((("cors of the mounted", *order), "/m") for order in itertools.permutations(["limit", "install"])),
]


@pytest.mark.parametrize(("order", "prefix"), ORDERS, ids=[f"{'-'.join(order)}{prefix}" for order, prefix in ORDERS])
async def test_a_page_reads_each_refusal(
    url: str, clock: FixedClock, serve: Serve, order: tuple[str, ...], prefix: str
) -> None:
    async with serve(built(url, clock, order, prefix)) as client:
        for path in ("/limited", "/dependent"):
            await client.get(prefix + path, headers=HERE)
        for name, (status, method, path, more) in CASES.items():
            content = chunks(status) if method == "POST" else None
            answer: httpx.Response = await client.request(
                method, prefix + path, headers=PAGE | HERE | more, content=content
            )
            assert answer.status_code == status, name
            assert answer.headers.get("access-control-allow-origin") == PAGE["Origin"], name
