"""One arm in a process of its own: ``python -m bench.arm <module> <action> ...``; results are one JSON object."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.harness import CALLERS, one_core, per_second, server_cpu
from bench.ledger import Ledger

_IDENTITIES = 200


def main(module: str, action: str, *arguments: str) -> None:
    """Run an action of this file on a peer's module."""
    actions: dict[str, Callable[..., dict[str, float] | None]] = {
        "redis": redis,
        "hits": partial(cached, "hits"),
        "race": partial(cached, "race"),
        "stampede": partial(cached, "stampede"),
        "cache_extras": partial(cached, "extras"),
        "auth": auth,
        "decide": decide,
        "decide_blocking": decide_blocking,
        "enqueue": enqueue,
        "work": work,
        "produce": produce,
        "nap": nap,
    }
    result = actions[action](import_module(module), *arguments)
    if result is not None:
        print(json.dumps(result))


def redis(peer: Any, url: str, loop: str, seconds: str, only: str = "") -> dict[str, float]:
    """Every command by every number of callers, or one of them by 64."""
    import uvloop

    from bench.commands import measured

    if hasattr(peer, "measured"):
        found: dict[str, float] = peer.measured(url, float(seconds))
        return found
    runner = uvloop.run if loop == "uvloop" else asyncio.run
    result: dict[str, float] = runner(measured(peer, url, float(seconds), only))
    return result


def cached(what: str, peer: Any, url: str, seconds: str = "0") -> dict[str, float]:
    """A part of the cache's figures, see ``cache_arms``; on uvloop."""
    import uvloop

    part: Any = getattr(import_module("bench.cache_arms"), what)
    result: dict[str, float] = uvloop.run(part(peer, url, float(seconds)))
    return result


def auth(peer: Any, url: str, seconds: str) -> dict[str, float]:
    """Every figure that the module measures, on uvloop."""
    import uvloop

    result: dict[str, float] = uvloop.run(peer.measure(url, float(seconds)))
    return result


def decide(peer: Any, url: str, seconds: str, kind: str, loop: str, who: str = "few") -> dict[str, float]:
    """Decisions per second and CPU per decision. who: "few" (200 identities), "one", or "fresh": another each time."""
    import uvloop

    runner = uvloop.run if loop == "uvloop" else asyncio.run
    result: dict[str, float] = runner(_decide(peer, url, float(seconds), kind, who))
    return result


async def _decide(peer: Any, url: str, seconds: float, kind: str, who: str) -> dict[str, float]:
    check, close = peer.connect(url, kind)
    names = [f"user{number}" for number in range(1 if kind == "denied" or who == "one" else _IDENTITIES)]
    serial = itertools.count()
    result: dict[str, float] = {}

    async def call(job: int) -> None:
        await check(f"new{next(serial)}" if who == "fresh" else names[job % len(names)])

    for callers in (CALLERS, 1):  # in this order: being on one core lingers on
        warm = await per_second(callers, range(callers * 20), call)
        warm = await per_second(callers, range(max(callers * 10, int(warm * seconds / 5))), call)
        calls, cpu, served = range(int(warm * seconds)), time.process_time(), server_cpu()
        name = "many" if callers > 1 else "one"
        result[name] = await per_second(callers, calls, call)
        result[f"{name}_cpu"] = (time.process_time() - cpu) / len(calls) * 1e6
        result[f"{name}_server_cpu"] = (server_cpu() - served) / len(calls) * 1e6
    await close()
    return result


def decide_blocking(peer: Any, url: str, seconds: str, kind: str) -> dict[str, float]:
    """Decisions per second of one thread, one after the other, and CPU per decision."""
    check = peer.blocking(url, kind)
    with one_core():
        calls = 0
        for length in (0.2, 1.0):
            begun, cpu, calls = time.perf_counter(), time.process_time(), 0
            while time.perf_counter() - begun < float(seconds) * length:
                check(f"user{calls % _IDENTITIES}")
                calls += 1
    return {"one": calls / (time.perf_counter() - begun), "one_cpu": (time.process_time() - cpu) / calls * 1e6}


def enqueue(peer: Any, url: str, load: str) -> dict[str, float]:
    """Jobs enqueued per second: one by one, from 64 callers, in batches."""
    result: dict[str, float] = peer.enqueue(url, json.loads(load))
    return result


def produce(peer: Any, url: str, kind: str, settings: str) -> None:
    """Jobs that carry the moment they were sent at, or are due at."""
    peer.produce(url, kind, **json.loads(settings))


def nap(peer: Any, settings: str) -> dict[str, float]:
    """Sleeps per second without a queue."""
    result: dict[str, float] = peer.nap(**json.loads(settings))
    return result


def work(peer: Any, url: str, path: str, settings: str) -> None:
    """A worker until SIGTERM; each job marks the ledger."""
    with Ledger(Path(path)) as ledger:
        peer.work(url, ledger, **json.loads(settings))


if __name__ == "__main__":
    main(*sys.argv[1:])
