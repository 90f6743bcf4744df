"""The ASGI middleware on a bare application: HTTP by rules, WebSockets by connect, number and messages."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.applications import Starlette
from starlette.routing import Mount

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.errors import ConfigurationError, Misuse
from hustlex.ratelimit import RateLimit, RateLimitOptions, Rulebook, parse_rule
from hustlex.web import RateLimit as RateLimitDependency
from hustlex.web import RateLimitMiddleware, SocketLimits, strict_user
from tests.conftest import LONG

MINUTE = timedelta(minutes=1)


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """An application without a framework: 200 to everything, 302 at /moved; a socket that echoes."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    status = 302 if scope["path"] == "/moved" else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"location", b"/")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def room(url: str, clock: FixedClock) -> AsyncIterator[RateLimit]:
    driver = Driver(url, timeout=LONG)
    yield RateLimit(driver, clock=clock, options=RateLimitOptions(timeout=timedelta(seconds=10)))
    await driver.close()


@asynccontextmanager
async def client_of(app: Any, address: str = "203.0.113.7") -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://hustlex.test") as client:
        yield client


async def statuses(client: httpx.AsyncClient, path: str, times: int, **options: Any) -> list[int]:
    return [(await client.get(path, **options)).status_code for _ in range(times)]


async def test_rules_cover_what_they_say_and_add_up(room: RateLimit) -> None:
    app = RateLimitMiddleware(bare, room, ["5/minute per ip", "2/minute per ip on GET /gigs/{id}", "4/minute global"])
    async with client_of(app) as client, client_of(app, "203.0.113.8") as other:
        first = await client.get("/gigs/1")
        assert await statuses(client, "/gigs/2", 2) == [200, 429]
        assert await statuses(other, "/about", 3) == [200, 200, 429]
        refused = await client.get("/gigs/7")
        moved = await other.get("/moved")
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["violated-policies"] == ["2-per-min-ip", "4-per-min-global"]
    assert first.headers["ratelimit-policy"] == (
        '"5-per-min-ip";q=5;w=60, "2-per-min-ip";q=2;w=60, "4-per-min-global";q=4;w=60'
    )
    assert int(refused.headers["retry-after"]) >= 60
    assert moved.status_code == 429


async def test_head_is_a_get_and_a_line_end_is_part_of_a_path(room: RateLimit) -> None:
    app = RateLimitMiddleware(bare, room, ["2/minute per ip on GET /gigs", "1/minute per ip on /files/{rest:path}"])
    async with client_of(app) as client:
        answers = [await client.request(method, "/gigs") for method in ("HEAD", "GET", "HEAD", "GET", "POST")]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 200]
        assert await statuses(client, "/files/a%0Ab", 2) == [200, 429]


@pytest.mark.parametrize("root", ["/api", "/api/"])
async def test_a_rule_holds_wherever_the_application_is_mounted(room: RateLimit, root: str) -> None:
    app = RateLimitMiddleware(bare, room, ["1/minute per ip on /gigs", "1/minute per ip on /api/pay"])
    transport = httpx.ASGITransport(app, client=("203.0.113.7", 1), root_path=root)
    async with httpx.AsyncClient(transport=transport, base_url="http://hustlex.test") as client:
        assert await statuses(client, "/api/gigs", 2) == [200, 429]
        assert await statuses(client, "/api/pay", 2) == [200, 429]
        assert await statuses(client, "/apigigs", 2) == [200, 200]


async def test_a_place_is_kept_while_the_request_runs(room: RateLimit) -> None:
    running, done = asyncio.Semaphore(0), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        running.release()
        await done.wait()
        await bare(scope, receive, send)

    app = RateLimitMiddleware(slow, room, ["2 at once per ip on GET /export", "3/minute per ip on GET /export"])
    async with client_of(app) as client:
        asking = [asyncio.ensure_future(client.get("/export")) for _ in range(2)]
        for _ in asking:
            await running.acquire()
        assert await statuses(client, "/export", 1) == [429]
        done.set()
        assert [answer.status_code for answer in await asyncio.gather(*asking)] == [200, 200]
        assert await statuses(client, "/export", 2) == [
            200,
            429,
        ]  # the third of this minute: a full house costs nothing
    places = parse_rule("2 at once per ip").policy
    assert (await room.peek(places, "ip:203.0.113.7", endpoint="GET /export")).remaining == 2


async def test_two_rules_of_the_same_callers_do_not_share_a_count(room: RateLimit) -> None:
    app = RateLimitMiddleware(bare, room, ["3/s per ip", "5/minute per ip"])
    async with client_of(app) as client:
        assert await statuses(client, "/", 4) == [200, 200, 200, 429]


