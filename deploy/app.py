"""What the files beside it start until your own backend takes its place: orders, receipts as jobs, progress live."""

from __future__ import annotations

from datetime import timedelta

from fastapi import Depends, FastAPI, Request, Response

from hustlex import HustleX, Tasks
from hustlex.jobs import current_job
from hustlex.metrics import process_metrics
from hustlex.settings import load_settings
from hustlex.web import Front, RateLimit, health_router, install, lifespan, metrics_router, progress_response, unlimited

PAGES = 3
tasks = Tasks()


@tasks.task("receipt:print", max_retry=5, timeout=timedelta(minutes=1))
async def print_receipt(order: str) -> str:
    """A job: it tells how far it is, and its result is kept for an hour."""
    for page in range(1, PAGES + 1):
        await current_job().progress(page / PAGES, f"page {page}")
    return f"receipt-{order}.pdf"


@tasks.task("receipts:tidy", queue="low")
async def tidy() -> None:
    """A periodic job, once a minute however many schedulers run."""


tasks.cron("tidy", "@every 1m", tidy.job())


def open_front() -> HustleX:
    """From the environment: HUSTLEX_URL, HUSTLEX_CACHE_URL, HUSTLEX_SECRET."""
    settings = load_settings()
    return HustleX(settings.url, cache_url=settings.cache_url, hook=process_metrics(), **settings.secrets())


app = FastAPI(lifespan=lifespan(open_front, require_policy=True))
install(app)
app.include_router(health_router(), dependencies=[Depends(unlimited)])
app.include_router(metrics_router(), dependencies=[Depends(unlimited)])


@app.get("/live", dependencies=[Depends(unlimited)])
async def live() -> dict[str, bool]:
    """Whether the event loop turns: it asks no server, so that an outage of one restarts nobody."""
    return {"live": True}


@app.post("/orders/{order}", status_code=202, dependencies=[Depends(RateLimit("600/minute per ip"))])
async def take(order: str, front: Front) -> dict[str, str]:
    """Take an order; its receipt is a job."""
    queued = await front.jobs.enqueue(print_receipt.job(order=order), retention=timedelta(hours=1))
    return {"task": queued.or_raise().id}


@app.get("/tasks/{task}/events", dependencies=[Depends(RateLimit("60/minute per ip"))])
async def follow(task: str, request: Request, front: Front) -> Response:
    """Server-sent events: the progress of a job, from its first step to its end."""
    return await progress_response(request, front, task, authorize=None)
