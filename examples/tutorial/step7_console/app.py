"""Ajo, a savings pot. Step 7: whoever runs it sees what happens, and can act."""

from datetime import timedelta
from typing import Annotated
from uuid import uuid4

import msgspec
from fastapi import Body, Depends, FastAPI, Header, Query, Request, Response
from fastapi.responses import HTMLResponse

import store
from hustlex import HustleX, Tasks
from hustlex.dashboard import Dashboard, Operator
from hustlex.delivery import ConsoleSender, Texts, deliver_codes
from hustlex.events import ReplayChannel
from hustlex.jobs import current_job
from hustlex.settings import load_settings
from hustlex.web import (
    CacheMiddleware,
    CurrentUser,
    Front,
    Idempotent,
    Problem,
    RateLimit,
    ResponseCache,
    StrictUser,
    auth_router,
    install,
    lifespan,
    progress_response,
    sse_response,
)

PAGE = """<!doctype html><title>Ajo</title>
<h1>In the pot: <b id="pot">{total:,.2f}</b> NGN</h1>
<script>
  new EventSource("/events").onmessage = (event) =>
    pot.textContent = (JSON.parse(event.data).total / 100).toLocaleString("en", {{minimumFractionDigits: 2}})
</script>"""

STAFF = {"user-1"}  # who may see the console


async def identify(phone: str) -> str:
    return store.user_of(phone)


def open_front() -> HustleX:
    settings = load_settings()  # HUSTLEX_URL, HUSTLEX_SECRET
    return HustleX(settings.url, **settings.secrets())


hx = open_front()


class PotChanged(msgspec.Struct, frozen=True):
    total: int


def pot_channel(front: HustleX) -> ReplayChannel[PotChanged]:
    return front.events.channel("pot:changes", PotChanged, kind="latest")


tasks = Tasks(lifespan=open_front)
send_code = deliver_codes(tasks, ConsoleSender(), texts=Texts(app="Ajo"))
app = FastAPI(title="Ajo", lifespan=lifespan(lambda: hx))
install(app)
app.add_middleware(CacheMiddleware)
app.include_router(auth_router(send=send_code, identify=identify))
pot_page = ResponseCache("pot-page", ttl=timedelta(minutes=5), tags=["pot"], public=True)
console = Dashboard(hx, title="Ajo")
app.mount("/ops", console)


@app.get("/", response_class=HTMLResponse, dependencies=[Depends(pot_page)])
async def pot() -> str:
    return PAGE.format(total=store.total() / 100)


@app.get("/events")
async def follow_pot(front: Front, request: Request) -> Response:
    return await sse_response(request, pot_channel(front).subscribe(), authorize=None)


@app.get("/me")
async def me(user: CurrentUser) -> dict[str, str]:
    return {"user_id": user.user_id}


@app.post("/console-link")
async def console_link(user: StrictUser) -> dict[str, str]:
    if user.user_id not in STAFF:
        raise Problem(403)
    token = await console.sign_in_token(Operator("act", user.user_id))
    return {"link": f"/ops/enter#{token}"}  # signs in once, within 15 minutes


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
    total = store.total()
    await pot_channel(front).publish(PotChanged(total), version=total)  # an older total never hides a newer one
    return {"paid": amount}


@tasks.task("statement:write", max_retry=3, timeout=timedelta(minutes=2))
async def write_statement(user_id: str) -> dict[str, int]:
    payments = store.payments_of(user_id)
    for number in range(len(payments)):
        await current_job().progress((number + 1) / len(payments), f"payment {number + 1} of {len(payments)}")
    return {"payments": len(payments), "total": sum(payments)}


@app.post("/statements", status_code=202)
async def order_statement(user: CurrentUser, front: Front) -> dict[str, str]:
    job = write_statement.job(user.user_id)
    queued = (await front.jobs.enqueue(job, task_id=f"{user.user_id}.{uuid4()}")).or_raise()
    return {"task_id": queued.id}


@app.get("/statements/{task_id}/events")
async def follow_statement(task_id: str, user: CurrentUser, front: Front, request: Request) -> Response:
    if not task_id.startswith(f"{user.user_id}."):
        raise Problem(404)
    return await progress_response(request, front, task_id, authorize=None, results=True)
