"""How a worker ends: nothing lost, nothing counted, the order kept."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import redis

from hustlex.drivers.aio import Driver
from hustlex.jobs import Jobs, Tasks
from hustlex.jobs.wire import decode_server, decode_worker
from tests.worker.support import DEFAULT, dump, message, put, running, until


async def test_what_does_not_end_in_time_is_given_back_in_order(
    driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis
) -> None:
    began: list[int] = []
    cancelled: list[int] = []

    @tasks.task("long")
    async def long(n: int) -> None:
        began.append(n)
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.append(n)

    for n in range(6):
        await jobs.enqueue(long.job(n), task_id=f"t{n}")
    before = dump(raw)
    async with running(driver, tasks, concurrency=4, shutdown_timeout=timedelta(seconds=0.05)) as run:
        await until(lambda: len(began) == 4)
        await run.stop()
    after = dump(raw)
    assert after["pending"] == before["pending"]
    for n in range(6):
        assert after[f"t:t{n}"][b"state"] == b"pending"
        assert after[f"t:t{n}"][b"msg"] == before[f"t:t{n}"][b"msg"]
    assert not {"active", "lease", "processed", "x:owners"} & after.keys()
    assert sorted(cancelled) == began == [0, 1, 2, 3]


async def test_what_ends_within_the_grace_is_acknowledged(
    driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis
) -> None:
    began: list[int] = []
    leave = asyncio.Event()

    @tasks.task("short")
    async def short() -> None:
        began.append(1)
        await leave.wait()

    await jobs.enqueue_many([short.job() for _ in range(9)])
    async with running(driver, tasks, concurrency=3) as run:
        await until(lambda: len(began) == 3)
        run.worker.stop()
        leave.set()
        await run.task
    assert raw.get(DEFAULT.processed) == b"3"
    assert raw.llen(DEFAULT.pending) == 6
    assert not raw.exists(DEFAULT.active, DEFAULT.lease)


async def test_a_hanging_thread_does_not_hold_the_worker_up(driver: Driver, tasks: Tasks, raw: redis.Redis) -> None:
    release = asyncio.Event()
    began: list[int] = []

    @tasks.task("hangs")
    def hangs() -> None:
        import time

        began.append(1)
        while not release.is_set():
            time.sleep(0.01)

    put(raw, message("h1", type="hangs"))
    async with running(driver, tasks, shutdown_timeout=timedelta(seconds=0.05)) as run:
        await until(lambda: began)
        async with asyncio.timeout(30):
            await run.stop()
    release.set()
    assert raw.lrange(DEFAULT.pending, 0, -1) == [b"h1"]
    assert raw.hget(DEFAULT.task("h1"), "state") == b"pending"


async def test_the_registry_shows_the_worker_while_it_runs(
    driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis
) -> None:
    go = asyncio.Event()

    @tasks.task("shown", timeout=timedelta(seconds=60))
    async def shown() -> None:
        await go.wait()

    await jobs.enqueue(shown.job(), task_id="s1")
    async with running(driver, tasks, queues={"default": 3, "low": 1}, concurrency=7) as run:
        await until(lambda: run.worker.parts.executor.waiting)
        await run.worker.parts.heartbeat.tick()
        (name,) = raw.zrange("asynq:servers", 0, -1)
        info = decode_server(raw.get(name))
        assert (info.server_id, info.concurrency, info.queues) == (run.worker.id, 7, {"default": 3, "low": 1})
        assert (info.status, info.active_worker_count, info.strict_priority) == ("active", 1, False)
        assert name == f"asynq:servers:{{{info.host}:{info.pid}:{info.server_id}}}".encode()
        assert 9 <= raw.ttl(name) <= 10
        (workers,) = raw.zrange("asynq:workers", 0, -1)
        shown_worker = decode_worker(raw.hgetall(workers)[b"s1"])
        assert (shown_worker.task_type, shown_worker.queue) == ("shown", "default")
        assert 59 < (shown_worker.deadline_ns - shown_worker.start_time_ns) / 1e9 <= 60
        go.set()
    assert dump(raw, "asynq:servers*") == dump(raw, "asynq:workers*") == {}


async def test_a_cancelled_run_ends_in_order_too(driver: Driver, tasks: Tasks, raw: redis.Redis) -> None:
    began: list[Any] = []

    @tasks.task("long")
    async def long() -> None:
        began.append(1)
        await asyncio.sleep(60)

    put(raw, message("l1", type="long"))
    async with running(driver, tasks, shutdown_timeout=timedelta(0)) as run:
        await until(lambda: began)
        run.task.cancel()
        await asyncio.wait([run.task])
        assert raw.lrange(DEFAULT.pending, 0, -1) == [b"l1"]
        run.task = asyncio.create_task(asyncio.sleep(0))
