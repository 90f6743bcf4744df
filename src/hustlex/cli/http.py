"""``hustlex api``: serve a backend's ASGI application."""

from __future__ import annotations

import asyncio
from types import FrameType
from typing import Annotated

import typer

from hustlex.cli.backend import load_attribute
from hustlex.cli.ports import check_free


def api(
    module: Annotated[str, typer.Argument(help="The module that defines `app`, as examples.gigs")],
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on")] = 8000,
) -> None:
    """Serve the `app` of MODULE over HTTP until SIGTERM or Ctrl-C.

    Example: hustlex api examples.gigs --port 8000
    """
    import uvicorn

    from hustlex.web.sse import end_streams

    check_free(host, port)
    application = load_attribute(module, "app")
    config = uvicorn.Config(application, host=host, port=port, log_level="warning", timeout_graceful_shutdown=5)

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            asyncio.get_running_loop().call_soon(end_streams, application)
            super().handle_exit(sig, frame)

    Server(config).run()
