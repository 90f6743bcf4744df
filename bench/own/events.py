"""Publishing by this package's events room."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from bench.harness import CALLERS, per_second
from hustlex.drivers.aio import Driver
from hustlex.events import Events


class Paid(msgspec.Struct, frozen=True, tag="paid"):
    """Of 64 channels, one per caller."""

    amount: int
    note: str = "for painting a fence"


async def measure(url: str, seconds: float) -> dict[str, float]:
    """Per second and CPU, with history and without."""
    driver = Driver(url)
    events = Events(driver)
    kept = events.channel("orders:{order_id}", Paid, kind="replay")
    live = events.channel("news:{order_id}", Paid)
    result = await timed("history64", lambda job: kept.publish(Paid(job), order_id=job % CALLERS), seconds)
    result |= await timed("live64", lambda job: live.publish(Paid(job), order_id=job % CALLERS), seconds)
    await driver.close()
    return result


async def timed(name: str, publish: Callable[[int], Awaitable[Any]], seconds: float) -> dict[str, float]:
    """By 64 callers, after a short warm-up."""

    async def call(job: int) -> None:
        await publish(job)

    warm = await per_second(CALLERS, range(CALLERS * 20), call)
    warm = await per_second(CALLERS, range(max(CALLERS * 10, int(warm * seconds / 5))), call)
    calls, cpu = range(int(warm * seconds)), time.process_time()
    rate = await per_second(CALLERS, calls, call)
    return {name: rate, f"{name}_cpu": (time.process_time() - cpu) / len(calls) * 1e6}
