"""Whatever the router serves as a route is charged as that route: paths, methods, mounts and root paths, at random."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.ratelimit import RateLimit, RateLimitOptions, parse_rule
from hustlex.web import RateLimitMiddleware
from hustlex.web.routing import place_of
from tests.conftest import LONG
from tests.support.depth import examples

HTTP = [
    "/login",
    "/gigs/{id}",
    "/gigs/mine/{rest:path}",
    "/numbers/{number:int}",
    "/files/{rest:path}",
    "/slash/",
    "/v1/pay",
    "/v1/{tenant}/pay",
    "/v1/deep/{x}/y",
    "/shop/cart",
    "/shop/item/{id}",
    "/{tenant}/mounted/thing",
    "/plain/class",
]
SOCKETS = ["/ws", "/v1/ws/{room}"]


def endpoint(template: str) -> Any:
    async def serve() -> PlainTextResponse:
        return PlainTextResponse("", headers={"x-route": template})

    return serve


def socket(template: str) -> Any:
    async def serve(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(template)
        await socket.close()

    return serve


class Class(HTTPEndpoint):
    async def get(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("", headers={"x-route": "/plain/class"})


def build() -> FastAPI:
    """An application with routers in routers and mounts in mounts; each endpoint says its whole template."""
    app, deep, router, shop, inner = FastAPI(), APIRouter(prefix="/deep"), APIRouter(prefix="/v1"), FastAPI(), FastAPI()
    methods = {"methods": ["GET", "POST"]}
    for template in HTTP[:6]:
        app.add_api_route(template, endpoint(template), **methods)
    router.add_api_route("/pay", endpoint("/v1/pay"), **methods)
    deep.add_api_route("/{x}/y", endpoint("/v1/deep/{x}/y"), **methods)
    router.include_router(deep)
    router.add_api_route("/{tenant}/pay", endpoint("/v1/{tenant}/pay"), **methods)
    router.add_api_websocket_route("/ws/{room}", socket("/v1/ws/{room}"))
    app.include_router(router)
    app.add_api_websocket_route("/ws", socket("/ws"))
    shop.add_api_route("/cart", endpoint("/shop/cart"), **methods)
    shop.add_api_route("/item/{id}", endpoint("/shop/item/{id}"), **methods)
    app.mount("/shop", shop)
    inner.add_api_route("/thing", endpoint("/{tenant}/mounted/thing"), **methods)
    app.mount("/plain", Router([Route("/class", Class)]))
    app.mount("/{tenant}/mounted", inner)
    return app


@pytest.fixture
async def room(url: str, clock: FixedClock) -> AsyncIterator[RateLimit]:
    driver = Driver(url, timeout=LONG)
    yield RateLimit(driver, clock=clock, options=RateLimitOptions(timeout=timedelta(seconds=10)))
    await driver.close()


def rules(templates: list[str]) -> list[str]:
    paths = [template.replace(":int", "") for template in templates]
    return [f"9000/h per ip on {path} named r{number}" for number, path in enumerate(paths)]


async def ask(app: Any, scope: dict[str, Any]) -> list[dict[str, Any]]:
    """What the application sends."""
    sent: list[dict[str, Any]] = []
    kind = scope["type"]
    incoming = iter([{"type": "websocket.connect"}] if kind == "websocket" else [{"type": "http.request"}])

    async def receive() -> dict[str, Any]:
        return next(incoming, {"type": f"{kind}.disconnect", "code": 1000})

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"headers": [], "query_string": b"", "client": ("203.0.113.7", 1), **scope}, receive, send)
    return sent


def headers(sent: list[dict[str, Any]]) -> dict[bytes, bytes]:
    return dict(sent[0]["headers"]) | {b":status": str(sent[0]["status"]).encode()}


ROOTS = ["", "/api", "/api/", "/v1", "/shop", "/"]
PIECES = [
    *("login", "gigs", "mine", "7", "07", "numbers", "files", "slash", "v1", "pay", "deep", "shop", "cart", "item"),
    *("mounted", "thing", "plain", "class", "api", "a b", "LOGIN", "%2f", "%0a", "%00", "%0d", "%25", ".", "..", "é"),
]
TAILS = ["", "/", "%0a", "%00", "%0d%0a", "%0a%0a", "/%0a", "//", "%2f", "/.", "?", ";x", "%20", "\u2028"]
concrete = st.sampled_from(HTTP).map(
    lambda path: path.replace("{id}", "7").replace("{rest:path}", "a/b").replace("{number:int}", "7")
    .replace("{tenant}", "acme").replace("{x}", "z")
)  # fmt: skip
free = st.lists(st.sampled_from(PIECES), max_size=5).map(lambda parts: "/" + "/".join(parts))
paths = st.tuples(st.sampled_from(["", "/", "/."]), concrete | free, st.sampled_from(TAILS)).map("".join)
methods = st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "get", "PoSt", "PUT", "TRACE"])


@pytest.mark.parametrize("where", ["outside", "inside", "inside of another", "root path of the app"])
@settings(
    max_examples=examples(120),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(method="GET", root="", path="/login%0a", prefixed=True)
@example(method="GET", root="", path="/api//login", prefixed=True)
@example(method="GET", root="/api", path="//login%0a", prefixed=True)
@example(method="GET", root="/api/", path="/login", prefixed=True)
@example(method="GET", root="/api/", path="/numbers/\u0667%0a", prefixed=True)
@example(method="get", root="", path="/plain/class", prefixed=True)
@given(method=methods, root=st.sampled_from(ROOTS), path=paths, prefixed=st.booleans())
def test_what_is_served_as_a_route_is_charged_as_it(
    where: str, method: str, root: str, path: str, prefixed: bool, loop: Any, fuzzed: dict[str, Any]
) -> None:
    text = unquote(path, errors="replace")
    scope = {
        "type": "http",
        "method": method,
        "root_path": root,
        # As uvicorn does it; and as servers that leave the root path out of the path.
        "path": root + text if prefixed else text,
    }
    sent = headers(loop.run_until_complete(ask(fuzzed[where], scope)))
    if sent[b":status"] == b"200" and b"x-route" in sent:
        number = HTTP.index(sent[b"x-route"].decode())
        assert f'"r{number}";'.encode() in sent.get(b"ratelimit-policy", b""), (sent, scope)


@pytest.fixture(scope="module")
def loop() -> Iterator[Any]:
    """Hypothesis calls plain functions: this runs what they start."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def fuzzed(loop: Any, url: str, clock: FixedClock) -> Iterator[dict[str, Any]]:
    """The application, guarded from outside, from inside, and below other middlewares."""

    async def opened() -> tuple[Driver, dict[str, Any]]:
        driver = Driver(url, timeout=LONG)
        room = RateLimit(driver, clock=clock, options=RateLimitOptions(timeout=timedelta(seconds=10)))
        inside, below, rooted = build(), build(), build()
        inside.add_middleware(RateLimitMiddleware, limits=room, rules=rules(HTTP))
        below.middleware("http")(pass_on)
        below.add_middleware(RateLimitMiddleware, limits=room, rules=rules(HTTP))
        below.middleware("http")(pass_on)
        rooted.root_path = "/api/"
        apps = {
            "outside": RateLimitMiddleware(build(), room, rules(HTTP)),
            "inside": inside,
            "inside of another": below,
            "root path of the app": RateLimitMiddleware(rooted, room, rules(HTTP)),
        }
        return driver, apps

    driver, apps = loop.run_until_complete(opened())
    yield apps
    loop.run_until_complete(driver.close())


