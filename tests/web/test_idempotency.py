"""Idempotent routes, webhooks and PINs over HTTP, on a real server."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any

import httpx
import msgspec
import pytest
import redis
from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response as Answer
from starlette.routing import Route

from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.idempotency import (
    Finding,
    IdempotencyOptions,
    Orphaned,
    Provider,
    Replay,
    Response,
    Scope,
    Started,
    hmac_signature,
)
from hustlex.web import (
    CurrentUser,
    Front,
    IdempotencyMiddleware,
    Idempotent,
    Problem,
    attach,
    install,
    lifespan,
    pin_ok,
    verify_webhook,
)
from tests.conftest import PATIENCE, SECRET

Serve = Any
LEASE = timedelta(seconds=30)
TRANSFER = {"amount": 5_000, "to": "u2"}


def who(user: Annotated[str, Header()] = "u1") -> str:
    """Stands for the logged-in user."""
    return user


class Transfer(BaseModel):
    amount: int
    to: str


@pytest.fixture
def effects(app: FastAPI) -> list[Any]:
    """What was carried out; the app has one idempotent route."""
    done: list[Any] = []

    @app.post("/transfers/{account}", status_code=201)
    async def transfer(
        account: str, body: Transfer, claim: Annotated[Started, Depends(Idempotent(key=who))]
    ) -> dict[str, int]:
        done.append(body.amount)
        await asyncio.sleep(0)
        return {"id": len(done), "fence": claim.fence}

    return done


def post(client: httpx.AsyncClient, key: str | None = "k1", **more: Any) -> Awaitable[httpx.Response]:
    headers = ({"Idempotency-Key": key} if key is not None else {}) | more.pop("headers", {})
    more = more if {"content", "data", "json"} & set(more) else more | {"json": TRANSFER}
    return client.post(more.pop("path", "/transfers/a1"), headers=headers, **more)


async def test_a_repeat_gets_the_first_answer(app: FastAPI, effects: list[Any], serve: Serve) -> None:
    async with serve(app) as client:
        first, second = await post(client), await post(client)
    assert effects == [5_000]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json() == {"id": 1, "fence": 1}
    assert second.headers["content-type"] == "application/json"
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"


async def test_of_200_concurrent_requests_one_is_carried_out(app: FastAPI, effects: list[Any], serve: Serve) -> None:
    async with serve(app) as client:
        answers = await asyncio.gather(*(post(client) for _ in range(200)))
        assert effects == [5_000]
        statuses = {answer.status_code for answer in answers}
        assert statuses <= {201, 409}
        assert all(1 <= int(answer.headers["retry-after"]) <= 5 for answer in answers if answer.status_code == 409)
        assert (await post(client)).headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    ("key", "status"),
    [(None, 400), ("", 400), ("k" * 256, 400), ("a b", 400), ("k" * 255, 201), ('"k1"', 201)],
)
async def test_a_request_needs_a_good_key(
    app: FastAPI, effects: list[Any], serve: Serve, key: str | None, status: int
) -> None:
    async with serve(app) as client:
        answer = await post(client, key)
    assert answer.status_code == status
    assert len(effects) == (status == 201)


async def test_a_key_with_other_letters_or_twice_is_refused(app: FastAPI, effects: list[Any], serve: Serve) -> None:
    async with serve(app) as client:
        odd = await client.post("/transfers/a1", json=TRANSFER, headers=[(b"idempotency-key", "ключ".encode())])
        twice = await client.post("/transfers/a1", json=TRANSFER, headers=[("idempotency-key", "a")] * 2)
    assert (odd.status_code, twice.status_code, effects) == (400, 400, [])


async def test_the_key_belongs_to_user_route_and_body(app: FastAPI, effects: list[Any], serve: Serve) -> None:
    async with serve(app) as client:
        assert (await post(client)).status_code == 201
        assert (await post(client, headers={"user": "u2"})).json()["id"] == 2
        assert (await post(client, content=b'{ "to":"u2",  "amount":5000 }')).headers["idempotent-replayed"]
        other = await post(client, json=TRANSFER | {"amount": 1})
        assert (other.status_code, other.headers["content-type"]) == (422, "application/problem+json")
    assert effects == [5_000, 5_000]


async def test_a_kept_answer_is_not_for_a_session_that_is_over(app: FastAPI, serve: Serve, raw: redis.Redis) -> None:
    @app.post("/pay", dependencies=[Depends(Idempotent())])
    async def pay(user: CurrentUser) -> str:
        return user.user_id

    async with serve(app) as client:
        await app.state.hustlex.tokens.start()
        pair = await app.state.hustlex.tokens.login("u1")
        headers = {"Authorization": f"Bearer {pair.access}"}
        assert (await post(client, path="/pay", headers=headers)).status_code == 200
        raw.delete(f"session:{{u1}}:{pair.session_id}")  # nobody is told of it, so a bounded check cannot know
        assert (await post(client, path="/pay", headers=headers)).status_code == 401


async def test_the_template_is_the_route(app: FastAPI, effects: list[Any], serve: Serve, raw: redis.Redis) -> None:
    async with serve(app) as client:
        assert (await post(client, path="/transfers/a1?note=x")).status_code == 201
        assert (await post(client, path="/transfers/a1?note=x")).headers["idempotent-replayed"]
        for path in ("/transfers/a2?note=x", "/transfers/a1?note=y", "/transfers/a1"):
            assert (await post(client, path=path)).status_code == 422, "the first one's success is not its own"
    assert effects == [5_000]
    (name,) = raw.keys()
    assert b":POST%20/transfers/%7Baccount%7D:" in name


async def test_what_is_refused_before_it_begins_gives_the_key_back(
    app: FastAPI, effects: list[Any], serve: Serve, raw: redis.Redis
) -> None:
    async with serve(app) as client:
        assert (await post(client, json={"amount": "much"})).status_code == 422
        assert raw.dbsize() == 0
        assert (await post(client)).status_code == 201


# -- which answers are kept


def respond(app: FastAPI, make: Callable[[], Any], options: IdempotencyOptions | None = None) -> list[int]:
    """A route that answers with what ``make`` returns or raises; how often it ran."""
    ran: list[int] = []
    claimed = Idempotent(key=who, options=options)

    @app.post("/go")
    async def go(claim: Started = Depends(claimed)) -> Answer:  # noqa: B008
        ran.append(claim.fence)
        return make()

    return ran


def failing(error: Exception) -> Callable[[], Any]:
    def make() -> Any:
        raise error

    return make


async def stream() -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"


@pytest.mark.parametrize(
    ("make", "status", "body"),
    [
        (lambda: PlainTextResponse("done", 202), 202, b"done"),
        (lambda: Answer(status_code=204), 204, b""),
        (lambda: JSONResponse({"no": 1}, 404), 404, b'{"no":1}'),
        (failing(Problem(409, detail="Taken.")), 409, None),
        (failing(LookupError("secret")), 500, None),
        (lambda: StreamingResponse(stream()), 200, b""),
        (lambda: PlainTextResponse("x" * 65_537), 200, b""),
        (lambda: PlainTextResponse("x" * 65_536), 200, b"x" * 65_536),
    ],
    ids=["text", "empty", "404", "problem", "exception", "stream", "large", "largest"],
)
async def test_an_answer_is_repeated(
    app: FastAPI, serve: Serve, make: Callable[[], Any], status: int, body: bytes | None
) -> None:
    ran = respond(app, make)
    async with serve(app) as client:
        first, second = await post(client, path="/go"), await post(client, path="/go")
    assert ran == [1]
    assert (first.status_code, second.status_code) == (status, status)
    assert second.content == (first.content if body is None else body)
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers.get("content-type") == first.headers.get("content-type")
    assert "secret" not in second.text


async def test_a_stream_is_passed_on_whole(app: FastAPI, serve: Serve) -> None:
    respond(app, lambda: StreamingResponse(stream()))
    async with serve(app) as client:
        assert (await post(client, path="/go")).content == b"onetwo"


async def test_only_listed_headers_are_kept(app: FastAPI, serve: Serve) -> None:
    def make() -> Answer:
        answer = RedirectResponse("/receipts/7", 303, {"X-Trace": "t1"})
        answer.set_cookie("session", "secret")
        answer.headers.append("Link", "</a>; rel=next")
        answer.headers.append("Link", "</b>; rel=prev")
        return answer

    respond(app, make)
    async with serve(app) as client:
        first, second = await post(client, path="/go"), await post(client, path="/go")
    assert first.headers["set-cookie"]
    assert second.headers["location"] == "/receipts/7"
    assert second.headers.get_list("link") == first.headers.get_list("link") == ["</a>; rel=next", "</b>; rel=prev"]
    assert not {"set-cookie", "x-trace"} & set(second.headers)


@pytest.mark.parametrize("status", [401, 403, 422, 429])
async def test_a_refusal_gives_the_key_back(app: FastAPI, serve: Serve, raw: redis.Redis, status: int) -> None:
    ran = respond(app, failing(Problem(status)))
    async with serve(app) as client:
        for _ in range(2):
            assert (await post(client, path="/go")).status_code == status
    assert ran == [1, 1]
    assert raw.dbsize() == 0


async def test_a_503_says_nothing_so_its_claim_lapses(app: FastAPI, serve: Serve, clock: FixedClock) -> None:
    ran = respond(app, failing(Problem(503)))
    async with serve(app) as client:
        assert (await post(client, path="/go")).status_code == 503
        assert (await post(client, path="/go")).status_code == 409
        clock.advance(LEASE)
        orphan = await post(client, path="/go")
    assert (orphan.status_code, orphan.headers["retry-after"], ran) == (409, "60", [1])


async def test_a_route_has_options_of_its_own(app: FastAPI, serve: Serve) -> None:
    options = IdempotencyOptions(given_back=frozenset({500}), max_answer=4)
    ran = respond(app, lambda: PlainTextResponse("no", 500) if len(ran) == 1 else PlainTextResponse("larger"), options)
    async with serve(app) as client:
        assert (await post(client, path="/go")).status_code == 500
        assert (await post(client, path="/go")).text == "larger"
        assert (await post(client, path="/go")).text == ""
    assert ran == [1, 1]


# -- orphans


async def test_an_orphan_is_reconciled_by_the_routes_callback(
    app: FastAPI, serve: Serve, clock: FixedClock, url: str
) -> None:
    found: dict[str, Response | Finding] = {
        "done": Response(201, b"found", (("content-type", "text/plain"),)),
        "not-done": Finding.NOT_DONE,
        "unknown": Finding.UNKNOWN,
    }

    async def look(request: Request, orphan: Orphaned) -> Response | Finding:
        assert orphan.point == "charging"
        return found[request.headers["idempotency-key"]]

    @app.post("/pay")
    async def pay(claim: Started = Depends(Idempotent(key=who, reconcile=look))) -> dict[str, int]:  # noqa: B008
        return {"fence": claim.fence}

    async with HustleX(url, timeout=PATIENCE, secret=SECRET, clock=clock) as dead:
        for key in found:
            started = await dead.idempotency.begin(key, Scope("u1", "POST", "/pay", "/pay"), body=b"{}")
            assert isinstance(started, Started)
            await dead.idempotency.renew(started, point="charging")
    clock.advance(LEASE)
    async with serve(app) as client:
        answers = {key: await post(client, key, path="/pay", content=b"{}") for key in found for _ in range(2)}
    assert (answers["done"].status_code, answers["done"].text) == (201, "found")
    assert answers["not-done"].json() == {"fence": 2}
    assert answers["not-done"].headers["idempotent-replayed"]
    assert answers["unknown"].status_code == 409


@pytest.mark.parametrize("fault", ["refuse", "black_hole"])
async def test_without_redis_nothing_is_carried_out(
    app_on: Callable[[str, FixedClock], FastAPI], faulty: Any, clock: FixedClock, serve: Serve, fault: str
) -> None:
    app = app_on(faulty.url, clock)
    ran = respond(app, lambda: Answer("done"))
    setattr(faulty, fault, True)
    async with serve(app) as client:
        answer = await post(client, path="/go")
    assert (answer.status_code, answer.headers["retry-after"], ran) == (503, "5", [])


async def test_on_a_full_server_nothing_new_is_carried_out(
    app_on: Callable[[str, FixedClock], FastAPI], clock: FixedClock, serve: Serve
) -> None:
    with EmbeddedServer() as server, redis.Redis.from_url(server.url) as raw:
        app = app_on(server.url, clock)
        ran = respond(app, lambda: PlainTextResponse("paid"))
        async with serve(app) as client:
            await post(client, path="/go")
            raw.config_set("maxmemory", "1")
            assert (await post(client, "k2", path="/go")).status_code == 503
            assert (await post(client, path="/go")).headers["idempotent-replayed"]
    assert ran == [1]


async def test_paths_that_lead_nowhere_leave_no_keys(
    app: FastAPI, effects: list[Any], serve: Serve, raw: redis.Redis
) -> None:
    async with serve(app) as client:
        for path in ("/nowhere/1", "/transfers/a/b", "/transfers/", "/%00"):
            assert (await post(client, path=path)).status_code == 404
    assert raw.dbsize() == 0


async def test_an_answer_that_cannot_be_kept_is_still_given(
    app_on: Callable[[str, FixedClock], FastAPI], faulty: Any, clock: FixedClock, serve: Serve
) -> None:
    app = app_on(faulty.url, clock)

    def make() -> Answer:
        faulty.refuse = True
        faulty.cut()
        return PlainTextResponse("paid")

    respond(app, make)
    async with serve(app) as client:
        assert (await post(client, path="/go")).text == "paid"


# -- requests of any form


async def test_what_is_not_json_is_compared_byte_by_byte(app: FastAPI, serve: Serve) -> None:
    @app.post("/raw")
    async def raw_body(request: Request, claim: Annotated[Started, Depends(Idempotent(key=who))]) -> int:
        return len(await request.body())

    async with serve(app) as client:
        assert (await post(client, path="/raw", data={"name": "Ada"})).json() == 8
        assert (await post(client, path="/raw", data={"name": "Ada"})).headers["idempotent-replayed"]
        assert (await post(client, path="/raw", data={"name": "Eve"})).status_code == 422


async def test_a_large_request_cannot_use_a_key(app: FastAPI, serve: Serve) -> None:
    ran = respond(app, lambda: Answer("done"))
    async with serve(app) as client:
        assert (await post(client, path="/go", content=b"x" * 65_537)).status_code == 413
        assert (await post(client, path="/go", content=b"x" * 65_536)).status_code == 200
    assert ran == [1]


async def test_the_key_may_be_optional(app: FastAPI, serve: Serve) -> None:
    @app.post("/maybe")
    async def maybe(claim: Annotated[Started | None, Depends(Idempotent(key=who, required=False))]) -> bool:
        return claim is not None

    async with serve(app) as client:
        answers = [(await post(client, key, path="/maybe")).json() for key in (None, "k1", "k1")]
    assert answers == [False, True, True]


async def test_it_works_around_middleware_that_streams(app: FastAPI, serve: Serve) -> None:
    async def dispatch(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    app.add_middleware(IdempotencyMiddleware)
    ran = respond(app, lambda: PlainTextResponse("done"))
    async with serve(app) as client:
        assert [(await post(client, path="/go")).text for _ in range(2)] == ["done", "done"]
    assert ran == [1]


@pytest.mark.parametrize("inside", [True, False])
async def test_an_answer_is_kept_as_everybody_reads_it(
    url: str, clock: FixedClock, serve: Serve, *, inside: bool
) -> None:
    """A repeat that takes no compression gets none, though the first was compressed."""
    zipped = Middleware(GZipMiddleware, minimum_size=10)
    app = FastAPI(
        lifespan=lifespan(lambda: HustleX(url, timeout=PATIENCE, secret=SECRET, clock=clock)),
        middleware=[zipped] if inside else [],
    )
    install(app)
    if not inside:
        app.add_middleware(GZipMiddleware, minimum_size=10)

    @app.post("/statements", dependencies=[Depends(Idempotent(key=who))])
    async def statement() -> str:
        return "a line of a statement, " * 100

    async with serve(app) as client:
        first = await post(client, path="/statements")
        client.headers["accept-encoding"] = "identity"
        again = await post(client, path="/statements")
    assert again.headers["idempotent-replayed"] == "true"
    assert first.headers.get("content-encoding") == (None if inside else "gzip")
    assert "content-encoding" not in again.headers
    assert first.json() == again.json()


async def test_an_answer_s_fields_may_be_gone_through_only_once(url: str, clock: FixedClock) -> None:
    async with HustleX(url, timeout=PATIENCE, secret=SECRET, clock=clock) as hx:

        async def bare(scope: Any, receive: Any, send: Any) -> None:
            outcome = await hx.idempotency.begin("k1", Scope("u1", "POST", "/pay"))
            assert isinstance(outcome, Started)
            await attach(scope, hx, outcome)
            fields = iter([(b"content-length", b"4"), (b"x-own", b"1")])
            await send({"type": "http.response.start", "status": 200, "headers": fields})
            await send({"type": "http.response.body", "body": b"paid"})

        transport = httpx.ASGITransport(IdempotencyMiddleware(bare))
        async with httpx.AsyncClient(transport=transport, base_url="http://hustlex.test") as client:
            assert (await client.post("/pay")).headers == {"content-length": "4", "x-own": "1"}
        kept = await hx.idempotency.begin("k1", Scope("u1", "POST", "/pay"))
        assert isinstance(kept, Replay)
        assert kept.response.body == b"paid"


async def test_an_answer_without_headers_is_kept(url: str, clock: FixedClock) -> None:
    async with HustleX(url, timeout=PATIENCE, secret=SECRET, clock=clock) as hx:

        async def bare(scope: Any, receive: Any, send: Any) -> None:
            outcome = await hx.idempotency.begin("k1", Scope("u1", "POST", "/pay"))
            if isinstance(outcome, Started):
                await attach(scope, hx, outcome)
            await send({"type": "http.response.start", "status": 204 if isinstance(outcome, Started) else 208})
            await send({"type": "http.response.body"})

        transport = httpx.ASGITransport(IdempotencyMiddleware(bare))
        async with httpx.AsyncClient(transport=transport, base_url="http://hustlex.test") as client:
            assert [(await client.post("/pay")).status_code for _ in range(2)] == [204, 208]


async def test_a_forgotten_middleware_is_told(url: str, clock: FixedClock, serve: Serve) -> None:
    from hustlex.web import install_problems

    app = FastAPI()
    install_problems(app)
    app.state.hustlex = HustleX(url, timeout=PATIENCE, secret=SECRET, clock=clock)
    ran = respond(app, lambda: Answer("done"))
    async with serve(app) as client:
        assert (await post(client, path="/go")).status_code == 500
    assert ran == []
    await app.state.hustlex.close()


def test_the_header_is_in_the_openapi_document(app: FastAPI, effects: list[Any]) -> None:
    parameters = app.openapi()["paths"]["/transfers/{account}"]["post"]["parameters"]
    assert ("header", "Idempotency-Key") in {(parameter["in"], parameter["name"]) for parameter in parameters}


async def test_two_claims_in_one_request_are_told(app: FastAPI, serve: Serve) -> None:
    @app.post("/twice", dependencies=[Depends(Idempotent(key=who))])
    async def twice(claim: Annotated[Started, Depends(Idempotent(key=who))]) -> None:
        raise AssertionError

    async with serve(app) as client:
        assert (await post(client, path="/twice")).status_code == 500


async def test_any_asgi_framework_may_attach_a_claim(url: str, clock: FixedClock, serve: Serve) -> None:
    ran: list[int] = []
    async with HustleX(url, timeout=PATIENCE, secret=SECRET, clock=clock) as hx:

        async def pay(request: Request) -> Answer:
            scope = Scope("u1", "POST", "/pay")
            outcome = await hx.idempotency.begin(request.headers["idempotency-key"], scope, body=await request.body())
            if isinstance(outcome, Replay):
                return Answer(outcome.response.body, outcome.response.status)
            assert isinstance(outcome, Started)
            lease = await attach(request.scope, hx, outcome)
            ran.append(outcome.fence)
            return Answer(f"paid, lost: {lease.lost}", 201)

        app = Starlette(routes=[Route("/pay", pay, methods=["POST"])])
        app.add_middleware(IdempotencyMiddleware)
        async with serve(app) as client:
            answers = [await post(client, path="/pay") for _ in range(2)]
    assert ran == [1]
    assert [(answer.status_code, answer.text) for answer in answers] == [(201, "paid, lost: False")] * 2


# -- webhooks

PAYSTACK = Provider(name="paystack", verify=hmac_signature("x-paystack-signature", "sk_test"))


@pytest.fixture
def handled(app: FastAPI) -> list[Any]:
    """Events that were handled. An amount of 13 fails."""
    done: list[Any] = []
    claim = verify_webhook(PAYSTACK, event_id=lambda body: msgspec.json.decode(body)["data"]["id"])

    @app.post("/hooks/paystack", dependencies=[Depends(claim)])
    async def hook(body: dict[str, Any]) -> None:
        if body["data"].get("fail") and not done:
            done.append("failed")
            raise LookupError
        done.append(body["data"]["id"])

    return done


async def notify(client: httpx.AsyncClient, event: Any, secret: bytes = b"sk_test") -> int:
    body = event if isinstance(event, bytes) else msgspec.json.encode(event)
    headers = {"X-Paystack-Signature": hmac.digest(secret, body, hashlib.sha512).hex()}
    headers["content-type"] = "application/json"
    return (await client.post("/hooks/paystack", content=body, headers=headers)).status_code


async def test_an_event_is_handled_once(app: FastAPI, handled: list[Any], serve: Serve, raw: redis.Redis) -> None:
    async with serve(app) as client:
        statuses = await asyncio.gather(*(notify(client, {"data": {"id": 7}}) for _ in range(20)))
        assert set(statuses) <= {200, 409}
        assert await notify(client, {"data": {"id": 7}}) == 200
        assert await notify(client, {"data": {"id": 8}}) == 200
    assert handled == [7, 8]
    assert sorted(raw.keys()) == [b"webhook:{paystack}:7", b"webhook:{paystack}:8"]


async def test_an_event_that_failed_is_handled_at_the_next_try(app: FastAPI, handled: list[Any], serve: Serve) -> None:
    async with serve(app) as client:
        assert await notify(client, {"data": {"id": 7, "fail": True}}) == 500
        assert await notify(client, {"data": {"id": 7, "fail": True}}) == 200
    assert handled == ["failed", 7]


async def test_a_forged_event_never_touches_redis(app: FastAPI, handled: list[Any], serve: Serve, raw: Any) -> None:
    calls = raw.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
    async with serve(app) as client:
        assert await notify(client, {"data": {"id": 7}}, secret=b"guess") == 401
        assert (await client.post("/hooks/paystack", json={"data": {"id": 7}})).status_code == 401
    assert handled == []
    assert raw.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0) == calls


@pytest.mark.parametrize(
    "event",
    [b"{}", b"[]", b'{"data":1}', b"nonsense", b"[" * 100_000]
    + [{"data": {"id": wrong}} for wrong in ("", None, True, 1.5, {"a": 1}, [7], "a\nb", "x" * 5_000)],
    ids=lambda event: str(event)[:30],
)
async def test_an_event_without_an_id_is_refused(app: FastAPI, handled: list[Any], serve: Serve, event: Any) -> None:
    async with serve(app) as client:
        assert await notify(client, event) in (400, 422)
        body = msgspec.json.encode({"data": {"id": "x" * 600}})
        headers = {"x-paystack-signature": hmac.new(b"sk_test", body, hashlib.sha512).hexdigest()}
        refused = await client.post("/hooks/paystack", content=body, headers=headers)
        assert refused.json()["detail"] == "The event has no id."
    assert handled == []


# -- PINs


async def test_a_pin_is_told_as_a_problem(app: FastAPI, serve: Serve) -> None:
    @app.post("/approve")
    async def approve(front: Front, pin: Annotated[str, Header()]) -> bool:
        hashed: Any = await front.pins.hash("u1", "4821")
        return pin_ok(await front.pins.verify("u1", pin, hashed.verifier)).rehash

    async with serve(app) as client:
        answers = [await client.post("/approve", headers={"pin": pin}) for pin in ["4821", "48"] + ["9999"] * 6]
    assert [answer.status_code for answer in answers] == [200, 422, 403, 403, 403, 403, 429, 429]
    assert answers[2].json()["left"] == 4
    assert answers[-1].headers["retry-after"] == "900"


async def test_a_question_mark_within_a_path_begins_no_query(app: FastAPI, serve: Serve, effects: list[Any]) -> None:
    async with serve(app) as client:
        paths = ["/transfers/7%3Fx=1", "/transfers/7?x=1", "/transfers/7%253Fx=1", "/transfers/%37%3fx=1"]
        got = [await client.post(path, json=TRANSFER, headers={"Idempotency-Key": "k1"}) for path in paths]
    assert [each.status_code for each in got] == [201, 422, 422, 201]
    assert len(effects) == 1


async def test_a_multipart_body_without_its_boundary_is_compared_as_it_came(app: FastAPI, serve: Serve) -> None:
    @app.post("/upload")
    async def upload(claim: Annotated[Started, Depends(Idempotent(key=who))]) -> int:
        return claim.fence

    async with serve(app) as client:
        headers = {"Idempotency-Key": "k1", "Content-Type": "multipart/form-data; boundary=b"}
        got = [await client.post("/upload", content=body, headers=headers) for body in (b"x", b"x", b"y")]
    assert [each.status_code for each in got] == [200, 200, 422]
