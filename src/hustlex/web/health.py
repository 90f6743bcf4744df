"""``GET /health`` of an application: whether this process works, for a load balancer, an orchestrator or a person."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from hustlex.core import check
from hustlex.core.health import stopping
from hustlex.errors import Misuse
from hustlex.web.depends import Front


def health_router(path: str = "/health") -> APIRouter:
    """``app.include_router(health_router())``: 200 while the front works, if only by second best; 503 when a server
    cannot be used, or ``hustlex api --drain`` was told to stop.

    The body says why, as ``HustleX.health``: no addresses and nothing of users, but keep it from the public if you can.
    A process whose limits or caches work by second best stays in service: taking all of them out at once would make an
    outage of one that was none. Raises Misuse.
    """
    if not check.text("path", path).startswith("/"):
        raise Misuse("path does not begin with a slash", hint="pass one as /health")
    router = APIRouter()
    router.add_api_route(path, _health, methods=["GET", "HEAD"], include_in_schema=False)
    return router


async def _health(front: Front) -> Response:
    found = await front.health()
    trouble = found.trouble | ({"process": "it was told to stop"} if stopping.is_set() else {})
    body = {"ok": not trouble, "trouble": trouble, "degraded": found.degraded}
    return JSONResponse(body, 503 if trouble else 200, {"Cache-Control": "no-store"})