async def pass_on(request: Request, call_next: Any) -> Any:
    return await call_next(request)


@pytest.mark.parametrize("where", ["outside", "inside"])
async def test_a_handshake_is_charged_as_the_route_that_it_is_served_as(room: RateLimit, where: str) -> None:
    lines = rules(SOCKETS)
    app: Any = build()
    if where == "inside":
        app.add_middleware(RateLimitMiddleware, limits=room, rules=lines)
    else:
        app = RateLimitMiddleware(app, room, lines)
    served = 0
    tails = ["", "\n", "/", "//", "\0", "\r\n"]
    for number, (path, tail, root) in enumerate(itertools.product(["/ws", "/v1/ws/7"], tails, ["", "/api", "/api/"])):
        peer = f"198.51.100.{number}"
        sent = await ask(app, {"type": "websocket", "path": root + path + tail, "root_path": root, "client": (peer, 1)})
        if sent[0]["type"] == "websocket.accept":
            served += 1
            rule = parse_rule(lines[SOCKETS.index(sent[1]["text"])])
            state = await room.peek(rule.policy, f"ip:{peer}", endpoint=rule.endpoint)
            assert state.remaining == 8999, (path, tail, root)
    assert served >= 12


def test_the_place_is_the_routers() -> None:
    app = Starlette(
        routes=[
            Host("{name}.example.org", Router([Route("/hello", endpoint("/hello"))])),
            Mount("/opaque", app=lambda *_: None),
            Mount("/{x}", routes=[Mount("/y", routes=[Route("/z/{n:int}", endpoint("/z"), methods=["POST"])])]),
        ]
    )
    hosted = [(b"host", b"shop.example.org")]

    def found(path: str, **more: Any) -> Any:
        place = place_of(app, {"type": "http", "method": "GET", "path": path, "headers": [], **more})
        return place and (place.template, place.path, place.full)

    assert found("/hello\n", headers=hosted) == ("/hello", "/hello", True)
    assert found("/opaque/a/b") == ("/opaque/a/b", "/opaque/a/b", True)
    assert found("/a/y/z/07") == ("/{x}/y/z/{n:int}", "/a/y/z/07", False)
    assert found("/a/y/z/07", method="POST") == ("/{x}/y/z/{n:int}", "/a/y/z/07", True)
    assert found("/a/y/q") is None
    assert place_of(lambda *_: None, {}) is None