async def test_fields_stand_on_allowed_answers_but_not_on_redirects(room: RateLimit) -> None:
    app = RateLimitMiddleware(bare, room, ["5/minute per ip named all"], legacy="x-ratelimit")
    async with client_of(app) as client:
        plain, moved = await client.get("/"), await client.get("/moved")
    assert plain.headers["ratelimit"] == '"all";r=4;t=63'
    assert plain.headers["x-ratelimit-limit"] == "5"
    assert plain.headers["x-ratelimit-remaining"] == "4"
    assert plain.headers["x-ratelimit-reset"] == "63"
    assert not {name for name in moved.headers if "ratelimit" in name}


async def test_who_is_asked_for_users_and_keys(room: RateLimit) -> None:
    async def identify(scope: Any, who: str) -> str | None:
        return dict(scope["headers"]).get(f"x-{who}".encode(), b"").decode() or None

    rules = ["2/minute per user", "3/minute per key"]
    app = RateLimitMiddleware(bare, room, rules, identify=identify)
    async with client_of(app) as client:
        assert await statuses(client, "/", 5) == [200] * 5  # nobody: the rules do not apply
        assert await statuses(client, "/", 3, headers={"x-user": "u1"}) == [200, 200, 429]
        assert await statuses(client, "/", 4, headers={"x-key": "k1"}) == [200, 200, 200, 429]
    with pytest.raises(ConfigurationError):
        RateLimitMiddleware(bare, room, rules)


async def test_a_rulebook_may_change_meanwhile(room: RateLimit, clock: FixedClock) -> None:
    book = Rulebook({"all": "1/minute per ip"})
    app = RateLimitMiddleware(bare, room, book)
    async with client_of(app) as client:
        assert await statuses(client, "/", 2) == [200, 429]
        book.reload({"all": "3/minute per ip"})
        clock.advance(timedelta(seconds=2))
        assert await statuses(client, "/", 3) == [200, 200, 429]
        book.reload({"all": "3/minute per user"})  # nobody here knows users
        assert await statuses(client, "/", 1) == [429]
        book.reload({})
        assert await statuses(client, "/", 2) == [200, 200]


async def test_a_closed_rule_answers_503_when_the_server_is_away() -> None:
    driver = Driver("redis://127.0.0.1:1")
    limits = RateLimit(driver, options=RateLimitOptions(timeout=timedelta(milliseconds=20)))
    async with client_of(RateLimitMiddleware(bare, limits, ["5/minute per ip failing closed"])) as client:
        got = await client.get("/")
    await driver.close()
    assert (got.status_code, got.headers["retry-after"]) == (503, "5")


# -- sockets


class Socket:
    """A client's side of one WebSocket, without a network."""

    def __init__(self, app: Any, extensions: dict[str, Any] | None = None, path: str = "/ws") -> None:
        self._in: asyncio.Queue[Any] = asyncio.Queue()
        self._out: asyncio.Queue[Any] = asyncio.Queue()
        scope = {
            "type": "websocket",
            "path": path,
            "headers": [],
            "client": ("203.0.113.7", 1),
            "extensions": extensions or {},
        }
        self._in.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(app(scope, self._in.get, self._out.put))

    async def next(self) -> Any:
        async with asyncio.timeout(60):
            return await self._out.get()

    async def say(self, text: str) -> Any:
        await self._in.put({"type": "websocket.receive", "text": text})
        return await self.next()

    async def leave(self) -> None:
        await self._in.put({"type": "websocket.disconnect", "code": 1000})
        await self._task

    @property
    def ended(self) -> bool:
        return self._task.done()


@pytest.fixture
def sockets(room: RateLimit) -> Callable[..., Any]:
    def guarded(**limits: Any) -> Any:
        return RateLimitMiddleware(bare, room, [], sockets=SocketLimits(**limits))

    return guarded


async def test_too_many_connects_are_refused_before_the_upgrade(sockets: Any) -> None:
    app = sockets(connect="1/minute per ip")
    first = Socket(app)
    assert (await first.next())["type"] == "websocket.accept"
    old = Socket(app)
    assert (await old.next())["type"] == "websocket.close"
    new = Socket(app, {"websocket.http.response": {}})
    start, body = await new.next(), await new.next()
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 429)
    assert b"retry-after" in dict(start["headers"])
    assert json.loads(body["body"])["violated-policies"] == ["sockets-connect"]
    await first.leave()


async def test_only_so_many_sockets_at_once(sockets: Any) -> None:
    app = sockets(held="2 at once per ip")
    one, two = Socket(app), Socket(app)
    assert (await one.next())["type"] == (await two.next())["type"] == "websocket.accept"
    three = Socket(app, {"websocket.http.response": {}})
    assert (await three.next())["status"] == 429
    await one.leave()
    four = Socket(app)
    assert (await four.next())["type"] == "websocket.accept"
    await two.leave()
    await four.leave()


