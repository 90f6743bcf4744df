"""``GET /metrics`` of an application: what this process counts, and with a shared directory its siblings, too."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.metrics.process import Metrics, process_metrics
from hustlex.metrics.text import CONTENT_TYPE


def metrics_router(path: str = "/metrics", *, metrics: Metrics | None = None) -> APIRouter:
    """``app.include_router(metrics_router())``: the metrics of this process in Prometheus' text format.

    metrics: default those of this process, ``process_metrics()``; give the same to ``HustleX(hook=...)``. It asks for
    no password and has nothing of users in it, but keep it from the public: leave the path out at your proxy.
    Raises Misuse.
    """
    if not check.text("path", path).startswith("/"):
        raise Misuse("path does not begin with a slash", hint="pass one as /metrics")
    if metrics is not None:
        check.instance("metrics", metrics, Metrics, hint="pass process_metrics()")
    shown = process_metrics() if metrics is None else metrics

    def answer() -> Response:
        return Response(shown.text(), media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})

    router = APIRouter()
    router.add_api_route(path, answer, methods=["GET", "HEAD"], include_in_schema=False)
    return router
