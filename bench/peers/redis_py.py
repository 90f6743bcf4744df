"""redis-py's asyncio client with hiredis, one client shared by all tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis


def connect(url: str) -> tuple[Callable[[str], Awaitable[Any]], Callable[[], Awaitable[None]]]:
    """The client's GET, and how to close it."""
    client = Redis.from_url(url)
    return client.get, client.aclose
