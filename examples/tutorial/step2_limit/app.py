"""Ajo, a savings pot. Step 2: nobody asks more often than is good for everybody."""

from typing import Annotated

from fastapi import Depends, FastAPI, Query

from hustlex import HustleX, Tasks
from hustlex.delivery import ConsoleSender, Texts, deliver_codes
from hustlex.settings import load_settings
from hustlex.web import CurrentUser, RateLimit, auth_router, install, lifespan

users: dict[str, str] = {}  # stands for your table of users: phone -> id


async def identify(phone: str) -> str:
    return users.setdefault(phone, f"user-{len(users) + 1}")


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
