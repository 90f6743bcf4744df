"""GET, SET and EVALSHA through one client, by some callers for some time: what every arm of the redis suite runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bench.harness import one_core, percentile, two_cores

CALLERS = (1, 64, 500)
KEYS = [f"bench:{number}" for number in range(200)]
VALUE = b"x" * 100
SCRIPT = "return redis.call('GET', KEYS[1])"
_WARM = 0.2


@dataclass
class Commands:
    """A client's calls. evalsha: of SCRIPT, loaded before."""

    get: Callable[[str], Awaitable[Any]]
    set: Callable[[str], Awaitable[Any]]
    evalsha: Callable[[str], Awaitable[Any]]
    close: Callable[[], Awaitable[Any]]


async def measured(peer: Any, url: str, seconds: float, only: str = "") -> dict[str, float]:
    """Per command and number of callers: calls a second, client CPU each, and of 500 callers the 99th percentile.

    only: one command, by 64 callers alone.
    """
    commands: Commands = await peer.connect(url)
    for key in KEYS:
        await commands.set(key)
    result: dict[str, float] = {}
    for name in [only] if only else ["get", "set", "evalsha"]:
        for callers in (64,) if only else (500, 64, 1):  # in this order: being on one core lingers on
            call = getattr(commands, name)
            with one_core() if callers == 1 else two_cores():
                await _run(callers, seconds * _WARM, call)
                found = await _run(callers, seconds, call)
                result |= {f"{name}{callers}{what}": value for what, value in found.items()}
    await commands.close()
    return result


async def _run(callers: int, seconds: float, call: Callable[[str], Awaitable[Any]]) -> dict[str, float]:
    waits: list[float] = []
    clock = time.perf_counter
    begun, cpu = clock(), time.process_time()
    end = begun + seconds

    async def caller(number: int) -> int:
        done, mine = 0, KEYS[number % len(KEYS) :] + KEYS[: number % len(KEYS)]
        while True:
            for key in mine:
                await call(key)
                done += 1
                if clock() > end:
                    return done

    async def timed(number: int) -> int:
        done, now = 0, clock()
        while True:
            await call(KEYS[(number + done) % len(KEYS)])
            before, now = now, clock()
            waits.append(now - before)
            done += 1
            if now > end:
                return done

    one = timed if callers == max(CALLERS) else caller
    calls = sum(await asyncio.gather(*(one(number) for number in range(callers))))
    took, spent = clock() - begun, time.process_time() - cpu
    found = {"": calls / took, "_cpu": spent / calls * 1e6}
    return found | ({"_p99_ms": percentile(sorted(waits), 0.99) * 1000} if waits else {})
