"""Dependencies that ask others without FastAPI: what a test overrides, what is shared, what the document says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header
from starlette.requests import Request

from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.idempotency import Started
from hustlex.ratelimit import Decision
from hustlex.tokens import Access
from hustlex.web import (
    CacheMiddleware,
    CurrentUser,
    Idempotent,
    Problem,
    RateLimit,
    ResponseCache,
    StrictUser,
    by_ip,
    by_strict_user,
    by_user,
    current_user,
    get_hustlex,
    globally,
    install,
    lifespan,
    recently,
    strict_user,
)
from hustlex.web.callers import Key
from tests.conftest import PATIENCE, SECRET
from tests.support.calls import Calls

Once = Annotated[Started, Depends(Idempotent(key=by_user))]
OnceStrictly = Annotated[Started, Depends(Idempotent())]
Fresh = Annotated[Access, Depends(recently(timedelta(minutes=5)))]
Limited = Annotated[Decision, Depends(RateLimit("5/minute", key=by_strict_user))]


async def nothing() -> None:
    return None


def remaining(answer: Any) -> int:
    return int(answer.headers["ratelimit"].partition("r=")[2].partition(";")[0])


class FakeUser:
    def __init__(self, user_id: str) -> None:
        self.user_id = user_id


async def by_header(name: Annotated[str, Header()]) -> Any:
    """An override that asks FastAPI for something."""
    return FakeUser(name)


def in_a_thread(request: Request) -> Any:
    return FakeUser(request.headers["name"])


async def yielding(name: Annotated[Any, Depends(by_header)]) -> AsyncIterator[Any]:
    yield name


@pytest.mark.parametrize("override", [by_header, in_a_thread, yielding])
@pytest.mark.parametrize(("key", "user"), [(by_user, current_user), (by_strict_user, strict_user)])
async def test_an_overridden_user_is_limited(app: FastAPI, serve: Any, key: Key, user: Any, override: Any) -> None:
    app.dependency_overrides[user] = override
    app.add_api_route("/", nothing, dependencies=[Depends(RateLimit("5/minute", key=key))])
    async with serve(app) as client:
        left = [remaining(await client.get("/", headers={"name": name})) for name in ("ada", "ada", "bo")]
        assert left == [4, 3, 4]


@pytest.mark.parametrize("key", [by_user, by_strict_user, by_ip, globally])
async def test_an_overridden_key_is_what_is_limited(app: FastAPI, serve: Any, key: Key) -> None:
    async def by_name(name: Annotated[str, Header()]) -> str:
        return name

    app.dependency_overrides[key] = by_name
    app.add_api_route("/", nothing, dependencies=[Depends(RateLimit("5/minute", key=key))])
    async with serve(app) as client:
        assert [remaining(await client.get("/", headers={"name": name})) for name in ("a", "a", "b")] == [4, 3, 4]


async def test_an_override_may_take_what_the_route_takes(app: FastAPI, serve: Any) -> None:
    async def by_path(number: int, twice: bool = False) -> Any:
        return FakeUser(str(number + 5 * twice))

    app.dependency_overrides[current_user] = by_path
    router = APIRouter(prefix="/of/{number}")
    router.add_api_route("/", nothing, dependencies=[Depends(RateLimit("5/minute per user"))])
    app.include_router(router)
    async with serve(app) as client:
        left = [remaining(await client.get(path)) for path in ("/of/7/", "/of/2/?twice=1", "/of/2/")]
        assert left == [4, 3, 4]
        wrong = await client.get("/of/seven/")
    assert (wrong.status_code, wrong.json()["errors"][0]["name"]) == (422, "number")


async def test_an_overridden_front_is_asked_by_every_dependency(app: FastAPI, serve: Any) -> None:
    """The application has none of its own when it is asked: what did not ask the override would fail."""
    fronts: list[HustleX] = []
    app.dependency_overrides[get_hustlex] = lambda: fronts[0]

    async def pay(user: CurrentUser, strict: StrictUser, fresh: Fresh, claim: Once) -> str:
        return f"{user.user_id} {strict.user_id} {fresh.user_id}"

    limits = [RateLimit("5/minute per user"), RateLimit("5 at once per ip"), RateLimit("9/minute global")]
    app.add_api_route("/", pay, methods=["POST"], dependencies=[Depends(each) for each in limits])
    async with serve(app) as client:
        fronts.append(app.state.hustlex)
        del app.state.hustlex
        pair = await fronts[0].tokens.login("ada", client_id="app")
        headers = {"Authorization": f"Bearer {pair.access}", "Idempotency-Key": "a-key-of-a-payment"}
        answer = await client.post("/", headers=headers)
    assert (answer.status_code, answer.json()) == (200, "ada ada ada")


async def test_one_request_checks_a_token_once_whoever_asks(url: str, clock: FixedClock, serve: Any) -> None:
    calls = Calls()
    app = FastAPI(lifespan=lifespan(lambda: HustleX(url, secret=SECRET, clock=clock, timeout=PATIENCE, hook=calls)))
    install(app)

    async def strictly(user: StrictUser, claim: OnceStrictly) -> str:
        return user.user_id

    async def late(user: StrictUser, decision: Limited) -> str:
        return user.user_id

    early = [Depends(RateLimit("5/minute", key=by_strict_user)), Depends(RateLimit("9/hour", key=by_strict_user))]
    app.add_api_route("/early", strictly, methods=["POST"], dependencies=early)
    app.add_api_route("/late", late, methods=["POST"])
    async with serve(app) as client:
        pair = await app.state.hustlex.tokens.login("ada", client_id="app")
        for path in ("/early", "/late"):
            calls.clear()
            headers = {"Authorization": f"Bearer {pair.access}", "Idempotency-Key": "a-key-of-a-payment"}
            assert (await client.post(path, headers=headers)).json() == "ada"
            assert [op for op in calls.sent if op.startswith("tokens.")] == ["tokens.check"], path


async def test_a_handler_that_asks_again_hears_of_a_revocation(app: FastAPI, serve: Any) -> None:
    async def logout(request: Request, user: StrictUser) -> list[str]:
        await app.state.hustlex.tokens.revoke_all(user.user_id)
        try:
            await strict_user(request)
        except Problem as refused:
            return [user.user_id, str(refused.status_code)]
        return []

    app.add_api_route("/", logout, dependencies=[Depends(RateLimit("5/minute", key=by_strict_user))])
    async with serve(app) as client:
        pair = await app.state.hustlex.tokens.login("ada", client_id="app")
        answer = await client.get("/", headers={"Authorization": f"Bearer {pair.access}"})
    assert answer.json() == ["ada", "401"]


def test_the_document_says_where_a_token_is_wanted(app: FastAPI) -> None:
    keys = {"user": by_user, "strict": by_strict_user, "ip": by_ip, "all": globally}
    for name, key in keys.items():
        app.add_api_route(f"/{name}", nothing, dependencies=[Depends(RateLimit("5/minute", key=key))])

    async def me(user: CurrentUser) -> None:
        return None

    app.add_api_route("/me", me)
    document = app.openapi()
    wanted = {path for path, methods in document["paths"].items() if "security" in methods["get"]}
    assert wanted == {"/user", "/strict", "/me"}
    assert not any("parameters" in methods["get"] for methods in document["paths"].values())
    assert [*document["components"]["securitySchemes"]] == ["HTTPBearer"]


async def test_a_middleware_asks_no_override(app: FastAPI, serve: Any) -> None:
    """It stands before the route, and there is nothing to solve its dependencies with."""
    app.add_middleware(CacheMiddleware)
    app.dependency_overrides |= {get_hustlex: lambda: app.state.hustlex, by_ip: lambda: "everybody"}
    pages = ResponseCache(ttl=timedelta(minutes=1), private=True)
    app.add_api_route("/", nothing, dependencies=[Depends(pages), Depends(RateLimit("5/minute per ip"))])
    async with serve(app) as client:
        pair = await app.state.hustlex.tokens.login("ada", client_id="app")
        headers = {"Authorization": f"Bearer {pair.access}"}
        told = [(await client.get("/", headers=headers)).headers["cache-status"] for _ in range(2)]
    assert ["hit" in each for each in told] == [False, True]
