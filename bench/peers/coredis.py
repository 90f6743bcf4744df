"""coredis, one client shared by all tasks; its pool multiplexes."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Any

import coredis

from bench.commands import SCRIPT, VALUE, Commands


async def connect(url: str) -> Commands:
    """With its usual pool."""
    stack = AsyncExitStack()
    client: Any = coredis.Redis.from_url(url)
    if hasattr(client, "__aenter__"):
        client = await stack.enter_async_context(client)
    sha = await client.script_load(SCRIPT)

    def put(key: str) -> Awaitable[Any]:
        return client.set(key, VALUE)

    def evalsha(key: str) -> Awaitable[Any]:
        return client.evalsha(sha, keys=[key])

    return Commands(client.get, put, evalsha, stack.aclose)
