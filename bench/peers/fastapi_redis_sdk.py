"""fastapi-redis-sdk: read, compute, write by its CacheBackend, as its guide does outside of endpoints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis_fastapi.cache_backend import CacheBackend

_MINUTE = timedelta(minutes=1)


def _backend(url: str) -> tuple[CacheBackend, Redis]:
    redis = Redis(connection_pool=BlockingConnectionPool.from_url(url, max_connections=100, decode_responses=True))
    return CacheBackend(redis, eviction_group="bench"), redis


async def connect(
    url: str, load: Callable[[int], Awaitable[dict[str, Any]]]
) -> tuple[Callable[[int], Awaitable[Any]], Callable[[], Any]]:
    """A cached function of one number."""
    backend, redis = _backend(url)

    async def cached(user_id: int) -> Any:
        value = await backend.get(f"user:{user_id}", default=None)
        if value is None:
            value = await load(user_id)
            await backend.set(f"user:{user_id}", value, ttl=_MINUTE)
        return value

    return cached, redis.aclose


async def client(url: str) -> tuple[Any, Any, Any]:
    """One process's part in the race."""
    backend, redis = _backend(url)

    async def get(key: int, load: Callable[[], Awaitable[int]]) -> Any:
        value = await backend.get(f"race:{key}", default=None)
        if value is None:
            value = await load()
            await backend.set(f"race:{key}", value, ttl=_MINUTE)
        return value

    async def delete(key: int) -> None:
        await backend.delete(f"race:{key}")

    return get, delete, redis.aclose