async def test_messages_over_the_limit_are_dropped_and_then_the_socket_is_closed(
    sockets: Any, clock: FixedClock
) -> None:
    app = sockets(messages="3/minute per ip", strikes=2)
    socket = Socket(app)
    assert (await socket.next())["type"] == "websocket.accept"
    assert [(await socket.say(str(number)))["text"] for number in range(3)] == ["0", "1", "2"]
    for _ in range(2):
        told = json.loads((await socket.say("more"))["text"])
        assert (told["status"], told["violated-policies"]) == (429, ["sockets-messages"])
    closed = await socket.say("more")
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        while not socket.ended:
            await asyncio.sleep(0.01)


async def test_messages_count_together_wherever_the_socket_is_routed_to(room: RateLimit) -> None:
    app = Starlette(routes=[Mount("/a", app=bare), Mount("/b", app=bare)])
    limited = RateLimitMiddleware(app, room, sockets=SocketLimits(connect="", held="", messages="1/minute per ip"))
    one, two = Socket(limited, path="/a/ws"), Socket(limited, path="/b/ws")
    for socket in (one, two):
        assert (await socket.next())["type"] == "websocket.accept"
    assert (await one.say("first"))["text"] == "first"
    assert json.loads((await two.say("second"))["text"])["status"] == 429
    await one.leave()
    await two.leave()


async def test_a_dropped_message_is_not_seen_by_the_application(sockets: Any, clock: FixedClock) -> None:
    socket = Socket(sockets(messages="1/minute per ip using fixed", connect="", held=""))
    await socket.next()
    await socket.say("a")
    assert "429" in (await socket.say("b"))["text"]
    clock.advance(MINUTE)
    assert (await socket.say("c"))["text"] == "c"
    await socket.leave()


async def test_a_closed_rule_ends_sockets_when_the_server_is_away() -> None:
    driver = Driver("redis://127.0.0.1:1")
    limits = RateLimit(driver, options=RateLimitOptions(timeout=timedelta(milliseconds=20)))
    app = RateLimitMiddleware(bare, limits, [], sockets=SocketLimits(messages="9/s per ip failing closed"))
    socket = Socket(app)
    await socket.next()
    assert (await socket.say("x"))["code"] == 1013
    await driver.close()


def test_sockets_at_once_must_be_places(room: RateLimit) -> None:
    with pytest.raises(ConfigurationError, match=re.escape("5 at once")):
        RateLimitMiddleware(bare, room, [], sockets=SocketLimits(held="5/minute per ip"))


NEVER_JUDGED = [
    ["10/minute per ip", "10/minute per ip"],
    [f"{number}/minute per ip" for number in range(10, 19)],
    ["5/minute per ip on POST /pay failing open"],
]


