"""What an event loop manages without any queue: as many sleepers as the worker has slots, one sleep after another.

uvloop's timers have whole milliseconds: a sleep of 5 ms takes 5 to 6. No worker on this loop comes nearer to the ideal.
"""

from __future__ import annotations

import asyncio
import time

import uvloop


def nap(sleep_ms: float, slots: int, jobs: int) -> dict[str, float]:
    """Sleeps per second, and CPU for each."""
    return uvloop.run(_nap(sleep_ms / 1000, slots, jobs))


async def _nap(seconds: float, slots: int, jobs: int) -> dict[str, float]:
    left = iter(range(jobs))

    async def sleeper() -> None:
        for _ in left:
            await asyncio.sleep(seconds)

    begun, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(sleeper() for _ in range(slots)))
    drain = jobs / (time.perf_counter() - begun)
    return {"drain": drain, "worker_cpu": (time.process_time() - cpu) / jobs * 1e6}
