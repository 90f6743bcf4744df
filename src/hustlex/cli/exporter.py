"""``hustlex exporter``: the queues and servers as metrics, for Prometheus and for an autoscaler."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qs

import msgspec
import typer

from hustlex.cli.client import CacheUrl, Prefix, Url, judged_settings
from hustlex.cli.ports import check_free
from hustlex.cli.run import log_plainly
from hustlex.errors import Error, Misuse
from hustlex.metrics.files import write
from hustlex.worker.health_http import Page, PageReply, listening

if TYPE_CHECKING:
    from hustlex.metrics import FleetMetrics

_PATIENCE = timedelta(seconds=5)


def exporter(
    url: Url = None,
    cache_url: CacheUrl = None,
    prefix: Prefix = None,
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on")] = 9100,
    files: Annotated[
        Path | None, typer.Option(help="Write a Grafana dashboard, alert rules and a KEDA example there; start nothing")
    ] = None,
) -> None:
    """Answer GET /metrics and GET /scale?queue=NAME until SIGTERM or Ctrl-C. One of it serves a whole system.

    It asks for no password: let only your monitoring reach it, see docs/guides/metrics.md.
    Example: hustlex exporter --port 9100
    """
    if files is not None:
        print(*write(files), sep="\n")
        return
    settings = judged_settings(url, cache_url, prefix)
    check_free(host, port)
    log_plainly()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings.url, settings.cache_url, settings.prefix, host, port))


async def _serve(url: str, cache_url: str | None, prefix: str, host: str, port: int) -> None:
    from hustlex.app import HustleX
    from hustlex.metrics import FleetMetrics

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        HustleX(url, cache_url=cache_url, prefix=prefix, timeout=_PATIENCE) as hx,
        listening(pages(FleetMetrics(hx)), port, host),
    ):
        await stop.wait()


def pages(fleet: FleetMetrics) -> dict[bytes, Page]:
    """What it answers."""
    from hustlex.metrics import CONTENT_TYPE

    async def metrics(_: str) -> PageReply:
        return PageReply(True, await fleet.text(), CONTENT_TYPE)

    async def scale(query: str) -> PageReply:
        name = parse_qs(query).get("queue", [""])[0]
        try:
            return PageReply(True, msgspec.json.encode(await fleet.scale(name)))
        except Misuse as error:
            return PageReply(False, msgspec.json.encode({"error": error.message}), status=400)
        except Error as error:
            return PageReply(
                False, msgspec.json.encode({"error": f"the server cannot be asked: {type(error).__name__}"})
            )

    return {b"/metrics": metrics, b"/scale": scale}
