"""What the worker's tests share: the whole keyspace as plain values, and tasks put there without a producer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import redis

from hustlex.drivers.aio import Driver
from hustlex.jobs import Tasks
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.wire import TaskMessage, encode_task
from hustlex.worker import Worker

NOW_MS = 1_795_425_653_433
NOW_S = NOW_MS // 1000
DAY = "2026-11-23"
DEFAULT = queue_keys("default")


def dump(raw: redis.Redis, match: str = "asynq:{default}:*") -> dict[str, Any]:
    """Every key that matches, without the common part of the pattern: text, list, set, dict (hash, sorted set)."""
    start, keys = len(match.rstrip("*")), list(raw.scan_iter(match, count=10_000))
    with raw.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.type(key)
        for key, kind in zip(keys, pipe.execute(), strict=True):
            READ[kind](pipe, key)
        held = dict(zip(keys, pipe.execute(), strict=True))
    return {key.decode()[start:]: _plain(value) for key, value in held.items()}


READ: dict[bytes, Callable[[Any, bytes], Any]] = {
    b"string": lambda pipe, key: pipe.get(key),
    b"list": lambda pipe, key: pipe.lrange(key, 0, -1),
    b"set": lambda pipe, key: pipe.smembers(key),
    b"zset": lambda pipe, key: pipe.zrange(key, 0, -1, withscores=True),
    b"hash": lambda pipe, key: pipe.hgetall(key),
}
"""How a key is read, by its type; of a client or a pipeline."""


def _plain(value: Any) -> Any:
    """A sorted set by member; the others are what they are."""
    scored = isinstance(value, list) and value and isinstance(value[0], tuple | list)
    return {member: int(score) for member, score in value} if scored else value


def message(task_id: str, **fields: Any) -> TaskMessage:
    """A task message with Asynq's defaults."""
    defaults: dict[str, Any] = {"type": "a:1", "payload": b"x", "queue": "default", "retry": 25, "timeout": 1800}
    return TaskMessage(**(defaults | fields | {"id": task_id}))


def put(raw: redis.Redis, *tasks: TaskMessage) -> None:
    """Pending tasks, as Go's client would leave them."""
    for task in tasks:
        keys = queue_keys(task.queue)
        raw.sadd("asynq:queues", task.queue)
        fields = {"msg": encode_task(task), "state": "pending", "pending_since": NOW_MS * 1_000_000}
        if task.unique_key:
            raw.set(task.unique_key, task.id, ex=3600)
            fields["unique_key"] = task.unique_key
        raw.hset(keys.task(task.id), mapping=fields)
        raw.lpush(keys.pending, task.id)


class Running:
    """A worker and the task that runs it."""

    def __init__(self, worker: Worker, task: asyncio.Task[None]) -> None:
        self.worker = worker
        self.task = task

    async def stop(self) -> None:
        """Ask it to end and wait for the end."""
        self.worker.stop()
        await self.task


@asynccontextmanager
async def running(driver: Driver, tasks: Tasks, **options: Any) -> AsyncIterator[Running]:
    """A worker on the queue ``default``, stopped at the end."""
    worker = Worker(driver, tasks, **({"queues": {"default": 1}, "concurrency": 10} | options))
    run = Running(worker, asyncio.create_task(worker.run()))
    try:
        yield run
    finally:
        await run.stop()


async def until(condition: Callable[[], Any], seconds: float = 50) -> None:
    """Wait until a condition holds; fails loudly when it does not. Only a failure waits long: machines may be busy."""
    pause = 0.002
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(pause)
            pause = min(pause * 1.05, 0.02)  # who waits for seconds leaves the processor to what it waits for
