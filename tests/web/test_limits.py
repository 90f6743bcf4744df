"""Limits as dependencies: whom they count, what they answer, and the headers."""

from __future__ import annotations

import asyncio
import base64
import itertools
import re
from datetime import timedelta
from typing import Annotated, Any

import pytest
import redis
from fastapi import APIRouter, Depends, FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.websockets import WebSocket

from hustlex.core.time import FixedClock
from hustlex.errors import ConfigurationError, Misuse
from hustlex.ratelimit import Decision, Penalty, Policy, Rule
from hustlex.web import (
    Problem,
    RateLimit,
    RateLimitMiddleware,
    by_ip,
    client_ip,
    install,
    route_policies,
    strict_user,
    unlimited,
)

MINUTE = timedelta(minutes=1)
THREE = Policy("three", 3, MINUTE, "counter")
THREE_PER_ADDRESS = RateLimit(THREE, key=by_ip)
QUOTA = "https://iana.org/assignments/http-problem-types#quota-exceeded"


def peer(host: str | None) -> Request:
    return Request({"type": "http", "client": None if host is None else (host, 1), "headers": [], "method": "GET"})


def told(response: Any, name: str) -> str:
    """A RateLimit field without its partition keys."""
    return re.sub(r";pk=:[A-Za-z0-9+/=]+:", "", response.headers[name])


async def nothing() -> None:
    return None


def limited(app: Any, path: str, *policies: Policy, methods: tuple[str, ...] = ("GET",), **options: Any) -> None:
    guard = RateLimit(policies[0] if len(policies) == 1 else policies, **({"key": by_ip} | options))
    app.add_api_route(path, nothing, methods=list(methods), dependencies=[Depends(guard)])


async def test_over_the_limit_is_a_problem_that_says_when_to_return(
    app: FastAPI, serve: Any, clock: FixedClock
) -> None:
    limited(app, "/gigs/{id}", THREE)
    async with serve(app) as client:
        answers = [await client.get(f"/gigs/{number}") for number in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        refused = answers[3]
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json() == {
            "type": QUOTA,
            "title": "Too Many Requests",
            "status": 429,
            "detail": "Too many requests. Try again later.",
            "violated-policies": ["three"],
        }
        # A full window at its first millisecond: a third of the limit is free again 80 s later.
        assert 80 <= int(refused.headers["retry-after"]) <= 88
        clock.advance(timedelta(seconds=80))
        assert (await client.get("/gigs/9")).status_code == 200


async def test_a_hundred_at_once_are_counted_exactly(app: FastAPI, serve: Any) -> None:
    limited(app, "/", Policy("twenty", 20, MINUTE, "log"))
    async with serve(app) as client:
        answers = await asyncio.gather(*(client.get("/") for _ in range(100)))
    assert sum(answer.status_code == 200 for answer in answers) == 20
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)


async def test_the_headers_follow_the_draft(app: FastAPI, serve: Any, clock: FixedClock) -> None:
    clock.advance(timedelta(seconds=30))
    limited(
        app,
        "/",
        Policy("burst", 2, timedelta(milliseconds=1500), "log"),
        Policy("hour", 100, timedelta(hours=1), "counter"),
    )
    async with serve(app) as client:
        first, _, third = [await client.get("/") for _ in range(3)]
    assert told(first, "ratelimit-policy") == '"burst";q=2, "hour";q=100;w=3600'
    assert told(first, "ratelimit") == '"burst";r=1;t=2, "hour";r=99;t=7170'
    assert third.status_code == 429
    assert third.headers["ratelimit-policy"] == first.headers["ratelimit-policy"]
    assert told(third, "ratelimit") == '"burst";r=0;t=2, "hour";r=98;t=5370'
    assert int(third.headers["retry-after"]) >= 2
    assert third.json()["violated-policies"] == ["burst"]


