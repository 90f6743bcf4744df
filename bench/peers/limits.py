"""The ``limits`` library (which slowapi and flask-limiter stand on) at its best settings: redis-py with hiredis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from limits import RateLimitItemPerMinute, storage, strategies
from limits.aio import storage as aio_storage
from limits.aio import strategies as aio_strategies

_WIDE = {"moving": 10_000, "denied": 1}


def connect(url: str, kind: str) -> tuple[Callable[[str], Awaitable[Any]], Callable[[], Awaitable[None]]]:
    """A hit of one identity, and how to close. kind: sliding_counter, moving, fixed or denied."""
    store = aio_storage.RedisStorage(f"async+{url}", implementation="redispy")
    limiter: Any = {
        "sliding_counter": aio_strategies.SlidingWindowCounterRateLimiter,
        "denied": aio_strategies.SlidingWindowCounterRateLimiter,
        "moving": aio_strategies.MovingWindowRateLimiter,
        "fixed": aio_strategies.FixedWindowRateLimiter,
    }[kind](store)
    item = RateLimitItemPerMinute(_WIDE.get(kind, 1_000_000))

    def hit(identity: str) -> Awaitable[Any]:
        return limiter.hit(item, "/transfers", identity)

    async def close() -> None:
        await asyncio.sleep(0)

    return hit, close


def blocking(url: str, kind: str) -> Callable[[str], Any]:
    """The same, without asyncio."""
    limiter: Any = {
        "sliding_counter": strategies.SlidingWindowCounterRateLimiter,
        "moving": strategies.MovingWindowRateLimiter,
    }[kind](storage.RedisStorage(url))
    item = RateLimitItemPerMinute(_WIDE.get(kind, 1_000_000))
    return lambda identity: limiter.hit(item, "/transfers", identity)
