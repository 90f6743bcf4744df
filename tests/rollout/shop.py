"""The backend that is replaced while it works: version N of its code, by SHOP_VERSION.

Each version sells by a job of its own type, which older ones do not know, and knows those of all before it.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from fastapi import FastAPI

from hustlex import HustleX, Tasks
from hustlex.settings import load_settings
from hustlex.web import Front, health_router, install, lifespan

VERSION = int(os.environ["SHOP_VERSION"])
LEDGER = Path(os.environ["SHOP_LEDGER"])
LONG_S = float(os.environ["SHOP_LONG_S"])
"""How long every tenth receipt takes: longer than an ending worker waits for it."""

tasks = Tasks()


def note(kind: str, order: str) -> None:
    """One line, written at once, whoever else writes."""
    with LEDGER.open("ab", buffering=0) as file:
        file.write(f"{kind} {order} {VERSION}\n".encode())


async def receipt(order: str) -> None:
    note("began", order)
    await asyncio.sleep(LONG_S if order.endswith("0") else 0.01)
    note("sold", order)


for version in range(1, VERSION + 1):
    tasks.task(f"receipt:{version}", max_retry=0)(receipt)


@tasks.task("tick", max_retry=0)
async def tick() -> None:
    note("tick", "0")


tasks.cron("tick", "@every 1s", tick.job(), missed="all")


def open_front() -> HustleX:
    """From the environment, as every backend."""
    settings = load_settings()
    return HustleX(settings.url, **settings.secrets())


app = FastAPI(lifespan=lifespan(open_front))
install(app)
app.include_router(health_router())


@app.post("/orders/{order}")
async def buy(order: str, front: Front) -> dict[str, int]:
    (await front.jobs.enqueue(f"receipt:{VERSION}", {"order": order}, max_retry=0)).or_raise()
    return {"version": VERSION}