async def test_headers_stand_on_every_answer_but_redirects(app: FastAPI, serve: Any) -> None:
    async def answer(kind: str, decision: Annotated[Decision, Depends(THREE_PER_ADDRESS)]) -> Response:
        if kind == "problem":
            raise Problem(404)
        if kind == "redirect":
            return RedirectResponse("/elsewhere")
        return Response(str(decision.remaining))

    app.add_api_route("/{kind}", answer)
    async with serve(app) as client:
        plain, problem, redirect = [await client.get(f"/{kind}") for kind in ("plain", "problem", "redirect")]
        unlimited = await client.get("/not/limited")
    assert plain.text == "2"
    assert plain.headers["ratelimit"].startswith('"three";r=2;t=')
    assert (problem.status_code, problem.headers["ratelimit"][:12]) == (404, '"three";r=1;')
    assert redirect.status_code == 307
    assert "ratelimit" not in redirect.headers
    assert "ratelimit" not in unlimited.headers


async def test_a_hidden_limit_shows_nothing_but_still_refuses(app: FastAPI, serve: Any) -> None:
    limited(app, "/", Policy("one", 1, MINUTE), show=False)
    async with serve(app) as client:
        allowed, refused = await client.get("/"), await client.get("/")
    assert (allowed.status_code, refused.status_code) == (200, 429)
    assert not {"ratelimit", "ratelimit-policy"} & {*allowed.headers, *refused.headers}
    assert "retry-after" in refused.headers


async def test_the_label_is_the_template_with_its_routers_prefixes(app: FastAPI, serve: Any, raw: redis.Redis) -> None:
    inner, outer = APIRouter(prefix="/{tenant}"), APIRouter(prefix="/api")
    limited(inner, "/gigs/{id}", THREE)
    outer.include_router(inner, prefix="/v1")
    app.include_router(outer)
    limited(app, "/files/{path:path}", Policy("files", 5, MINUTE, "log"))
    async with serve(app) as client:
        for number in range(3):
            await client.get(f"/api/v1/acme/gigs/{number}")
            await client.get(f"/files/a/b/{number}")
        for number in range(30):
            assert (await client.get(f"/random/{number}")).status_code == 404
    assert sorted(raw.keys()) == [
        b"ratelimit:{ip%3A203.0.113.7}:/api/v1/%7Btenant%7D/gigs/%7Bid%7D:1767225600",
        b"ratelimit:{ip%3A203.0.113.7}:/files/%7Bpath%3Apath%7D:z",
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(("GET", "POST", "PUT"))), ids="-".join)
async def test_different_limits_of_one_path_count_apart_whatever_comes_first(
    app: FastAPI, serve: Any, order: tuple[str, ...]
) -> None:
    limited(app, "/gigs", THREE)
    limited(app, "/gigs", Policy("strict", 1, MINUTE), methods=("POST",))
    limited(app, "/gigs", Policy("strict", 2, MINUTE), methods=("PUT",))  # another one of the same name
    async with serve(app) as client:
        found = {method: [(await client.request(method, "/gigs")).status_code for _ in range(4)] for method in order}
    assert found == {"GET": [200] * 3 + [429], "POST": [200] + [429] * 3, "PUT": [200] * 2 + [429] * 2}


async def test_one_limit_of_two_methods_counts_them_together(app: FastAPI, serve: Any) -> None:
    limited(app, "/gigs", THREE)
    limited(app, "/gigs", THREE, methods=("POST",))
    limited(app, "/other", Policy("one", 1, MINUTE), endpoint="/gigs")
    async with serve(app) as client:
        sent = [(await client.request(method, "/gigs")).status_code for method in ("GET", "POST", "GET", "POST")]
        assert (await client.get("/other")).status_code == 200
    assert sent == [200, 200, 200, 429]


def wide_and_strict(app: FastAPI, where: str) -> str:
    """Routes with a wide limit of the app, or of a router, and a stricter one of their own; the path of one."""
    wide, strict = Depends(RateLimit("5/minute per ip named wide")), RateLimit("1/minute per ip named strict")
    router = APIRouter(dependencies=[wide] if where == "router" else [], prefix="/v1")
    limited_by_all = {"dependencies": [wide]} if where == "include" else {}
    if where == "app":
        app.router.dependencies.append(wide)
    router.add_api_route("/pay", nothing, methods=["POST"], dependencies=[Depends(strict)])
    router.add_api_route("/pay", nothing, methods=["GET"])
    app.include_router(router, **limited_by_all)
    return "/v1/pay"


