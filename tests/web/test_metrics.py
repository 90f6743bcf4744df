"""``GET /metrics`` of an API."""

from __future__ import annotations

import httpx
from fastapi import FastAPI

from hustlex.app import HustleX
from hustlex.metrics import Metrics
from hustlex.web import CurrentUser, install, lifespan, metrics_router
from tests.conftest import PATIENCE, SECRET


async def test_an_api_tells_what_its_requests_did(url: str) -> None:
    metrics = Metrics()
    app = FastAPI(lifespan=lifespan(lambda: HustleX(url, secret=SECRET, timeout=PATIENCE, hook=metrics)))
    install(app)
    app.include_router(metrics_router(metrics=metrics))

    @app.get("/me")
    async def me(user: CurrentUser) -> dict[str, str]:
        return {"id": user.user_id}

    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        pair = await app.state.hustlex.tokens.login("u1")
        good = await client.get("/me", headers={"Authorization": f"Bearer {pair.access}"})
        bad = await client.get("/me", headers={"Authorization": "Bearer junk"})
        answer = await client.get("/metrics")
        schema = await client.get("/openapi.json")
    assert (good.status_code, bad.status_code, answer.status_code) == (200, 401, 200)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert 'hustlex_token_checks_total{result="ok",reason=""} 1' in answer.text
    assert 'hustlex_token_checks_total{result="rejected",reason="malformed"} 1' in answer.text
    assert "/metrics" not in schema.text
