"""The example's own rules, through its HTTP door: money, escrow, stale lists, bad input."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from examples.gigs.accounts import find_or_create
from examples.gigs.app import create_app
from examples.gigs.models import User, outbox
from hustlex.otp import Delivery
from hustlex.outbox import OutboxRelay
from tests.conftest import SECRET

OWNER, WORKER = "+2348031234567", "+2348031234568"


@pytest.fixture
async def app(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setenv("HUSTLEX_URL", url)
    monkeypatch.setenv("HUSTLEX_SECRET", SECRET.decode())
    monkeypatch.setenv("HUSTLEX_DATA", str(tmp_path))
    app = create_app()
    async with app.router.lifespan_context(app):
        yield app


async def sign_in(app: Any, phone: str) -> httpx.AsyncClient:
    """A client with this person's token; the code is derived as the SMS job would."""
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gigs")
    challenge = (await client.post("/auth/otp/request", json={"phone": phone})).json()["challenge"]
    delivery = await app.state.hustlex.otp.open(challenge)
    assert isinstance(delivery, Delivery)
    answer = await client.post("/auth/otp/verify", json={"challenge": challenge, "code": delivery.code})
    client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return client


@pytest.fixture
async def owner(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    client = await sign_in(app, OWNER)
    yield client
    await client.aclose()


@pytest.fixture
async def worker(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    client = await sign_in(app, WORKER)
    yield client
    await client.aclose()


async def balance(client: httpx.AsyncClient) -> int:
    found: int = (await client.get("/users/me")).json()["balance_kobo"]
    return found


def transfer(amount: int, key: str = "a-good-key") -> dict[str, Any]:
    return {"json": {"to_phone": WORKER, "amount_kobo": amount}, "headers": {"Idempotency-Key": key}}


async def test_a_transfer_happens_once_per_key(owner: httpx.AsyncClient, worker: httpx.AsyncClient) -> None:
    before = await balance(owner), await balance(worker)
    answers = [await owner.post("/wallet/transfers", **transfer(700)) for _ in range(2)]
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None, "true"]
    assert answers[0].content == answers[1].content
    assert (await balance(owner), await balance(worker)) == (before[0] - 700, before[1] + 700)
    assert (await owner.post("/wallet/transfers", **transfer(701))).status_code == 422


async def test_money_that_is_not_there_does_not_move(owner: httpx.AsyncClient, worker: httpx.AsyncClient) -> None:
    before = await balance(owner)
    refused = await owner.post("/wallet/transfers", **transfer(before + 1))
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert (await owner.post("/wallet/transfers", **transfer(before, "another-key"))).status_code == 200
    assert await balance(owner) == 0
    gig = {"title": "Too dear", "category": "repairs", "price_kobo": 1}
    assert (await owner.post("/gigs", json=gig)).status_code == 409
    assert await balance(worker) > before


async def test_a_gig_goes_from_posted_to_paid_and_lists_are_never_stale(
    app: Any, owner: httpx.AsyncClient, worker: httpx.AsyncClient, raw: redis.Redis
) -> None:
    async def listed() -> list[int]:
        return [gig["id"] for gig in (await owner.get("/gigs", params={"category": "repairs"})).json()]

    assert await listed() == []
    new = {"title": "Fix my roof", "category": "repairs", "price_kobo": 5000}
    gig = (await owner.post("/gigs", json=new)).json()["id"]
    assert await listed() == [gig]
    assert (await owner.post(f"/gigs/{gig}/take")).status_code == 409
    assert (await worker.post(f"/gigs/{gig}/take")).status_code == 200
    assert await listed() == []
    assert (await worker.post(f"/gigs/{gig}/complete")).status_code == 409
    for _ in range(2):
        assert (await owner.post(f"/gigs/{gig}/complete")).status_code == 202
    backend = app.state.backend
    await OutboxRelay(backend.hx.driver, backend.database.engine, outbox).flush()  # after the application's own
    assert raw.llen("asynq:{critical}:pending") == 3  # two login codes, and the release once
    assert 0 < raw.pttl("cache:gigs:category:repairs") <= 5 * 60_000 + 60_000


@pytest.mark.parametrize(
    ("path", "status"),
    [("/gigs/99999999999999999999999/take", 422), ("/gigs/0/take", 422), ("/gigs/7/take", 404), ("/gigs/x/take", 422)],
)
async def test_bad_gig_ids_are_the_callers_fault(owner: httpx.AsyncClient, path: str, status: int) -> None:
    assert (await owner.post(path)).status_code == status


async def test_fifty_logins_of_a_new_phone_make_one_user(app: Any) -> None:
    ids = await asyncio.gather(*[find_or_create(app.state.backend.database, OWNER, 100) for _ in range(50)])
    assert len(set(ids)) == 1
    async with app.state.backend.database.transaction() as session:
        assert (await session.get(User, ids[0])).balance_kobo == 100


@pytest.mark.parametrize("amount", ["5", 5.0, True, "5.0", None, [5], 0, -5])
async def test_an_amount_is_a_whole_number_and_nothing_that_looks_like_one(
    owner: httpx.AsyncClient, amount: Any
) -> None:
    sent = {"to_phone": WORKER, "amount_kobo": amount}
    gig = await owner.post("/gigs", json={"title": "Move boxes", "category": "moving", "price_kobo": amount})
    paid = await owner.post("/wallet/transfers", json=sent, headers={"Idempotency-Key": "k1"})
    assert (gig.status_code, paid.status_code) == (422, 422)
    assert await balance(owner) == 5_000_000
