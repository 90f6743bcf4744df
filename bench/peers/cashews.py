"""cashews: a decorated function with its lock against stampedes, on redis-py with hiredis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from cashews import Cache


def _cache(url: str) -> Cache:
    cache = Cache()
    cache.setup(url, client_side=False, max_connections=100)
    return cache


async def connect(
    url: str, load: Callable[[int], Awaitable[dict[str, Any]]]
) -> tuple[Callable[[int], Awaitable[Any]], Callable[[], Any]]:
    """A cached function of one number."""
    cache = _cache(url)

    @cache(ttl="1m", key="user:{user_id}")
    async def cached(user_id: int) -> dict[str, Any]:
        return await load(user_id)

    return cached, cache.close


async def client(url: str) -> tuple[Any, Any, Any]:
    """One process's part in the race."""
    cache = _cache(url)

    async def get(key: int, load: Callable[[], Awaitable[int]]) -> Any:
        @cache(ttl="1m", key=f"race:{key}", lock=True)
        async def cached() -> int:
            return await load()

        return await cached()

    async def delete(key: int) -> None:
        await cache.delete(f"race:{key}")

    return get, delete, cache.close
