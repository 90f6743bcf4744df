"""What the peers keep for the same things; Asynq's layout is also written by hand, as its scripts write it."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Awaitable, Callable
from os import environ
from typing import Any

from redis.asyncio import Redis

from hustlex.jobs.wire import TaskMessage, encode_task

Make = Callable[[str, int, int], Awaitable[None]]
"""url, first, count: make so many things, numbered from first."""

PENDING_LAYOUT, SCHEDULED_LAYOUT = "asynq's layout, pending job", "asynq's layout, scheduled job"
_PREFIX = "asynq:{default}:"
_BODY = b"x" * 500


def _message(number: int, task_id: str) -> bytes:
    payload = b'{"job":%d,"sent_ns":0}' % number
    return encode_task(TaskMessage("bench:mark", payload, task_id, "default", 25, timeout=1800))


async def _pending(url: str, first: int, count: int) -> None:
    async with Redis.from_url(url) as client, client.pipeline(transaction=False) as pipe:
        for number in range(first, first + count):
            task_id = str(uuid.uuid4())
            fields = {"msg": _message(number, task_id), "state": "pending", "pending_since": time.time_ns()}
            pipe.hset(f"{_PREFIX}t:{task_id}", mapping=fields)
            pipe.lpush(f"{_PREFIX}pending", task_id)
        await pipe.execute()


async def _scheduled(url: str, first: int, count: int) -> None:
    async with Redis.from_url(url) as client, client.pipeline(transaction=False) as pipe:
        for number in range(first, first + count):
            task_id = str(uuid.uuid4())
            fields = {"msg": _message(number, task_id), "state": "scheduled"}
            pipe.hset(f"{_PREFIX}t:{task_id}", mapping=fields)
            pipe.zadd(f"{_PREFIX}scheduled", {task_id: int(time.time()) + 3600})
        await pipe.execute()


async def _go(url: str, first: int, count: int) -> None:
    subprocess.run(
        [environ["BENCH_ASYNQ"], "enqueue", url, str(first), str(count), "64"], check=True, capture_output=True
    )


async def _huey(url: str, first: int, count: int) -> None:
    from bench.peers.huey import enqueue

    enqueue(url, {"one": 0, "many": count})


async def _dramatiq(url: str, first: int, count: int) -> None:
    from bench.peers.dramatiq import enqueue

    enqueue(url, {"one": 0, "many": count})


async def _repid(url: str, first: int, count: int) -> None:
    from bench.peers.repid import _TOPIC, _app

    app, server = _app(url)
    async with server.connection():
        for job in range(first, first + count):
            await app.send_message_json(channel="bench", payload={"job": job}, headers=_TOPIC)


async def _cashews(url: str, first: int, count: int) -> None:
    from bench.peers.cashews import _cache

    cache = _cache(url)
    for number in range(first, first + count):
        await cache.set(f"user:{number}", _BODY, expire=3600)
    await cache.close()


async def _sdk(url: str, first: int, count: int) -> None:
    from bench.peers.fastapi_redis_sdk import _MINUTE, _backend

    backend, client = _backend(url)
    for number in range(first, first + count):
        await backend.set(f"user:{number}", _BODY.decode(), ttl=60 * _MINUTE)
    await client.aclose()


async def _sdk_session(url: str, first: int, count: int) -> None:
    """A login by each of so many browsers that carry no cookie."""
    from bench.peers.web import sdk_session

    app = sdk_session(url)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        if message.get("status", 200) != 200:
            raise SystemExit("a login was refused")

    async with app.router.lifespan_context(app):
        for number in range(first, first + count):
            request = {"type": "http", "method": "POST", "path": f"/users/{number}", "query_string": b"", "headers": []}
            await app(request | {"scheme": "http", "http_version": "1.1"}, receive, send)


def _limits(kind: str) -> Make:
    async def make(url: str, first: int, count: int) -> None:
        from bench.peers.limits import connect

        hit, close = connect(url, kind)
        for number in range(first, first + count):
            await hit(f"user{number}")
        await close()

    return make


async def _blacklisted(url: str, first: int, count: int) -> None:
    async with Redis.from_url(url) as client, client.pipeline(transaction=False) as pipe:
        for _ in range(first, first + count):
            pipe.set(f"blacklist:{uuid.uuid4()}", b"1", ex=900)
        await pipe.execute()


async def _by_hand(url: str, first: int, count: int) -> None:
    """An answer as most keep it: JSON with its status, a hash of the request beside it."""
    async with Redis.from_url(url) as client, client.pipeline(transaction=False) as pipe:
        for number in range(first, first + count):
            kept: dict[str, Any] = {"status": 201, "body": _BODY.decode(), "fingerprint": "f" * 64}
            pipe.set(f"idempotency:user{number}:{uuid.uuid4()}", json.dumps(kept), ex=86_400)
        await pipe.execute()


THINGS: dict[str, Make] = {
    PENDING_LAYOUT: _pending,
    SCHEDULED_LAYOUT: _scheduled,
    "huey pending job": _huey,
    "dramatiq pending job": _dramatiq,
    "repid pending job": _repid,
    "idempotency record by hand": _by_hand,
    "revoked token by hand": _blacklisted,
    "cashews cached 500 bytes": _cashews,
    "fastapi-redis-sdk session": _sdk_session,
    "fastapi-redis-sdk cached 500 bytes": _sdk,
    **{f"limits {kind}": _limits(kind) for kind in ("sliding_counter", "moving", "fixed")},
}
GO_THINGS: dict[str, Make] = {"asynq (Go) pending job": _go}
