"""Publishing by hand on redis-py: what is kept and what is sent in one transaction."""

from __future__ import annotations

import json
from typing import Any

import redis.asyncio

from bench.harness import CALLERS
from bench.own.events import timed


async def measure(url: str, seconds: float) -> dict[str, float]:
    """Per second and CPU, with history and without."""
    client = redis.asyncio.Redis.from_url(url, max_connections=CALLERS)

    def text(job: int) -> str:
        return json.dumps({"type": "paid", "amount": job, "note": "for painting a fence"})

    async def kept(job: int) -> Any:
        key, said = f"orders:{job % CALLERS}", text(job)
        async with client.pipeline(transaction=True) as pipe:
            pipe.xadd(f"{key}:s", {"d": said}, maxlen=100, approximate=True)
            pipe.expire(f"{key}:s", 300)
            pipe.publish(key, said)
            return await pipe.execute()

    async def live(job: int) -> Any:
        return await client.publish(f"news:{job % CALLERS}", text(job))

    result = await timed("history64", kept, seconds) | await timed("live64", live, seconds)
    await client.aclose()
    return result
