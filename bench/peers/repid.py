"""repid on Redis streams."""

from __future__ import annotations

import logging
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


def work(url: str, ledger: Ledger) -> None:
    """One process."""
    logging.disable(logging.INFO)
    uvloop.run(_work(url, ledger))


async def _work(url: str, ledger: Ledger) -> None:
    app, server = _app(url)
    router = Router()

    @router.actor(channel="bench")
    async def mark(job: int) -> None:
        ledger.mark(job)

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
