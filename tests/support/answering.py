"""A server of a test's own, which answers as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from hustlex.core.doors import accept_no_more

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def silent(*_: Any) -> None:
    """Nothing but the connection."""


@asynccontextmanager
async def answering(answer: Answer, **options: Any) -> AsyncIterator[int]:
    """On a free port, which is given. In the end whoever is connected is cut off: a socket that outlived its loop would
    be another test's warning.
    """
    tasks, writers = set[asyncio.Task[Any]](), list[asyncio.StreamWriter]()

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        writers.append(writer)
        try:
            await answer(reader, writer)
        finally:
            writer.close()
            tasks.discard(task)

    async with await asyncio.start_server(answered, "127.0.0.1", 0, **options) as server:
        yield server.sockets[0].getsockname()[1]
        await accept_no_more(server)
    left = list(tasks)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for writer in writers:  # close waits for who does not read
        writer.transport.abort()