@pytest.mark.parametrize("rules", NEVER_JUDGED, ids=["of one name", "nine", "open payments"])
async def test_rules_that_can_never_be_judged_are_refused_at_once(room: RateLimit, rules: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        RateLimitMiddleware(bare, room, rules)


async def test_a_reload_of_rules_that_can_never_be_judged_changes_nothing(room: RateLimit) -> None:
    book = Rulebook({"first": "2/minute per ip"})
    app = RateLimitMiddleware(bare, room, book)
    async with client_of(app) as client:
        assert await statuses(client, "/", 1) == [200]
        book.reload({"a": "10/minute per ip named x", "b": "20/minute per ip named x"})
        assert await statuses(client, "/", 2) == [200, 429]


# -- inside of FastAPI, with its neighbours

PAGE = {"Origin": "https://shop.example.org"}
PREFLIGHT = PAGE | {"Access-Control-Request-Method": "POST"}
CORS: dict[str, Any] = {"allow_origins": [PAGE["Origin"]], "allow_methods": ["*"], "allow_credentials": True}


async def nothing() -> None:
    return None


@pytest.mark.parametrize("order", ["limits outside", "cors outside", "around"])
async def test_preflights_are_free_and_a_refusal_may_be_read_by_the_page(
    app: FastAPI, room: RateLimit, order: str
) -> None:
    app.add_api_route("/pay", nothing, methods=["POST"])
    rules, served = ["1/minute per ip"], app
    if order == "cors outside":
        app.add_middleware(RateLimitMiddleware, limits=room, rules=rules)
    app.add_middleware(CORSMiddleware, **CORS)
    if order == "limits outside":
        app.add_middleware(RateLimitMiddleware, limits=room, rules=rules)
    elif order == "around":
        served = RateLimitMiddleware(app, room, rules)  # type: ignore[assignment]
    async with client_of(served) as client:
        before = [(await client.options("/pay", headers=PREFLIGHT)).status_code for _ in range(5)]
        answers = [await client.post("/pay", headers=PAGE) for _ in range(2)]
        after = await client.options("/pay", headers=PREFLIGHT)
    assert (before, after.status_code) == ([200] * 5, 200)
    assert [answer.status_code for answer in answers] == [200, 429]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == PAGE["Origin"]
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["vary"] == "Origin"


async def test_refusals_of_routes_may_be_read_by_the_page(app: FastAPI, serve: Any) -> None:
    app.add_middleware(CORSMiddleware, **CORS)
    limit = Depends(RateLimitDependency("1/minute per ip"))
    app.add_api_route("/pay", nothing, methods=["POST"], dependencies=[limit])
    app.add_api_route("/pay", nothing, methods=["OPTIONS"], dependencies=[limit])
    app.add_api_route("/me", nothing, dependencies=[Depends(strict_user)])
    async with serve(app) as client:
        answers = [await client.post("/pay", headers=PAGE) for _ in range(2)]
        answers.append(await client.get("/me", headers=PAGE))
    assert [answer.status_code for answer in answers] == [200, 429, 401]
    assert {answer.headers["access-control-allow-origin"] for answer in answers} == {PAGE["Origin"]}


async def test_a_route_that_answers_preflights_itself_does_so_for_free(app: FastAPI, serve: Any) -> None:
    limit = Depends(RateLimitDependency("1/minute per ip named one"))
    app.add_middleware(RateLimitMiddleware, rules=["1/minute per ip named all"])
    app.add_api_route("/own", nothing, methods=["OPTIONS"], dependencies=[limit])
    app.add_api_route("/both", nothing, methods=["POST", "OPTIONS"])
    async with serve(app) as client:
        assert [(await client.options("/own", headers=PREFLIGHT)).status_code for _ in range(3)] == [200] * 3
        # What a route serves by OPTIONS, too, is served: a browser's fields do not make it free.
        assert [(await client.options("/both", headers=PREFLIGHT)).status_code for _ in range(2)] == [200, 429]


async def test_the_middleware_finds_the_front_of_a_lifespan(app: FastAPI, serve: Any) -> None:
    async def identify(scope: Any, who: str) -> int:
        return 7

    app.add_middleware(RateLimitMiddleware, rules=["2/minute per user"], identify=identify)
    app.add_api_route("/", nothing)
    async with serve(app) as client:
        assert await statuses(client, "/", 3) == [200, 200, 429]
        around = RateLimitMiddleware(app, rules=["1/minute per ip on /"])
        async with client_of(around, "203.0.113.9") as other:
            assert await statuses(other, "/", 2) == [429, 429]
    with pytest.raises(ConfigurationError, match="no HustleX"):
        async with client_of(RateLimitMiddleware(bare, rules=["1/minute per ip"])) as client:
            await client.get("/")


async def test_what_cannot_name_a_caller_is_the_clients_fault(room: RateLimit) -> None:
    def identify(scope: Any, who: str) -> str:
        return "x" * 300

    async with client_of(RateLimitMiddleware(bare, room, ["2/minute per key"], identify=identify)) as client:
        got = await client.get("/")
    assert (got.status_code, got.headers["content-type"]) == (422, "application/problem+json")


async def test_mounted_applications_count_apart(app: FastAPI, serve: Any) -> None:
    inner = FastAPI()
    inner.add_middleware(RateLimitMiddleware, rules=["1/minute per ip", "9/minute per ip on /hello"])
    inner.add_api_route("/hello", nothing)
    app.add_middleware(RateLimitMiddleware, rules=["100/minute per ip", "3/minute per ip on /one/hello"])
    app.mount("/one", inner)
    app.mount("/two", inner)
    async with serve(app) as client:
        assert await statuses(client, "/one/hello", 2) == [200, 429]
        assert await statuses(client, "/two/hello", 2) == [200, 429]


async def test_rules_cover_handshakes_and_a_sockets_limit_may_have_a_place(room: RateLimit) -> None:
    app = RateLimitMiddleware(bare, room, ["1/minute per ip on /ws"])
    first, second = Socket(app), Socket(app)
    assert [(await each.next())["type"] for each in (first, second)] == ["websocket.accept", "websocket.close"]
    await first.leave()
    elsewhere = RateLimitMiddleware(bare, room, [], sockets=SocketLimits(connect="1/minute per ip on /other"))
    for _ in range(2):
        socket = Socket(elsewhere)
        assert (await socket.next())["type"] == "websocket.accept"
        await socket.leave()


@pytest.mark.parametrize("given", [{"rules": 5}, {"rules": "5/minute"}, {"rules": [5]}, {"limits": 5}, {"sockets": 5}])
def test_wrong_arguments_are_named(given: dict[str, Any]) -> None:
    with pytest.raises(Misuse, match=r"rule|limits|sockets"):
        RateLimitMiddleware(bare, **given)
