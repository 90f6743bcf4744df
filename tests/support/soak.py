"""``make soak-memory``: a million strangers do each of the stories, and this process stays as large as it was.

The collector is off, so that a cycle counts as what it is: memory that somebody else has to find. The first tenth is
left out: tables that are bounded fill up. Keys are dropped from the server now and then, since its memory is not the
question. STRANGERS=200000 STORIES="a limit,a job" DRIVERS=async choose.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from hustlex.app import HustleX
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.otp import OtpOptions
from hustlex.sync import HustleX as BlockingHustleX
from hustlex.tokens.signature_cache import SignatureCache
from tests.conftest import SECRET
from tests.support.strangers import ASYNC_STORIES, LIMITS, STORIES, done

AT_ONCE = 32
FLUSH = 20_000
SLOW = frozenset({"a login by code", "a code", "a subscription", "an event stream", "a failed computation", "a place"})
"""A fifth of the strangers: these take a millisecond each."""
MOST_BYTES = 8.0
"""For each stranger, of growth: what a page more or less makes of the figure."""


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def crowd(story: Callable[[str], Any], names: Any, count: int, *, at_once: int) -> None:
    """So many strangers, some at once."""
    due = iter(range(count))

    async def some() -> None:
        for _ in due:
            await done(story(f"u{next(names)}"))

    await asyncio.gather(*(some() for _ in range(at_once)))


async def measured(front: Any, story: Callable[[Any, str], Any], count: int, raw: redis.Redis) -> tuple[float, float]:
    """Bytes in memory, and blocks of the interpreter, by which each stranger makes this process larger."""
    names = itertools.count(1)
    at_once = AT_ONCE if isinstance(front, HustleX) else 1

    async def some(number: int) -> None:
        for part in range(0, number, FLUSH):
            await crowd(lambda who: story(front, who), names, min(FLUSH, number - part), at_once=at_once)
            raw.flushdb()

    await some(count // 10)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        size, blocks = resident(), sys.getallocatedblocks()
        await some(count - count // 10)
        rest = count - count // 10
        return (resident() - size) / rest, (sys.getallocatedblocks() - blocks) / rest
    finally:
        gc.enable()
        gc.unfreeze()


async def soak(count: int, chosen: list[str], drivers: list[str]) -> bool:
    """Print a line for each room; whether all stayed flat."""
    SignatureCache.__init__.__defaults__ = (1_000,)
    flat = True
    print(f"{'story':24} {'driver':9} {'strangers':>9} {'bytes each':>10} {'blocks each':>11} {'seconds':>8}")
    with EmbeddedServer(Path(tempfile.mkdtemp())) as server, redis.Redis.from_url(server.url) as raw:
        for kind, (name, story) in itertools.product((HustleX, BlockingHustleX), (STORIES | ASYNC_STORIES).items()):
            driver = "async" if kind is HustleX else "blocking"
            if (chosen and name not in chosen) or (drivers and driver not in drivers):
                continue
            if kind is BlockingHustleX and name in ASYNC_STORIES:
                continue
            front = kind(server.url, secret=SECRET, ratelimit=LIMITS, otp=OtpOptions(caps=None))
            number, begun = count // 5 if name in SLOW else count, time.perf_counter()
            size, blocks = await measured(front, story, number, raw)
            spent = time.perf_counter() - begun
            grown = "" if size < MOST_BYTES else "   GROWS"
            print(f"{name:24} {driver:9} {number:9,} {size:10.2f} {blocks:11.4f} {spent:8.0f}{grown}", flush=True)
            flat = flat and not grown
            await done(front.close())
    return flat


if __name__ == "__main__":
    wanted, of = ([each for each in os.environ.get(name, "").split(",") if each] for name in ("STORIES", "DRIVERS"))
    sys.exit(not asyncio.run(soak(int(os.environ.get("STRANGERS", "1000000")), wanted, of)))
