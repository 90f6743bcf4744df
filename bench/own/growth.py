"""What is stored by the million, and operations beside it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

import redis
from redis.asyncio import Redis

from bench.harness import CALLERS, QUICK, per_second
from bench.own.auth import SECRET
from hustlex import HustleX, Tasks
from hustlex.core.op import Effect, command
from hustlex.drivers.aio import Driver, Options
from hustlex.jobs import Jobs, State
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease.ops import cycle
from hustlex.ratelimit import Policy, RateLimitOptions
from hustlex.tokens import TokenPair
from hustlex.worker import Worker

Costs = dict[str, tuple[float, float]]
"""Microseconds of CPU per operation, client and server."""

URL = "BENCH_GROWTH_URL"
_SIZES = (1_000, 100_000) if QUICK else (1_000, 100_000, 1_000_000)
_QUEUES = (1, 100) if QUICK else (1, 100, 1_000)
_CALLS = 2_000 if QUICK else 5_000
_DEFAULT = queue_keys("default")
_HOUR = timedelta(hours=1)
_serial = count()
_tasks = Tasks()


@dataclass(frozen=True)
class Story:
    """fill: store so many. measure: costs beside them, by operation; leaves as many as it found."""

    operations: Sequence[str]
    fill: Callable[[str, int], Awaitable[None]]
    measure: Callable[[str, int], Awaitable[Costs]]
    sizes: Sequence[int] = _SIZES


@_tasks.task("bench:mark", queue="default")
async def mark(job: int) -> None:
    """Nothing."""


def _front(url: str) -> HustleX:
    return HustleX(url, secret=SECRET, ratelimit=RateLimitOptions(timeout=timedelta(seconds=10)))


async def _cost(calls: int, call: Callable[[int], Awaitable[Any]], callers: int = CALLERS) -> tuple[float, float]:
    """By 64 callers, or one after the other."""
    client, server = time.process_time(), _server_cpu()
    await per_second(callers, range(calls), call)
    return (time.process_time() - client) / calls * 1e6, (_server_cpu() - server) / calls * 1e6


def _server_cpu() -> float:
    """Seconds of CPU that the server has used, to the microsecond."""
    with redis.Redis.from_url(os.environ[URL]) as client:
        info: dict[str, Any] = client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def _one_of(number: int, size: int) -> int:
    """One of a thousand that are spread over all of them: what a process remembers of each is the same for any size."""
    return number % _SIZES[0] * (size // _SIZES[0])


# --- jobs ------------------------------------------------------------------------------------------------------------

_COPY_TASKS = """
for n = ARGV[1], ARGV[2] do
  local id = string.format('%08x-0000-4000-8000-000000000000', n)
  redis.call('COPY', KEYS[1], 'asynq:{default}:t:' .. id)
  if ARGV[3] == 'pending' then
    redis.call('LPUSH', KEYS[2], id)
  else
    redis.call('ZADD', KEYS[2], ARGV[4] + n % 3600, id)
  end
end
"""
_COPY_KEYS = """
for n = ARGV[1], ARGV[2] do
  redis.call('COPY', KEYS[1], ARGV[3] .. string.format('%.0f', n) .. ARGV[4])
