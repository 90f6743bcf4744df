"""fastapi-cache2: its decorator on a function, as on an endpoint, on redis-py with hiredis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi_cache import FastAPICache
from fastapi_cache.backends.redis import RedisBackend
from fastapi_cache.decorator import cache
from redis.asyncio import BlockingConnectionPool, Redis


async def connect(
    url: str, load: Callable[[int], Awaitable[dict[str, Any]]]
) -> tuple[Callable[[int], Awaitable[Any]], Callable[[], Any]]:
    """A cached function of one number."""
    redis = Redis(connection_pool=BlockingConnectionPool.from_url(url, max_connections=100))
    FastAPICache.init(RedisBackend(redis), prefix="bench")

    @cache(expire=60)
    async def cached(user_id: int) -> dict[str, Any]:
        return await load(user_id)

    return cached, redis.aclose
