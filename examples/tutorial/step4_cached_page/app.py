"""Ajo, a savings pot. Step 4: a page that is computed once, and never shows what was before a payment."""

from datetime import timedelta
from typing import Annotated

from fastapi import Body, Depends, FastAPI, Header, Query
from fastapi.responses import HTMLResponse

import store
from hustlex import HustleX, Tasks
from hustlex.delivery import ConsoleSender, Texts, deliver_codes
from hustlex.settings import load_settings
from hustlex.web import (
    CacheMiddleware,
    CurrentUser,
    Front,
    Idempotent,
    RateLimit,
    ResponseCache,
    StrictUser,
    auth_router,
    install,
    lifespan,
)


async def identify(phone: str) -> str:
    return store.user_of(phone)


def open_front() -> HustleX:
    settings = load_settings()  # HUSTLEX_URL, HUSTLEX_SECRET
    return HustleX(settings.url, **settings.secrets())


tasks = Tasks(lifespan=open_front)
send_code = deliver_codes(tasks, ConsoleSender(), texts=Texts(app="Ajo"))
app = FastAPI(title="Ajo", lifespan=lifespan(open_front))
install(app)
app.add_middleware(CacheMiddleware)
app.include_router(auth_router(send=send_code, identify=identify))
pot_page = ResponseCache("pot-page", ttl=timedelta(minutes=5), tags=["pot"], public=True)


@app.get("/", response_class=HTMLResponse, dependencies=[Depends(pot_page)])
async def pot() -> str:
    return f"<!doctype html><title>Ajo</title><h1>In the pot: <b>{store.total() / 100:,.2f}</b> NGN</h1>"


@app.get("/me")
async def me(user: CurrentUser) -> dict[str, str]:
    return {"user_id": user.user_id}


@app.get("/fee", dependencies=[Depends(RateLimit(["5/minute per user", "100/hour per user"]))])
async def fee(amount: Annotated[int, Query(gt=0)]) -> dict[str, int]:
    return {"amount": amount, "fee": max(amount // 100, 10_00)}


@app.post("/payments", status_code=201, dependencies=[Depends(RateLimit("5/minute per user")), Depends(Idempotent())])
async def pay(
    amount: Annotated[int, Body(embed=True, gt=0, strict=True)],
    key: Annotated[str, Header(alias="Idempotency-Key")],
    user: StrictUser,
    front: Front,
) -> dict[str, int]:
    store.pay(user.user_id, key, amount)
    await front.cache.invalidate_tags("pot")  # after the commit
    return {"paid": amount}
