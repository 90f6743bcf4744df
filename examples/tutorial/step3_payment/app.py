"""Ajo, a savings pot. Step 3: a payment that is sent twice is made once."""

from typing import Annotated

from fastapi import Body, Depends, FastAPI, Header, Query

import store
from hustlex import HustleX, Tasks
from hustlex.delivery import ConsoleSender, Texts, deliver_codes
from hustlex.settings import load_settings
from hustlex.web import CurrentUser, Idempotent, RateLimit, StrictUser, auth_router, install, lifespan


async def identify(phone: str) -> str:
    return store.user_of(phone)


def open_front() -> HustleX:
    settings = load_settings()  # HUSTLEX_URL, HUSTLEX_SECRET
    return HustleX(settings.url, **settings.secrets())


tasks = Tasks(lifespan=open_front)
send_code = deliver_codes(tasks, ConsoleSender(), texts=Texts(app="Ajo"))
app = FastAPI(title="Ajo", lifespan=lifespan(open_front))
install(app)
app.include_router(auth_router(send=send_code, identify=identify))


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
) -> dict[str, int]:
    store.pay(user.user_id, key, amount)
    return {"paid": amount}
