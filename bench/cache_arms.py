"""What the arms of the cache do, each in a process of its own."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from bench.harness import CALLERS, per_second

_USERS = 200
_KEYS = 5
_CLIENTS = 4
_READERS = 4
_STAMPEDE = 200


async def hits(peer: Any, url: str, seconds: float) -> dict[str, float]:
    """Hits per second from 64 callers, and CPU per hit."""

    async def load(user_id: int) -> dict[str, Any]:
        return {"id": user_id, "name": "Adaeze Okafor", "phone": "+2348031234567", "tags": ["a", "b"], "rating": 4.9}

    cached, close = await peer.connect(url, load)
    for user_id in range(_USERS):
        await cached(user_id)

    async def call(job: int) -> None:
        await cached(job % _USERS)

    warm = await per_second(CALLERS, range(CALLERS * 20), call)
    calls, cpu = range(max(CALLERS * 10, int(warm * seconds))), time.process_time()
    rate = await per_second(CALLERS, calls, call)
    spent = (time.process_time() - cpu) / len(calls) * 1e6
    await close()
    return {"hits64": rate, "hits64_cpu": spent}


async def race(peer: Any, url: str, seconds: float) -> dict[str, float]:
    """Several clients read while two change the origin and invalidate: a read is stale when it is older than the last
    invalidation that had returned before it began.
    """
    dice, until = random.Random(1), time.monotonic() + seconds
    versions, floors, told = [1] * _KEYS, [0] * _KEYS, {"stale": 0.0, "gets": 0.0}
    clients = [await peer.client(url) for _ in range(_CLIENTS)]

    async def read(get: Any) -> None:
        while time.monotonic() < until:
            key = dice.randrange(_KEYS)

            async def load(key: int = key) -> int:
                version = versions[key]
                await asyncio.sleep(dice.randrange(10) / 1000)
                return version

            floor = floors[key]
            seen = await get(key, load)
            told["gets"] += 1
            told["stale"] += seen < floor

    async def write(delete: Any) -> None:
        while time.monotonic() < until:
            key = dice.randrange(_KEYS)
            versions[key] += 1
            committed = versions[key]
            await delete(key)
            floors[key] = max(floors[key], committed)
            await asyncio.sleep(dice.randrange(6) / 1000)

    writers = [write(delete) for _, delete, _ in clients[:2]]
    await asyncio.gather(*writers, *(read(get) for get, _, _ in clients for _ in range(_READERS)))
    for _, _, close in clients:
        await close()
    return told


async def stampede(peer: Any, url: str, _: float) -> dict[str, float]:
    """One of two processes."""
    return {"computed": await peer.stampede(url, _STAMPEDE)}


async def extras(peer: Any, url: str, _: float) -> dict[str, float]:
    """What only ours has."""
    measured: dict[str, float] = await peer.extras(url)
    return measured
