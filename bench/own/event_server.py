"""The process whose event streams are measured: ``python -m bench.own.event_server URL`` prints its port."""

from __future__ import annotations

import gc
import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.own.event_streams import Sent, open_files
from hustlex.drivers.aio import Driver
from hustlex.events import Events
from hustlex.web import sse_response


def main(url: str) -> None:
    """Serve until killed."""
    open_files()
    gc.set_threshold(50_000, 20, 100)  # as the guide of events says
    news = Events(Driver(url)).channel("news:all", Sent, kind="replay")

    async def events(request: Request) -> Response:
        return await sse_response(request, news.subscribe(), authorize=None)

    listening = socket.create_server(("127.0.0.1", 0), backlog=1_000)
    print(listening.getsockname()[1], flush=True)
    app = Starlette(routes=[Route("/events", events)])
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", loop="uvloop")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(sys.argv[1])