end
"""


async def _copied(client: Redis, script: str, keys: list[str], size: int, *more: Any) -> None:
    for first in range(0, size, 10_000):
        await client.eval(script, len(keys), *keys, first, min(first + 10_000, size) - 1, *more)  # type: ignore[misc]


async def _fill_pending(url: str, size: int) -> None:
    async with _front(url) as hx, Redis.from_url(url) as client:
        first = (await hx.jobs.enqueue(mark.job(job=1))).or_raise()
        keys = [_DEFAULT.task(first.id), _DEFAULT.pending]
        await _copied(client, _COPY_TASKS, keys, size, "pending")


async def _pending(url: str, _: int) -> Costs:
    async with _front(url) as hx:
        enqueued = await _cost(_CALLS, lambda n: hx.jobs.enqueue(mark.job(job=n)))
        many = range(0, _CALLS, 100)
        batched = await _cost(len(many), lambda n: hx.jobs.enqueue_many([mark.job(job=n)] * 100), 1)
        leased = await _lease(hx, 2 * _CALLS)
        seen = await _looked_at(hx)
    per_job = (batched[0] / 100, batched[1] / 100)
    return {"enqueue": enqueued, "enqueue in batches": per_job, "lease and acknowledge": leased, **seen}


async def _lease(hx: HustleX, jobs: int) -> tuple[float, float]:
    """As many as were enqueued, 100 at a time, as a worker does it."""
    rows: list[Any] = []

    async def one(number: int) -> None:
        holder = f"{'0' * 32}:{next(_serial)}"
        answer = await hx.driver.run(cycle(_DEFAULT, "2026-01-01", holder, 100, rows, 0))
        rows[:] = [part for task_id in answer.leased[::2] for part in (task_id, holder, "")]

    client, server = await _cost(jobs // 100, one, 1)
    await hx.driver.run(cycle(_DEFAULT, "2026-01-01", f"{'0' * 32}:{next(_serial)}", 0, rows, 0))
    return client / 100, server / 100


async def _looked_at(hx: HustleX) -> Costs:
    see = hx.jobs.inspector
    rows = await see.tasks("default", State.PENDING, size=30)
    pending = queue_keys("default").pending
    newest = await hx.driver.run(
        command("bench.newest", Effect.READ, "LINDEX", pending, 0, keys=(pending,), decode=bytes.decode)
    )
    return {
        "inspector, first page": await _cost(200, lambda _: see.tasks("default", State.PENDING, size=30), 1),
        "inspector, queue": await _cost(200, lambda _: see.queue("default"), 1),
        "explain the next": await _cost(200, lambda _: hx.jobs.explain(rows[0].id, queue="default"), 1),
        "explain the last": await _cost(200, lambda _: hx.jobs.explain(newest, queue="default"), 1),
    }


async def _fill_scheduled(url: str, size: int) -> None:
    async with _front(url) as hx, Redis.from_url(url) as client:
        first = (await hx.jobs.enqueue(mark.job(job=1), process_in=_HOUR)).or_raise()
        keys = [_DEFAULT.task(first.id), _DEFAULT.scheduled]
        await _copied(client, _COPY_TASKS, keys, size, "scheduled", int(time.time()) + 7_200)


async def _scheduled(url: str, _: int) -> Costs:
    async with _front(url) as hx, Redis.from_url(url) as client:
        made: list[str] = []

        async def schedule(number: int) -> None:
            made.append((await hx.jobs.enqueue(mark.job(job=number), process_in=_HOUR)).or_raise().id)

        found = {"schedule": await _cost(_CALLS, schedule)}
        await client.zrem(_DEFAULT.scheduled, *made)
        await client.delete(*(_DEFAULT.task(each) for each in made))
    return found


async def _fill_nothing(_: str, __: int) -> None:
    return


async def _queues(url: str, size: int) -> Costs:
    """One job at a time, into another queue each time, from its enqueue to its end."""
    ended = asyncio.Event()
    tasks = Tasks()

    @tasks.task("bench:one")
    async def one() -> None:
        ended.set()

    names = [f"q{number}" for number in range(size)]
    async with Driver(url, Options(blocking=size + 8)) as driver:
        jobs, worker = Jobs(driver), Worker(driver, tasks, queues=dict.fromkeys(names, 1))
        running = asyncio.create_task(worker.run())
        await worker.started()

        async def call(number: int) -> None:
            ended.clear()
            await jobs.enqueue(one.job(), queue=names[number % size])
            await ended.wait()

        await per_second(1, range(size), call)  # every queue is known and asleep
        found = await _cost(_CALLS // 2, call, 1)
        worker.stop()
        await running
    return {"job in one of the worker's queues": found}


# --- limits, sessions, cache -----------------------------------------------------------------------------------------

_PAUSE = timedelta(days=1)
_LIMIT = Policy("growth", 1_000_000, _PAUSE, "counter")


async def _fill_limits(url: str, size: int) -> None:
    async with _front(url) as hx, Redis.from_url(url) as client:
        await hx.ratelimit.check(_LIMIT, "u", endpoint="/x")
        (key,) = [name.decode() async for name in client.scan_iter("*")]
        head, tail = key.split("{u}", 1)
        await _copied(client, _COPY_KEYS, [key], size, head + "{u", "}" + tail)


async def _limits(url: str, size: int) -> Costs:
    async with _front(url) as hx:

        async def check(number: int) -> None:
            await hx.ratelimit.check(_LIMIT, f"u{_one_of(number, size)}", endpoint="/x")

        return {"limit": await _cost(2 * _CALLS, check)}


async def _fill_sessions(url: str, size: int) -> None:
    async with _front(url) as hx, Redis.from_url(url) as client:
        await hx.tokens.login("u")
        for name in [each.decode() async for each in client.scan_iter("*u}*")]:
            head, tail = name.split("u}", 1)
            await _copied(client, _COPY_KEYS, [name], size, head + "u", "}" + tail)


async def _sessions(url: str, _: int) -> Costs:
    async with _front(url) as hx:
        pairs: list[TokenPair] = []

        async def login(number: int) -> None:
            pairs.append((await hx.tokens.login(f"new{next(_serial)}")).or_raise())

        found = {"login": await _cost(_CALLS // 5, login)}
        await hx.tokens.check(pairs[0].access, mode="strict")
        mine = pairs[:200]
        for pair in mine:
            await hx.tokens.check(pair.access, mode="strict")
        check = await _cost(2 * _CALLS, lambda n: hx.tokens.check(mine[n % 200].access, mode="strict"))
        async with Redis.from_url(url) as client:
            gone = [name async for name in client.scan_iter("*new*", count=10_000)]
            for at in range(0, len(gone), 1_000):
                await client.unlink(*gone[at : at + 1_000])
        return found | {"strict check": check}


async def _fill_cache(url: str, size: int) -> None:
    async with _front(url) as hx, Redis.from_url(url) as client:
        await hx.cache("growth", str, ttl=_PAUSE).set("k", "x" * 500)
        (key,) = [name.decode() async for name in client.scan_iter("*growth:k")]
        await _copied(client, _COPY_KEYS, [key], size, key, "")


async def _cache(url: str, size: int) -> Costs:
    async with _front(url) as hx:
        cache = hx.cache("growth", str, ttl=_PAUSE, timeout=timedelta(seconds=5))
        read = await _cost(2 * _CALLS, lambda n: cache.get(f"k{_one_of(n, size)}"))
        written = await _cost(_CALLS, lambda n: cache.set(f"k{_one_of(n, size)}", "y" * 500))
        return {"cache, read": read, "cache, write": written}


STORIES = (
    Story(
        (
            "enqueue",
            "enqueue in batches",
            "lease and acknowledge",
            "inspector, first page",
            "inspector, queue",
            "explain the next",
            "explain the last",
        ),
        _fill_pending,
        _pending,
    ),
    Story(("schedule",), _fill_scheduled, _scheduled),
    Story(("job in one of the worker's queues",), _fill_nothing, _queues, _QUEUES),
    Story(("limit",), _fill_limits, _limits),
    Story(("login", "strict check"), _fill_sessions, _sessions),
    Story(("cache, read", "cache, write"), _fill_cache, _cache),
)
