"""A shop: orders that a repeated request never doubles, a provider's webhooks signed as Stripe's are, receipts as jobs.

python -m examples.run shop      a server, the API on port 8000, a worker
python -m examples.visit shop    a customer and the provider, step by step
"""

import hmac
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import Body, Depends, FastAPI, Header, Request, Response
from sqlalchemy import Column, Integer, MetaData, String, Table, UniqueConstraint, insert, select, update
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from hustlex import HustleX, Tasks, web
from hustlex.idempotency import Provider
from hustlex.jobs import current_job
from hustlex.outbox import Outbox, OutboxRelay
from hustlex.settings import load_settings
from hustlex.web import Front, Idempotent, Problem, RateLimit, StrictUser, install, sse_response, verify_webhook

STRIPE_SECRET = os.environ.get("STRIPE_SECRET", "whsec_of_this_example_alone")
PRICES = {"lamp": 12_000_00, "kettle": 18_500_00}  # kobo
metadata = MetaData()
orders = Table(
    "orders",
    metadata,
    Column("id", Integer, primary_key=True),
    *(Column(name, String(255), nullable=False) for name in ("user_id", "key", "sku")),
    Column("amount", Integer, nullable=False),
    Column("status", String(16), nullable=False, default="unpaid"),
    UniqueConstraint("user_id", "key"),  # decides about money, whatever Redis has lost
)
outbox = Outbox(metadata)


class Shop:
    """What a process holds."""

    def __init__(self, hx: HustleX, database: str) -> None:
        self.hx = hx
        self.engine = create_async_engine(database)
        self.begin = async_sessionmaker(self.engine).begin
        self.news = hx.events.channel("orders:{order_id}", str, kind="replay")

    async def move(self, order_id: int, before: str, after: str) -> bool:
        """Once from one status to the next, with the receipt's job in the same transaction; then tell who watches."""
        async with self.begin() as session:
            which = (orders.c.id == order_id) & (orders.c.status == before)
            change = update(orders).where(which).values(status=after).returning(orders.c.id)
            moved = (await session.execute(change)).first() is not None
            if moved and after == "paid":
                outbox.add(session, receipt.job(order_id), task_id=f"receipt:{order_id}")
        if moved:
            await self.news.publish(after, order_id=order_id)
        return moved


@asynccontextmanager
async def open_shop() -> AsyncIterator[Shop]:
    settings, data = load_settings(), Path(os.environ.get("HUSTLEX_DATA", "."))
    async with HustleX(settings.url, **settings.secrets()) as hx:
        shop = Shop(hx, f"sqlite+aiosqlite:///{data / 'shop.db'}")
        async with shop.engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        async with OutboxRelay(hx.driver, shop.engine, outbox):
            yield shop
        await shop.engine.dispose()


tasks = Tasks(lifespan=open_shop)


@tasks.task("shop:receipt", queue="critical")
async def receipt(order_id: int) -> None:
    """Send it, then say so: a job may run twice, and an order has one receipt."""
    if await current_job(Shop).state.move(order_id, "paid", "receipt sent"):
        print(f"receipt for order {order_id}")


@asynccontextmanager
async def opened(app: FastAPI) -> AsyncIterator[None]:
    async with open_shop() as shop, web.lifespan(lambda: shop.hx)(app):
        app.state.shop = shop
        yield


def signed(body: bytes, headers: Mapping[str, str]) -> bool:
    """``Stripe-Signature: t=<seconds>,v1=<HMAC-SHA-256 of "t.body" in hex>``, at most five minutes old."""
    shown = headers.get("stripe-signature", "")
    parts = [(name, value) for name, _, value in (part.partition("=") for part in shown.split(","))]
    moment = dict(parts).get("t", "")
    wanted = hmac.digest(STRIPE_SECRET.encode(), f"{moment}.".encode() + body, "sha256").hex()
    good = [hmac.compare_digest(wanted.encode(), value.encode()) for name, value in parts if name == "v1"]
    return moment.isdecimal() and abs(time.time() - int(moment)) < 300 and any(good)


webhook = verify_webhook(Provider(name="stripe", verify=signed), event_id=lambda body: msgspec.json.decode(body)["id"])
app = FastAPI(title="A shop", lifespan=opened)
install(app)


@app.post("/session", dependencies=[Depends(RateLimit("20/minute per ip"))])
async def log_in(name: Annotated[str, Body(embed=True)], front: Front) -> dict[str, str]:
    """Stands for your login; docs/guides/fastapi.md has one by code."""
    return {"access_token": (await front.tokens.login(name)).or_raise().access}


@app.post("/orders", status_code=201, dependencies=[Depends(RateLimit("5/minute per user")), Depends(Idempotent())])
async def order(
    sku: Annotated[str, Body(embed=True)],
    user: StrictUser,
    key: Annotated[str, Header(alias="idempotency-key")],
    request: Request,
) -> dict[str, Any]:
    if sku not in PRICES:
        raise Problem(422, detail="There is no such thing.")
    row = {"user_id": user.user_id, "key": key, "sku": sku, "amount": PRICES[sku]}
    async with request.app.state.shop.begin() as session:
        number = (await session.execute(insert(orders).values(row).returning(orders.c.id))).scalar_one()
    return {"order_id": number, "amount": PRICES[sku], "status": "unpaid"}


@app.get("/orders/{order_id}")
async def show(order_id: int, user: StrictUser, request: Request) -> dict[str, Any]:
    mine = select(orders).where((orders.c.id == order_id) & (orders.c.user_id == user.user_id))
    async with request.app.state.shop.begin() as session:
        found = (await session.execute(mine)).mappings().one_or_none()
    if found is None:
        raise Problem(404)
    return {"order_id": order_id, "amount": found["amount"], "status": found["status"]}


@app.get("/orders/{order_id}/events")
async def watch(order_id: int, user: StrictUser, request: Request) -> Response:
    await show(order_id, user, request)
    return await sse_response(request, request.app.state.shop.news.subscribe(order_id=order_id), authorize=None)


@app.post("/hooks/stripe", dependencies=[Depends(webhook)])
async def paid(request: Request) -> None:
    event = msgspec.json.decode(await request.body())
    if event["type"] == "payment_intent.succeeded":
        await request.app.state.shop.move(int(event["data"]["object"]["metadata"]["order_id"]), "unpaid", "paid")