@pytest.mark.parametrize("where", ["app", "router", "include"])
@pytest.mark.parametrize("first", ["GET", "POST"])
async def test_a_wide_limit_and_a_stricter_one_add_up_in_one_step(
    app: FastAPI, serve: Any, where: str, first: str
) -> None:
    path = wide_and_strict(app, where)
    async with serve(app) as client:
        got = [await client.request(first, path)]
        got += [await client.post(path) for _ in range(2 if first == "GET" else 1)]
        assert [answer.status_code for answer in got][-2:] == [200, 429]
        # What was refused was not charged to the wide limit: of its five, only what was served is gone.
        left = 3 if first == "GET" else 4
        assert [(await client.get(path)).status_code for _ in range(left + 1)] == [200] * left + [429]
    assert told(got[-2], "ratelimit-policy") == '"wide";q=5;w=60, "strict";q=1;w=60'
    assert got[-1].json()["violated-policies"] == ["strict"]


async def test_the_limits_of_a_middleware_and_of_a_route_add_up(app: FastAPI, serve: Any) -> None:
    app.add_middleware(RateLimitMiddleware, rules=["5/minute per ip on /pay named wide"])
    limited(app, "/pay", Policy("strict", 1, MINUTE), methods=("POST",))
    limited(app, "/pay", Policy("third", 9, MINUTE), methods=("GET",))
    async with serve(app) as client:
        assert [(await client.post("/pay")).status_code for _ in range(3)] == [200, 429, 429]
        assert [(await client.get("/pay")).status_code for _ in range(5)] == [200] * 4 + [429]


async def test_the_same_limit_twice_charges_once(app: FastAPI, serve: Any) -> None:
    line = "3/minute per ip on /pay"
    app.add_middleware(RateLimitMiddleware, rules=[line])
    app.add_middleware(RateLimitMiddleware, rules=[line])
    app.add_api_route("/pay", nothing, dependencies=[Depends(RateLimit(line)), Depends(RateLimit(line))])
    async with serve(app) as client:
        assert [(await client.get("/pay")).status_code for _ in range(4)] == [200] * 3 + [429]


async def test_what_was_charged_before_a_refusal_is_given_back(app: FastAPI, serve: Any) -> None:
    by_name = Depends(RateLimit(Policy("name", 1, MINUTE), key=lambda name: f"n{name}"))
    app.add_api_route("/", nothing, dependencies=[Depends(RateLimit(Policy("address", 3, MINUTE), key=by_ip)), by_name])
    async with serve(app) as client:
        got = [(await client.get("/", params={"name": name})).status_code for name in "aaaabcd"]
    assert got == [200, 429, 429, 429, 200, 200, 429]


async def test_a_caller_may_be_a_number(app: FastAPI, serve: Any) -> None:
    async def number() -> int:
        return 7

    async def text() -> str:
        return "7"

    limited(app, "/", Policy("one", 1, MINUTE), key=number, endpoint="/all")
    limited(app, "/text", Policy("one", 1, MINUTE), key=text, endpoint="/all")
    async with serve(app) as client:
        assert [(await client.get(path)).status_code for path in ("/", "/text", "/")] == [200, 429, 429]


async def test_an_overridden_limit_is_not_charged_by_its_neighbour(app: FastAPI, serve: Any) -> None:
    wide, strict = RateLimit("5/minute per ip named wide"), RateLimit("1/minute per ip named strict")
    app.add_api_route("/", nothing, dependencies=[Depends(wide), Depends(strict)])
    app.dependency_overrides[strict] = nothing
    async with serve(app) as client:
        assert [(await client.get("/")).status_code for _ in range(6)] == [200] * 5 + [429]


async def test_several_limits_of_different_callers_add_up(app: FastAPI, serve: Any) -> None:
    by_name = Depends(RateLimit(Policy("name", 1, MINUTE), key=lambda name: f"n{name}"))
    by_address = Depends(RateLimit(Policy("address", 2, MINUTE), key=by_ip))
    app.add_api_route("/hello", nothing, dependencies=[by_name, by_address])
    async with serve(app) as client:
        answers = [await client.get("/hello", params={"name": name}) for name in ("a", "a", "b", "c")]
    assert [answer.status_code for answer in answers] == [200, 429, 200, 429]
    assert told(answers[0], "ratelimit-policy") == '"name";q=1;w=60, "address";q=2;w=60'
    assert answers[1].json()["violated-policies"] == ["name"]
    assert answers[3].json()["violated-policies"] == ["address"]


