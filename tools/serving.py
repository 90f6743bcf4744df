"""An ASGI application on a free port of loopback, for a browser that is driven beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from hustlex.core.doors import accept_no_more


@asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncIterator[str]:
    """Its address. options: of uvicorn's configuration."""
    async with server_of(app, port=0, **options) as server:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


@asynccontextmanager
async def server_of(app: Any, **options: Any) -> AsyncIterator[uvicorn.Server]:
    """The same at the port that ``options`` say; its server.

    In the end whoever is connected is cut off, also a browser that comes again before the server has closed its door:
    from Python 3.12 on a server is closed only when its last connection is, and before a socket would outlive its loop.
    """
    server = uvicorn.Server(uvicorn.Config(app, **{"log_level": "warning", "lifespan": "off", **options}))
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), "the server did not start"
        await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        for each in server.servers:
            await accept_no_more(each)
        server.should_exit = server.force_exit = True
        while not task.done():
            for connection in [*server.server_state.connections]:
                connection.transport.abort()
            await asyncio.sleep(0.01)
        await task
