"""What ``install`` turns away: large bodies, other hosts, pages of other origins, proofs without a known origin."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Body, Depends, FastAPI, Request, UploadFile
from fastapi.middleware.cors import CORSMiddleware
from starlette.responses import StreamingResponse

from hustlex.core.time import FixedClock
from hustlex.errors import ConfigurationError, Misuse
from hustlex.idempotency import Provider, hmac_signature
from hustlex.web import Idempotent, auth_router, body_limit, by_ip, install, oauth_router, verify_webhook
from hustlex.web.cookie import RefreshCookie
from hustlex.web.depends import ProvedKey
from hustlex.web.origins import read_origins
from tests.support.dpop import Holder

KIB = 1024
PROBLEM = "application/problem+json"


async def size(request: Request) -> int:
    return len(await request.body())


async def swallowing(request: Request) -> str:
    try:
        await request.body()
    except Exception:
        return "swallowed"
    return "read"


async def parsed(value: Annotated[str, Body(embed=True)]) -> int:
    return len(value)


async def early(request: Request) -> StreamingResponse:
    async def echo() -> Any:
        yield b"started"
        async for chunk in request.stream():
            yield chunk

    return StreamingResponse(echo())


@pytest.fixture
def small(app_on: Callable[..., FastAPI], url: str, clock: FixedClock) -> FastAPI:
    """An app that takes 4 KiB, but for two routes."""
    app = app_on(url, clock, max_body=4 * KIB)
    for path, route in (("/size", size), ("/swallowing", swallowing), ("/parsed", parsed), ("/early", early)):
        app.add_api_route(path, route, methods=["POST"])
    app.add_api_route("/more", size, methods=["POST"], dependencies=[Depends(body_limit(9 * KIB))])
    app.add_api_route("/less", size, methods=["POST"], dependencies=[Depends(body_limit(10))])
    inner = FastAPI()
    inner.add_api_route("/size", size, methods=["POST"])
    inner.add_api_route("/more", size, methods=["POST"], dependencies=[Depends(body_limit(9 * KIB))])
    app.mount("/inner", inner)
    return app


async def chunked(total: int) -> Any:
    for _ in range(total // KIB):
        yield b"x" * KIB


@pytest.mark.parametrize(
    ("path", "most"),
    [("/size", 4), ("/more", 9), ("/less", 0), ("/inner/size", 4), ("/inner/more", 9), ("/nowhere", None)],
)
async def test_a_body_may_have_so_many_bytes(small: FastAPI, serve: Any, path: str, most: int | None) -> None:
    async with serve(small) as client:
        for kib in (1, 4, 5, 9, 10):
            fine = 404 if most is None else 200 if kib <= most else 413
            declared = await client.post(path, content=b"x" * kib * KIB)
            streamed = await client.post(path, content=chunked(kib * KIB))
            # A route that does not read the body does not mind it either.
            assert declared.status_code == (413 if most is None and kib > 4 else fine), kib
            assert streamed.status_code == fine, kib
            lying = await client.post(path, content=chunked(kib * KIB), headers={"Content-Length": "1"})
            assert lying.status_code == fine, kib


@pytest.mark.parametrize("path", ["/size", "/swallowing", "/parsed"])
async def test_the_refusal_is_one_problem_whatever_the_route_makes_of_it(small: FastAPI, serve: Any, path: str) -> None:
    small.add_middleware(CORSMiddleware, allow_origins=["https://shop.example.org"])
    async with serve(small) as client:
        kind = {"Content-Type": "application/json", "Origin": "https://shop.example.org"}
        for content in (b"x" * 5 * KIB, chunked(5 * KIB)):
            got = await client.post(path, content=content, headers=kind)
            assert (got.status_code, got.headers["content-type"]) == (413, PROBLEM)
            assert got.json()["detail"] == "The request is too large."
            assert got.headers["access-control-allow-origin"] == "https://shop.example.org"
            assert got.headers["x-content-type-options"] == "nosniff"


async def test_reading_stops_at_the_limit_and_an_answer_under_way_is_cut(small: FastAPI) -> None:
    taken, sent = 0, []

    async def receive() -> Any:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"x" * KIB, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/size", "headers": [], "query_string": b""}
    async with small.router.lifespan_context(small):
        await small(dict(scope), receive, send)
        assert (sent[0]["status"], taken) == (413, 5)
        sent.clear()
        with contextlib.suppress(Exception):
            await small(scope | {"path": "/early"}, receive, send)
    assert sum(message["type"] == "http.response.start" for message in sent) == 1


async def test_fields_may_be_any_iterable(small: FastAPI, serve: Any) -> None:
    """ASGI asks no more of an application: what can be gone through once is told whole, and so are our own."""

    async def foreign(_: Any, __: Any, send: Any) -> None:
        fields = iter([(b"x-own", b"1"), (b"content-length", b"0")])
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b""})

    small.mount("/foreign", foreign)
    async with serve(small) as client:
        got = await client.get("/foreign/")
    assert (got.headers.get("x-own"), got.headers["x-frame-options"]) == ("1", "DENY")


async def test_uploads_are_counted_too(small: FastAPI, serve: Any) -> None:
    async def upload(file: UploadFile) -> int:
        return file.size or 0

    small.add_api_route("/upload", upload, methods=["POST"])
    async with serve(small) as client:
        got = [await client.post("/upload", files={"file": b"x" * kib * KIB}) for kib in (1, 5)]
    assert [each.status_code for each in got] == [200, 413]


async def test_a_mebibyte_is_the_default(app: FastAPI, serve: Any) -> None:
    app.add_api_route("/", size, methods=["POST"])
    async with serve(app) as client:
        got = [await client.post("/", content=b"x" * (1024 * KIB + more)) for more in (0, 1)]
    assert [each.status_code for each in got] == [200, 413]


# -- what is compared with a repeat


async def test_events_and_repeatable_bodies_have_limits_of_their_own(app: FastAPI, serve: Any) -> None:
    def signed(path: str, largest: dict[str, int]) -> Any:
        provider = Provider(name=f"p{path[1:]}", verify=lambda body, headers: True)
        return Depends(verify_webhook(provider, event_id=lambda body: str(len(body)), **largest))

    bounds: dict[str, dict[str, int]] = {
        "/plain": {},
        "/small": {"max_body": KIB},
        "/large": {"max_body": 3 * 1024 * KIB},
    }
    for path, largest in bounds.items():
        app.add_api_route(f"/hook{path}", size, methods=["POST"], dependencies=[signed(path, largest)])
        once = Depends(Idempotent(key=by_ip, required=True, **largest))
        app.add_api_route(f"/pay{path}", size, methods=["POST"], dependencies=[once])
    sizes = (KIB, 2 * KIB, 64 * KIB, 65 * KIB, 1024 * KIB, 1025 * KIB, 3 * 1024 * KIB, 3 * 1024 * KIB + 1)
    async with serve(app) as client:
        for room, plain in (("/hook", 1024 * KIB), ("/pay", 64 * KIB)):
            for path, most in (("/plain", plain), ("/small", KIB), ("/large", 3 * 1024 * KIB)):
                for number in sizes:
                    headers = {"Idempotency-Key": f"{path}-{number}"}
                    got = await client.post(room + path, content=b"x" * number, headers=headers)
                    assert got.status_code == (200 if number <= most else 413), (room, path, number)
                    assert got.headers["content-type"] == ("application/json" if number <= most else PROBLEM)


@pytest.mark.parametrize("secret", ["", " ", "\t\n ", "\0" * 32, b"", b"  ", bytes(32)])
def test_a_blank_secret_is_none(secret: Any) -> None:
    with pytest.raises(ConfigurationError):
        hmac_signature("x-signature", secret)
    with pytest.raises(ConfigurationError):
        hmac_signature("x-signature", "a good secret", secret)


@pytest.mark.parametrize("secret", ["", " " * 20, "0" * 32, "short"])
def test_a_blank_secret_of_a_service_is_none(secret: str) -> None:
    with pytest.raises((ConfigurationError, Misuse)):
        oauth_router(clients={"svc": secret})


# -- hosts, fields, origins

OWN = ["https://api.example.org", "https://example.org:8443"]


@pytest.mark.parametrize(
    ("host", "options", "status"),
    [
        ("api.example.org", {}, 200),
        ("API.EXAMPLE.ORG:443", {}, 200),
        ("api.example.org.", {}, 200),
        ("example.org:8443", {}, 200),
        ("evil.example", {}, 400),
        ("api.example.org.evil.example", {}, 400),
        ("evil.example:api.example.org", {}, 400),
        ("", {}, 400),
        ("10.0.0.7:8000", {"hosts": ["*"]}, 200),
        ("a.shop.test", {"hosts": ["*.shop.test"]}, 200),
        ("shop.test", {"hosts": ["*.shop.test"]}, 400),
        ("evilshop.test", {"hosts": ["*.shop.test"]}, 400),
        ("[2001:db8::7]:8000", {"hosts": ["[2001:db8::7]"]}, 200),
    ],
)
async def test_only_own_hosts_are_answered(
    app_on: Any, serve: Any, url: str, clock: FixedClock, host: str, options: dict[str, Any], status: int
) -> None:
    app = app_on(url, clock, origins=OWN, **options)
    app.add_api_route("/", size)
    async with serve(app) as client:
        got = await client.get("/", headers={"Host": host})
    assert got.status_code == status
    assert got.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "options",
    [
        {"origins": "https://api.example.org"},
        {"origins": ["api.example.org"]},
        {"origins": ["https://api.example.org/"]},
        {"origins": ["https://user@api.example.org"]},
        {"origins": ["ftp://api.example.org"]},
        {"origins": ["https://api.example.org:99999"]},
        {"origins": [7]},
        {"hosts": ["https://api.example.org"]},
        {"hosts": ["a*.example.org"]},
        {"hosts": "*"},
        {"max_body": "1 MiB"},
        {"max_body": -1},
        {"headers": ["X-Frame-Options"]},
        {"legacy": "yes"},
    ],
)
def test_what_is_no_origin_host_or_size_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(Misuse, match=re.compile("|".join(options))):
        install(FastAPI(), **options)


async def test_the_fields_may_be_others(app_on: Any, serve: Any, url: str, clock: FixedClock) -> None:
    app = app_on(url, clock, headers={"X-Frame-Options": "SAMEORIGIN"})

    @app.get("/own")
    async def own() -> StreamingResponse:
        return StreamingResponse(iter([b""]), headers={"X-Frame-Options": "DENY"})

    async with serve(app) as client:
        plain, own_answer = await client.get("/nowhere"), await client.get("/own")
    assert plain.headers["x-frame-options"] == "SAMEORIGIN"
    assert own_answer.headers["x-frame-options"] == "DENY"
    assert "x-content-type-options" not in plain.headers


def asked(*headers: tuple[str, str], host: str = "api.example.org", origins: list[str] | None = None) -> Request:
    app = FastAPI()
    app.state.hustlex_origins = read_origins(origins or [], None)
    sent = [("host", host), ("cookie", "__Host-refresh=token"), *headers]
    raw = [(name.encode(), value.encode()) for name, value in sent]
    return Request({"type": "http", "method": "POST", "scheme": "https", "path": "/", "headers": raw, "app": app})


@pytest.mark.parametrize(
    ("request_", "read"),
    [
        (asked(), True),
        (asked(("origin", "https://api.example.org")), True),
        (asked(("origin", "https://API.example.org:443")), True),
        (asked(("origin", "https://evil.example.org")), False),
        (asked(("origin", "null")), False),
        (asked(("origin", "")), False),
        (asked(("origin", "https://api.example.org:8443")), False),
        (asked(("sec-fetch-site", "same-origin")), True),
        (asked(("sec-fetch-site", "same-site")), False),
        (asked(("sec-fetch-site", "cross-site")), False),
        (asked(("origin", "https://example.org"), origins=["https://example.org", "https://api.example.org"]), True),
        (asked(("origin", "https://evil.test"), host="evil.test", origins=["https://example.org"]), False),
    ],
)
def test_a_cookie_is_taken_from_own_pages_only(request_: Request, read: bool) -> None:
    cookie = RefreshCookie("__Host-refresh")
    if read:
        assert cookie.read(request_) == "token"
        return
    with pytest.raises(Exception, match="another origin") as refused:
        cookie.read(request_)
    assert refused.value.status_code == 403  # type: ignore[attr-defined]


async def test_a_page_of_a_neighbour_cannot_use_the_cookie(app: FastAPI, serve: Any) -> None:
    async def send(challenge: str) -> None:
        return None

    async def identify(phone: str) -> int:
        return 7

    app.include_router(auth_router(send=send, identify=identify, refresh_cookie="__Host-refresh"))
    async with serve(app) as client:
        cookie = {"Cookie": "__Host-refresh=rt1.x", "Origin": "https://neighbour.hustlex.test"}
        answers = [await client.post(f"/auth/{path}", headers=cookie) for path in ("refresh", "logout")]
        own = await client.post("/auth/refresh", headers=cookie | {"Origin": "http://hustlex.test"})
    assert [(each.status_code, each.json()["error"]) for each in answers] == [(403, "wrong_origin")] * 2
    assert own.status_code == 400


@pytest.mark.parametrize(
    ("origins", "host", "htu", "status"),
    [
        ([], "hustlex.test", "http://hustlex.test/prove", 400),
        (["https://api.example.org"], "hustlex.test", "https://api.example.org/prove", 200),
        (["https://api.example.org"], "hustlex.test", "http://hustlex.test/prove", 400),
        (OWN, "example.org:8443", "https://example.org:8443/prove", 200),
        (OWN, "api.example.org", "https://example.org:8443/prove", 400),
        (OWN, "hustlex.test", "https://api.example.org/prove", 400),
    ],
)
async def test_a_proof_counts_for_own_origins_only(
    app_on: Any, serve: Any, url: str, clock: FixedClock, origins: list[str], host: str, htu: str, status: int
) -> None:
    app = app_on(url, clock, origins=origins, hosts=["*"])

    @app.post("/prove")
    async def prove(jkt: ProvedKey) -> str:
        return jkt

    async with serve(app) as client:
        proof = Holder().proof("POST", htu, clock() // 1000)
        got = await client.post("/prove", headers={"DPoP": proof, "Host": host})
    assert got.status_code == status, got.text


@pytest.mark.parametrize("first", ["cors", "install"])
async def test_a_page_may_read_why_it_was_turned_away_whatever_was_added_first(first: str) -> None:
    app, page = FastAPI(), {"Origin": "https://shop.example.org"}
    for added in (first, "install" if first == "cors" else "cors"):
        if added == "install":
            install(app, origins=OWN, max_body=KIB)
        else:
            app.add_middleware(CORSMiddleware, allow_origins=[page["Origin"]], allow_methods=["POST"])
    app.add_api_route("/", size, methods=["POST"])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://api.example.org") as client:
        answers = [
            await client.post("/", content=b"x" * 2 * KIB, headers=page),
            await client.post("/", content=chunked(2 * KIB), headers=page),
            await client.post("/", headers=page | {"Host": "evil.example"}),
            await client.post("/", headers=page),
        ]
        preflight = await client.options("/", headers=page | {"Access-Control-Request-Method": "POST"})
    assert [answer.status_code for answer in [*answers, preflight]] == [413, 413, 400, 200, 200]
    assert {answer.headers["access-control-allow-origin"] for answer in [*answers, preflight]} == {page["Origin"]}


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in chunks"])
async def test_a_mounted_route_has_its_own_limit_however_its_body_comes(
    app_on: Any, serve: Any, url: str, clock: FixedClock, whole: bool
) -> None:
    app, inner = app_on(url, clock, max_body=2 * KIB), FastAPI()
    once = Depends(Idempotent(key=by_ip, max_body=200 * KIB))
    limits = {"/strict": Depends(body_limit(10)), "/wide": Depends(body_limit(9 * KIB)), "/once": once}
    for path, limit in limits.items():
        inner.add_api_route(path, size, methods=["POST"], dependencies=[limit])
    app.mount("/{tenant}/deep", inner)
    tries = [("strict", 1, 413), ("wide", 5, 200), ("wide", 10, 413), ("once", 199, 200), ("once", 201, 413)]
    async with serve(app) as client:
        for path, kib, status in tries:
            content = bytes(kib * KIB) if whole else chunked(kib * KIB)
            headers = {"Idempotency-Key": f"{kib}"}
            answer = await client.post(f"/acme/deep/{path}", content=content, headers=headers)
            assert answer.status_code == status, (path, kib)