@pytest.mark.parametrize("where", ["dependencies", "middleware"])
@pytest.mark.parametrize("algorithm", ["strict", "log", "counter", "fixed", "gcra"])
async def test_a_race_of_several_callers_charges_who_passed_and_nobody_else(
    app: FastAPI, serve: Any, where: str, algorithm: Any
) -> None:
    """Limits of different callers cannot be one step: they have a slot each. What holds all the same: none is ever
    exceeded, and once the answers are there, each has counted exactly those who passed. Meanwhile one may refuse who
    would have passed, for as long as a refund is on its way: so many fewer pass, and the next request does."""
    more = {"burst": 6} if algorithm == "gcra" else {}
    address, user = (
        Policy("address", 6, 60 * MINUTE, algorithm, **more),
        Policy("user", 2, 60 * MINUTE, algorithm, **(more and {"burst": 2})),
    )
    who = lambda scope, _: dict(scope["headers"])[b"who"].decode()  # noqa: E731

    async def by_header(request: Request) -> str:
        return request.headers["who"]

    guards = [
        Depends(RateLimit(address, key=by_ip, endpoint="/pay")),
        Depends(RateLimit(user, key=by_header, endpoint="/pay")),
    ]
    app.add_api_route("/pay", nothing, methods=["POST"], dependencies=guards if where == "dependencies" else [])
    if where == "middleware":
        rules = [Rule(address, "ip", "", "/pay"), Rule(user, "user", "", "/pay")]
        app.add_middleware(RateLimitMiddleware, rules=rules, identify=who)
    async with serve(app) as client:
        room = app.state.hustlex.ratelimit
        calls = [client.post("/pay", headers={"who": f"u{number % 5}"}) for number in range(40)]
        passed = [number % 5 for number, answer in enumerate(await asyncio.gather(*calls)) if answer.status_code == 200]
        assert len(passed) <= 6
        assert all(passed.count(each) <= 2 for each in range(5))
        for each in range(5):
            left = await room.peek(user, f"u{each}", endpoint="/pay")
            assert left.remaining == 2 - passed.count(each)
        late = [(await client.post("/pay", headers={"who": f"v{number}"})).status_code for number in range(7)]
        assert late == [200] * (6 - len(passed)) + [429] * (1 + len(passed))


async def test_a_payments_limit_that_opens_ends_the_start(app: FastAPI, serve: Any) -> None:
    limited(app, "/wallet/transfers", Policy("open", 1, MINUTE, on_error="open"), methods=("POST",))
    with pytest.raises(ConfigurationError, match="/wallet/transfers"):
        async with serve(app):
            pass


def test_a_call_that_can_never_pass_is_refused_when_the_route_is_made() -> None:
    with pytest.raises(Misuse):
        RateLimit(THREE, cost=4)


@pytest.mark.parametrize(
    ("host", "identity"),
    [
        ("203.0.113.7", "ip:203.0.113.7"),
        ("::ffff:203.0.113.7", "ip:203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "ip:2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "ip:2001:db8:1:2::/64"),
        ("fe80::1%eth0", "ip:fe80::/64"),
        ("203.0.113.7:4711", "ip:203.0.113.7"),
        ("[2001:db8:1:2::9]", "ip:2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:443", "ip:2001:db8:1:2::/64"),
        ("[fe80::1%eth0]:443", "ip:fe80::/64"),
        ("[::ffff:203.0.113.7]:443", "ip:203.0.113.7"),
        ("testclient", "ip:unreadable"),
        ("203.0.113.7.9", "ip:unreadable"),
        ("unknown", "ip:unreadable"),
        ("", "ip:unreadable"),
        (None, "ip:local"),
    ],
)
async def test_an_address_is_counted_as_its_owner(host: str | None, identity: str) -> None:
    assert await by_ip(peer(host)) == identity


async def test_a_forwarded_header_is_not_believed(app: FastAPI, serve: Any) -> None:
    limited(app, "/", Policy("one", 1, MINUTE))
    async with serve(app) as client:
        statuses = [
            (await client.get("/", headers={"X-Forwarded-For": f"10.0.0.{number}"})).status_code for number in range(2)
        ]
    assert statuses == [200, 429]


