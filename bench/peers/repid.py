"""repid on Redis streams."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Any

import redis
import uvloop
from repid import Repid, Router
from repid.connections.redis import RedisServer

from bench.harness import CALLERS, per_second
from bench.ledger import Ledger

SETTINGS = "uvloop, streams, batch_size=100, tasks_limit=20"
_BATCH = 100
_TASKS = 20
_TOPIC = {"topic": "mark"}


def enqueue(url: str, load: dict[str, int]) -> dict[str, float]:
    """One by one and from 64 callers; it has no batch."""
    return uvloop.run(_enqueue(url, load))


async def _enqueue(url: str, load: dict[str, int]) -> dict[str, float]:
    app, server = _app(url)

    async def send(job: int) -> None:
        await app.send_message_json(channel="bench", payload={"job": job}, headers=_TOPIC)

    async with server.connection():
        many = await per_second(CALLERS, range(load["one"], load["one"] + load["many"]), send)
        one = await per_second(1, range(load["one"]), send)
    return {"enqueue1": one, "enqueue64": many}


def produce(url: str, kind: str, *, jobs: int, gap_ms: float) -> None:
    """pace: one job at a time, with pauses of half to one and a half gaps."""
    uvloop.run(_pace(url, jobs, gap_ms))


async def _pace(url: str, jobs: int, gap_ms: float) -> None:
    app, server = _app(url)
    async with server.connection():
        for job in range(jobs):
            await asyncio.sleep((0.5 + random.random()) * gap_ms / 1000)
            payload = {"job": job, "sent_ns": time.time_ns()}
            await app.send_message_json(channel="bench", payload=payload, headers=_TOPIC)


def work(url: str, ledger: Ledger) -> None:
    """One process."""
    logging.disable(logging.INFO)
    uvloop.run(_work(url, ledger))


async def _work(url: str, ledger: Ledger) -> None:
    app, server = _app(url)
    router = Router()

    @router.actor(channel="bench")
    async def mark(job: int, sent_ns: int = 0) -> None:
        ledger.begin(job, sent_ns)
        ledger.end(job)

    app.include_router(router)
    async with server.connection():
        await app.run_worker(tasks_limit=_TASKS, graceful_shutdown_time=2.0)


def left(client: redis.Redis) -> int:
    """Deliveries without an acknowledgement, and entries never delivered."""
    (group,) = client.xinfo_groups("repid:bench")
    return int(group["pending"]) + int(group["lag"] or 0)


def _app(url: str) -> tuple[Repid, Any]:
    app = Repid()
    server = RedisServer(url, batch_size=_BATCH)
    app.servers.register_server("redis", server, is_default=True)
    return app, server
