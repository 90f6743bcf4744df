"""Cached responses through the app: what is stored, for whom, how it is told, and that it is never an old one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any

import httpx
import pytest
import redis
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from hustlex import HustleX
from hustlex.web import CacheMiddleware, CurrentUser, ResponseCache, install, tag_response
from hustlex.web import pages as http
from tests.conftest import PATIENCE, SECRET

MINUTE = timedelta(minutes=1)
PATIENT = timedelta(seconds=10)


class Shop:
    """An application that counts what it computes."""

    def __init__(self, url: str, **options: Any) -> None:
        self.calls: list[str] = []
        self.text = "one"
        self.gate = asyncio.Event()
        self.gate.set()
        self.pages = ResponseCache(
            "page", ttl=MINUTE, tags=["gigs", "gig:{gig_id}"], timeout=PATIENT, vary=["accept-language"], **options
        )
        self.mine = ResponseCache("mine", ttl=MINUTE, private=True, timeout=PATIENT)

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            async with HustleX(url, timeout=PATIENCE, secret=SECRET) as app.state.hustlex:
                yield

        self.app = FastAPI(lifespan=lifespan)
        install(self.app)
        self.app.add_middleware(CacheMiddleware)
        self._routes()

    def _routes(self) -> None:
        app, pages = self.app, self.pages

        @app.get("/gigs/{gig_id}", dependencies=[Depends(pages)])
        async def gig(gig_id: int, request: Request, response: Response, q: str = "") -> dict[str, Any]:
            self.calls.append(f"gig {gig_id} {q}")
            text = self.text
            await self.gate.wait()
            tag_response(request, f"text:{text}")
            if q == "cookie":
                response.set_cookie("session", "x")
            if q == "private":
                response.headers["cache-control"] = "private"
            if q == "vary":
                response.headers["vary"] = "User-Agent"
            if q == "broken":
                response.status_code = 503
            if q == "raises":
                raise RuntimeError("no")
            return {"text": text, "language": request.headers.get("accept-language", "")}

        @app.get("/gigs/{gig_id}/me")
        @self.mine.cached
        async def me(gig_id: int, user: CurrentUser) -> str:
            self.calls.append(f"me {user.user_id}")
            return user.user_id

        @app.get("/gigs/{gig_id}/stream", dependencies=[Depends(pages)])
        async def stream(gig_id: int) -> StreamingResponse:
            self.calls.append("stream")
            return StreamingResponse(iter(["a", "b"]), media_type="text/plain")


@asynccontextmanager
async def opened(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(shop.app)
    async with (
        shop.app.router.lifespan_context(shop.app),
        httpx.AsyncClient(transport=transport, base_url="http://t") as client,
    ):
        yield client


@pytest.fixture
async def shop(url: str) -> Shop:
    return Shop(url)


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with opened(shop) as client:
        yield client


def front_of(shop: Shop) -> HustleX:
    front: HustleX = shop.app.state.hustlex
    return front


async def test_a_page_is_computed_once_until_its_tag_is_invalidated(shop: Shop, client: httpx.AsyncClient) -> None:
    first, second = await client.get("/gigs/7"), await client.get("/gigs/7")
    assert first.json() == second.json() == {"text": "one", "language": ""}
    assert first.headers["cache-status"] == "page; fwd=uri-miss; stored"
    assert second.headers["cache-status"].startswith("page; hit; ttl=")
    assert second.headers["content-type"] == "application/json"
    assert int(second.headers["age"]) >= int(first.headers["age"]) == 0
    assert second.headers["x-content-type-options"] == "nosniff"
    assert len(shop.calls) == 1
    for tag in ("gig:7", "gigs", "text:two"):
        shop.text = "two"
        await front_of(shop).cache.invalidate_tags(tag)
        assert (await client.get("/gigs/7")).json()["text"] == "two"
    await front_of(shop).cache.invalidate_tags("gig:8")
    await client.get("/gigs/7")
    assert len(shop.calls) == 4
    await shop.pages.clear(front_of(shop))
    await client.get("/gigs/7")
    assert len(shop.calls) == 5


async def test_etags_are_judged_against_the_current_page(shop: Shop, client: httpx.AsyncClient) -> None:
    """T-C31."""
    etag = (await client.get("/gigs/7")).headers["etag"]
    for sent in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        answer = await client.get("/gigs/7", headers={"if-none-match": sent})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
        assert answer.headers["cache-control"] == "public, no-cache"
        assert answer.headers["vary"] == "accept-language"
        assert "content-type" not in answer.headers
    assert (await client.get("/gigs/7", headers={"if-none-match": '"x"'})).status_code == 200
    shop.text = "two"
    await front_of(shop).cache.invalidate_tags("gig:7")
    changed = await client.get("/gigs/7", headers={"if-none-match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag
    assert changed.json()["text"] == "two"


async def test_what_makes_another_page(shop: Shop, client: httpx.AsyncClient) -> None:
    await client.get("/gigs/7?a=1&b=2")
    await client.get("/gigs/7?b=2&a=1")
    assert len(shop.calls) == 1
    ha = await client.get("/gigs/7?a=1&b=2", headers={"accept-language": "ha"})
    assert ha.json()["language"] == "ha"
    await client.get("/gigs/7?a=2")
    await client.get("/gigs/7?a=1&b=2", headers={"host": "other"})
    assert len(shop.calls) == 4
    await client.get("/gigs/7?q=ada&q=bo")
    await client.get("/gigs/7?q=bo&q=ada")
    assert shop.calls[4:] == ["gig 7 bo", "gig 7 ada"]


@pytest.mark.parametrize("q", ["cookie", "private", "vary", "broken"])
async def test_what_is_never_stored(shop: Shop, client: httpx.AsyncClient, raw: redis.Redis, q: str) -> None:
    """C-81. Nobody else waits for it either: each gets a response of his own."""
    shop.gate.clear()
    calls = [asyncio.ensure_future(client.get(f"/gigs/7?q={q}")) for _ in range(3)]
    await asyncio.sleep(0.05)
    shop.gate.set()
    answers = await asyncio.gather(*calls)
    assert len(shop.calls) == 3
    assert [answer.status_code for answer in answers] == [503 if q == "broken" else 200] * 3
    assert [answer.json()["text"] for answer in answers] == ["one"] * 3
    assert list(raw.scan_iter("cache:page*")) == []
    if q == "cookie":
        assert all("session" in answer.headers["set-cookie"] for answer in answers)


async def test_streams_pass_by(shop: Shop, client: httpx.AsyncClient) -> None:
    for _ in range(2):
        assert (await client.get("/gigs/7/stream")).text == "ab"
    assert shop.calls == ["stream", "stream"]


async def test_who_is_logged_in_never_sees_a_shared_page(shop: Shop, client: httpx.AsyncClient) -> None:
    await client.get("/gigs/7")
    for headers in ({"authorization": "Bearer x"}, {"cookie": "a=b"}, {"range": "bytes=0-1"}):
        answer = await client.get("/gigs/7", headers=headers)
        assert answer.headers["cache-status"] == "page; fwd=bypass"
    assert len(shop.calls) == 4


async def test_a_private_page_is_for_one_user(shop: Shop, client: httpx.AsyncClient) -> None:
    tokens = [(await front_of(shop).tokens.login(user)).or_raise().access for user in ("ada", "bo")]
    for _ in range(2):
        seen = [(await client.get("/gigs/7/me", headers={"authorization": f"Bearer {token}"})) for token in tokens]
        assert [answer.json() for answer in seen] == ["ada", "bo"]
    assert seen[0].headers["cache-control"] == "private, no-cache"
    assert shop.calls == ["me ada", "me bo"]
    assert (await client.get("/gigs/7/me")).status_code == 401
    await front_of(shop).tokens.revoke_all("ada")
    async with asyncio.timeout(60):
        while (await client.get("/gigs/7/me", headers={"authorization": f"Bearer {tokens[0]}"})).status_code != 401:
            await asyncio.sleep(0.01)


async def test_a_cold_page_is_computed_once_in_two_processes(shop: Shop, url: str) -> None:
    other = Shop(url)
    other.calls = shop.calls
    shop.gate.clear()
    other.gate = shop.gate
    async with opened(shop) as here, opened(other) as there:
        calls = [asyncio.ensure_future(client.get("/gigs/7")) for client in (here, there) for _ in range(10)]
        while not shop.calls:
            await asyncio.sleep(0.001)
        shop.gate.set()
        answers = await asyncio.gather(*calls)
    assert {answer.text for answer in answers} == {answers[0].text}
    assert len(shop.calls) == 1


async def test_an_invalidation_while_the_page_is_made_wins(shop: Shop, client: httpx.AsyncClient) -> None:
    shop.gate.clear()
    call = asyncio.ensure_future(client.get("/gigs/7"))
    while not shop.calls:
        await asyncio.sleep(0.001)
    shop.text = "two"
    await front_of(shop).cache.invalidate_tags("gig:7")  # nobody knows yet that the page has this tag
    shop.gate.set()
    assert (await call).json()["text"] == "one"
    assert (await client.get("/gigs/7")).json()["text"] == "two"


async def test_stale_pages_stand_in_for_errors(url: str) -> None:
    shop = Shop(url, stale_if_error=MINUTE, client_ttl=timedelta(seconds=30))
    async with opened(shop) as client:
        front = shop.app.state.hustlex
        first = await client.get("/gigs/7?q=fine")
        assert first.headers["cache-control"] == "public, max-age=30, stale-if-error=60"
        await front.cache.invalidate_tags("gig:7", soft=True)
        original = shop.app.router.routes

        async def broken(scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("away", 503)(scope, receive, send)

        route = next(each for each in original if getattr(each, "path", "") == "/gigs/{gig_id}")
        route.app = broken  # type: ignore[attr-defined]
        answer = await client.get("/gigs/7?q=fine")
        assert (answer.status_code, answer.json()["text"]) == (200, "one")
        assert answer.headers["cache-status"].startswith("page; hit")
        assert (await client.get("/gigs/8")).text == "away"


async def test_what_a_handler_raises_reaches_the_caller(shop: Shop, client: httpx.AsyncClient) -> None:
    with pytest.raises(RuntimeError):
        await client.get("/gigs/7?q=raises")


async def test_honor_client_and_the_forgotten_middleware(url: str) -> None:
    shop = Shop(url, honor_client=True)
    async with opened(shop) as client:
        for control in ("", "no-cache", "max-age=0", "no-store"):
            await client.get("/gigs/7", headers={"cache-control": control} if control else {})
        await client.get("/gigs/7")
    assert len(shop.calls) == 4
    app = FastAPI()

    @app.get("/", dependencies=[Depends(ResponseCache(ttl=MINUTE))])
    async def home() -> None:
        return None

    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        with pytest.raises(Exception, match="CacheMiddleware"):
            await client.get("/")


async def test_a_plain_application_names_its_routes(url: str) -> None:
    calls: list[str] = []

    async def home(request: Request) -> PlainTextResponse:
        calls.append(request.path_params["name"])
        return PlainTextResponse("hello")

    async with HustleX(url, timeout=PATIENCE) as front:
        app = Starlette(routes=[Route("/hi/{name}", home)])
        app.state.hustlex = front
        pages = ResponseCache("hi", ttl=MINUTE, tags=["name:{name}"], timeout=PATIENT)
        app.add_middleware(CacheMiddleware, rules={"/hi/{name}": pages})
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
            for _ in range(2):
                assert (await client.get("/hi/ada")).text == "hello"
            head = await client.head("/hi/ada")
            assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "5")
            assert (await client.post("/hi/ada")).status_code == 405
            await front.cache.invalidate_tags("name:ada")
            await client.get("/hi/ada")
    assert calls == ["ada", "ada"]


def test_the_document_does_not_change() -> None:
    def described(*dependencies: Any, decorate: Any = lambda endpoint: endpoint) -> Any:
        app = FastAPI()

        @app.get("/gigs/{gig_id}", dependencies=list(dependencies))
        @decorate
        async def gig(gig_id: Annotated[int, "x"]) -> str:
            return ""

        return app.openapi()

    pages = ResponseCache(ttl=MINUTE)
    assert described() == described(Depends(pages)) == described(decorate=pages.cached)


@pytest.mark.parametrize(
    ("sent", "etag", "fits"),
    [('"a"', '"a"', True), ('W/"a"', '"a"', True), ('"b", "a"', '"a"', True), ("*", '"a"', True), ('"b"', '"a"', False)]
    + [('"a"', 'W/"a"', True), ("", '"a"', False), ("a", '"a"', False)],
)
def test_if_none_match(sent: str, etag: str, fits: bool) -> None:
    assert http.matches(sent, etag) is fits