@pytest.mark.parametrize(
    ("on_error", "statuses"), [("closed", [503, 503]), ("open", [200, 200]), ("local", [200, 429])]
)
async def test_the_policy_decides_when_the_server_cannot_be_asked(
    app_on: Any, serve: Any, on_error: Any, statuses: list[int]
) -> None:
    app = app_on("redis://127.0.0.1:1", FixedClock(), timeout=timedelta(milliseconds=20))
    limited(app, "/", Policy("one", 1, MINUTE, on_error=on_error))
    async with serve(app) as client:
        answers = [await client.get("/") for _ in range(2)]
    assert [answer.status_code for answer in answers] == statuses
    if on_error == "closed":
        assert answers[0].headers["retry-after"] == "5"
        assert answers[0].headers["content-type"] == "application/problem+json"
        assert answers[0].json()["type"].endswith("#temporary-reduced-capacity")


@pytest.mark.parametrize("installed", [True, False])
async def test_a_mounted_app_works_by_itself_and_counts_by_its_mount(
    app: FastAPI, serve: Any, installed: bool, raw: redis.Redis
) -> None:
    inner = FastAPI()
    if installed:
        install(inner)
    limited(inner, "/hello", THREE)
    limited(app, "/hello", Policy("one", 1, MINUTE))
    app.mount("/one", inner)
    app.mount("/{tenant}/two", inner)
    async with serve(app) as client:
        got = [(await client.get("/one/hello")) for _ in range(4)]
        tenants = [(await client.get(f"/{tenant}/two/hello")).status_code for tenant in ("a", "b", "two", "d")]
        outer = [(await client.get("/hello")).status_code for _ in range(2)]
    assert [each.status_code for each in got] == [200] * 3 + [429]
    assert (tenants, outer) == ([200] * 3 + [429], [200, 429])
    assert got[0].headers["ratelimit"][:12] == '"three";r=2;'
    assert [name for name in route_policies(app) if "hello" in name] == [
        "GET /hello",
        "GET /one/hello",
        "GET /{tenant}/two/hello",
    ]


async def test_a_mounted_app_without_a_word_of_ours_answers_problems(
    app_on: Any, serve: Any, clock: FixedClock
) -> None:
    app, inner = app_on("redis://127.0.0.1:1", clock, timeout=timedelta(milliseconds=20)), FastAPI()
    limited(inner, "/hello", Policy("one", 1, MINUTE, on_error="closed"))
    inner.add_api_route("/me", nothing, dependencies=[Depends(strict_user)])
    app.mount("/inner", inner)
    async with serve(app) as client:
        got = [await client.get("/inner/hello"), await client.get("/inner/me")]
    assert [each.status_code for each in got] == [503, 401]
    assert {each.headers["content-type"] for each in got} == {"application/problem+json"}


async def test_a_line_of_text_is_a_limit(app: FastAPI, serve: Any, raw: redis.Redis) -> None:
    guard = RateLimit(["3/minute per ip on /pay using log", "9/hour per ip on /pay"])
    app.add_api_route("/v1/pay", nothing, dependencies=[Depends(guard)])
    app.add_api_route("/all", nothing, dependencies=[Depends(RateLimit("2/minute global named all"))])
    async with serve(app) as client:
        assert [(await client.get("/v1/pay")).status_code for _ in range(4)] == [200] * 3 + [429]
        assert [(await client.get("/all")).status_code for _ in range(3)] == [200] * 2 + [429]
    assert sorted(raw.keys()) == [
        b"ratelimit:{global}:/all:b",
        b"ratelimit:{ip%3A203.0.113.7}:/pay:b",
        b"ratelimit:{ip%3A203.0.113.7}:/pay:z",
    ]


@pytest.mark.parametrize(
    "lines",
    [["3/minute per ip", "3/minute per user"], ["1/s per ip on /a", "1/s per ip on /b"], "1/s per key", [], "1"],
)
def test_lines_that_cannot_be_one_limit_are_refused(lines: Any) -> None:
    with pytest.raises(Misuse):
        RateLimit(lines)


async def test_the_banned_are_told_so(app: FastAPI, serve: Any, clock: FixedClock) -> None:
    limited(app, "/", Policy("one", 1, MINUTE, penalty=Penalty(1, MINUTE, 5 * MINUTE)))
    async with serve(app) as client:
        answers = [await client.get("/") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 429]
    assert answers[1].json()["type"] == QUOTA
    assert answers[2].json()["type"].endswith("#abnormal-usage-detected")
    assert 300 <= int(answers[2].headers["retry-after"]) <= 330


async def test_the_partition_is_opaque_and_stable(app: FastAPI, serve: Any) -> None:
    limited(app, "/a", Policy("a", 5, MINUTE))
    limited(app, "/b", Policy("b", 5, MINUTE))
    async with serve(app) as client:
        keys = [
            re.findall(r";pk=:([^:]+):", (await client.get(path)).headers[name])
            for path in ("/a", "/b")
            for name in ("ratelimit", "ratelimit-policy")
        ]
    assert len({tuple(key) for key in keys}) == 1
    assert b"203" not in base64.b64decode(keys[0][0])


async def test_older_fields_on_request(app_on: Any, serve: Any, url: str, clock: FixedClock) -> None:
    app = app_on(url, clock, legacy="x-ratelimit")
    limited(app, "/", THREE)
    async with serve(app) as client:
        answer = await client.get("/")
    assert [answer.headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining", "reset")] == ["3", "2", "120"]


async def test_the_start_lists_every_route_and_may_insist_on_limits(
    app_on: Any, serve: Any, url: str, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_on(url, clock, require_policy=True)
    inner = APIRouter(prefix="/v1")
    inner.add_api_route("/health", nothing, dependencies=[Depends(unlimited)])
    limited(inner, "/gigs/{id}", THREE, methods=("POST",))
    app.include_router(inner)
    caplog.set_level("INFO", "hustlex.web")
    async with serve(app):
        pass
    assert "POST /v1/gigs/{id}: three" in caplog.text
    assert list(route_policies(app)) == ["POST /v1/gigs/{id}"]
    app.add_api_route("/bare", nothing)
    with pytest.raises(ConfigurationError, match="GET /bare"):
        async with serve(app):
            pass


async def test_a_websocket_route_may_have_a_limit(app: FastAPI) -> None:
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    async def connect() -> list[dict[str, Any]]:
        """What the app answers to one connect."""
        said: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            said.append(message)

        extensions = {"websocket.http.response": {}}
        peer = {"client": ("203.0.113.7", 1), "headers": [], "query_string": b"", "extensions": extensions}
        await app({"type": "websocket", "path": "/ws", "subprotocols": [], **peer}, receive, send)
        return said

    app.add_api_websocket_route("/ws", echo, dependencies=[Depends(RateLimit("1/minute per ip"))])
    assert list(route_policies(app)) == ["WS /ws"]
    async with app.router.lifespan_context(app):
        assert (await connect())[0]["type"] == "websocket.accept"
        refused = await connect()
    assert (refused[0]["type"], refused[0]["status"]) == ("websocket.http.response.start", 429)


async def test_a_place_is_kept_until_the_answer_was_sent(app: FastAPI, serve: Any) -> None:
    running, done = asyncio.Semaphore(0), asyncio.Event()

    @app.get("/export", dependencies=[Depends(RateLimit("2 at once per ip"))])
    async def export(fail: bool = False) -> None:
        running.release()
        await done.wait()
        if fail:
            raise Problem(409)

    async with serve(app) as client:
        asking = [asyncio.ensure_future(client.get("/export", params={"fail": fail})) for fail in (True, False)]
        for _ in asking:
            await running.acquire()
        assert (await client.get("/export")).status_code == 429
        done.set()
        assert sorted([answer.status_code for answer in await asyncio.gather(*asking)]) == [200, 409]
        assert [(await client.get("/export")).status_code for _ in range(3)] == [200] * 3


def test_addresses_that_cannot_be_read_share_the_caps_of_one() -> None:
    unreadable = ["testclient", "unknown", "", "203.0.113.7.9", "203.0.113.7:port", "[2001:db8::", None]
    assert {client_ip(peer(host)) for host in unreadable} == {"0.0.0.0"}
    readable = ["203.0.113.7", "203.0.113.7:4711", "[2001:db8::7]:443", "fe80::1%eth0"]
    assert [client_ip(peer(host)) for host in readable] == readable
