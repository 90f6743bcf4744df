"""Broken links, lost replies, a server that is away: no task lost, none acknowledged for another, no hot loop."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis

from hustlex.core.lua import load
from hustlex.drivers.aio import Driver
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import Full
from hustlex.jobs import Jobs, Tasks
from hustlex.jobs.lease import ops as lease
from hustlex.jobs.wire import decode_task, encode_task
from hustlex.worker import Worker
from hustlex.worker.clock import monotonic
from tests.support import servers
from tests.support.proxy import Proxy
from tests.worker.support import DAY, DEFAULT, NOW_MS, dump, message, put, running, until


def count(tasks: Tasks, seconds: float = 0.002) -> list[int]:
    """A task that notes each run."""
    ran: list[int] = []

    @tasks.task("count")
    async def note(n: int) -> None:
        await asyncio.sleep(seconds)
        ran.append(n)

    return ran


async def test_a_server_that_refuses_to_wait_is_not_asked_all_the_time(
    url: str, jobs: Jobs, tasks: Tasks, raw: redis.Redis
) -> None:
    """As when its memory is full: the queue is looked at instead, now and then."""
    ran = count(tasks)
    (note,) = tasks
    raw.acl_setuser("deaf", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+@all", "-blmove"])
    driver = Driver(re.sub(r"//.*@", "//deaf:x@", url))
    try:
        async with running(driver, tasks) as run:
            await until(lambda: "waiter default" in run.worker.health.trouble)
            await jobs.enqueue(note.job(1))
            await until(lambda: ran == [1])
            raw.config_resetstat()
            await asyncio.sleep(1)
            assert raw.info("commandstats")["cmdstat_blmove"]["rejected_calls"] <= 6
            assert run.worker.health.trouble
    finally:
        await driver.close()
        raw.acl_deluser("deaf")


async def test_connections_cut_in_mid_run_lose_and_repeat_nothing(
    driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis
) -> None:
    ran = count(tasks)
    (note,) = tasks
    await jobs.enqueue_many([note.job(n) for n in range(1500)])
    async with running(driver, tasks, concurrency=20) as run:
        for stage in range(1, 6):
            await until(lambda stage=stage: len(ran) > stage * 200)
            raw.client_kill_filter(_type="normal", skipme=True)
        await until(lambda: len(ran) >= 1500 and not run.worker.parts.queues[0].held)
    assert sorted(ran) == list(range(1500))
    assert raw.get(DEFAULT.processed) == b"1500"
    assert not raw.exists(DEFAULT.active, DEFAULT.lease, DEFAULT.retry)


@pytest.mark.parametrize("lost", ["cycle", "done"])
async def test_a_lost_reply_is_made_good(faulty: Proxy, jobs: Jobs, tasks: Tasks, raw: redis.Redis, lost: str) -> None:
    """The script ran and its answer vanished: a lease is found again, an acknowledgement repeated."""
    ran = count(tasks)
    (note,) = tasks
    script = load("hustlex.jobs", f"lease/{lost}")
    driver = Driver(faulty.url)
    try:
        async with running(driver, tasks, concurrency=5) as run:
            for stage in range(1, 5):
                faulty.lose_reply(containing=script.sha1.encode())
                await jobs.enqueue_many([note.job(n) for n in range(stage * 20 - 20, stage * 20)])
                await until(lambda stage=stage: len(ran) >= stage * 20 and not run.worker.parts.queues[0].held)
    finally:
        await driver.close()
    assert sorted(ran) == list(range(80))
    assert raw.get(DEFAULT.processed) == b"80"
    assert not raw.exists(DEFAULT.active, DEFAULT.lease)


@pytest.fixture
def mortal(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A server of this test's own, which keeps what it has confirmed, to be killed and started again."""
    binary = servers.binary(request.config.getoption("--server"))
    with EmbeddedServer(binary=binary, append_only=True, appendfsync="always") as server:
        yield server


async def test_outcomes_wait_for_a_server_that_is_away(
    mortal: EmbeddedServer, tasks: Tasks, caplog: pytest.LogCaptureFixture
) -> None:
    """Handlers end while Redis is dead: their acknowledgements are kept, nothing spins, health says so, once."""
    ran = count(tasks, 0.3)
    (note,) = tasks
    driver = Driver(mortal.url)
    try:
        await Jobs(driver).enqueue_many([note.job(n) for n in range(5)])
        async with running(driver, tasks, concurrency=5) as run:
            await until(lambda: len(run.worker.parts.executor.waiting) == 5)
            await asyncio.to_thread(mortal.kill)
            await until(lambda: len(ran) == 5)
            await until(lambda: any(part.startswith("fetcher") for part in run.worker.health.trouble))
            cpu = time.process_time()
            await asyncio.sleep(0.5)
            assert time.process_time() - cpu < 0.25
            await asyncio.to_thread(mortal.start)
            await until(lambda: not run.worker.parts.queues[0].held and run.worker.health.ok)
            await Jobs(driver).enqueue_many([note.job(n) for n in range(5, 10)])
            await until(lambda: len(ran) == 10)
    finally:
        await driver.close()
    with redis.Redis.from_url(mortal.url) as raw:
        assert sorted(ran) == list(range(10))
        assert raw.get(DEFAULT.processed) == b"10"
        assert not raw.exists(DEFAULT.active, DEFAULT.lease, DEFAULT.retry)
    warnings = [
        record for record in caplog.records if "fetcher" in record.message and record.levelno >= logging.WARNING
    ]
    assert 1 <= len(warnings) <= 2


async def test_nothing_is_written_for_a_lease_that_lapsed(
    driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis
) -> None:
    cancelled: list[str] = []
    told: list[str] = []

    @tasks.task("long")
    async def long() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.append("x")

    await jobs.enqueue(long.job(), task_id="l1")
    async with running(driver, tasks, error_handler=lambda _, error: told.append(str(error))) as run:
        await until(lambda: run.worker.parts.executor.waiting)
        before = dump(raw)
        for job in run.worker.parts.queues[0].held.values():
            job.lease_until = monotonic() - 1
        await run.worker.parts.heartbeat.tick()
        await until(lambda: told)
        assert told == ["asynq: task lease expired"] and cancelled
        assert dump(raw)["lease"] == before["lease"]
    after = dump(raw)
    assert after["active"] == [b"l1"] and after["t:l1"] == before["t:l1"]
    assert "processed" not in after


async def test_a_task_that_somebody_else_took_is_let_go(
    driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis
) -> None:
    go = asyncio.Event()

    @tasks.task("long")
    async def long() -> None:
        await go.wait()

    await jobs.enqueue(long.job(), task_id="l1")
    async with running(driver, tasks) as run:
        await until(lambda: run.worker.parts.executor.waiting)
        raw.hset(DEFAULT.task("l1"), "owner", "another:1")
        go.set()  # the handler ends before the next heartbeat would notice
        await until(lambda: not run.worker.parts.queues[0].held)
    assert raw.lrange(DEFAULT.active, 0, -1) == [b"l1"]
    assert raw.hget(DEFAULT.task("l1"), "owner") == b"another:1"
    assert not raw.exists(DEFAULT.processed)


async def test_leases_of_waiting_and_running_tasks_are_extended(
    driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis
) -> None:
    count(tasks, 60)
    (note,) = tasks
    await jobs.enqueue_many([note.job(n) for n in range(3)])
    async with running(driver, tasks, concurrency=3) as run:
        await until(lambda: len(run.worker.parts.executor.waiting) == 3)
        for task_id in raw.lrange(DEFAULT.active, 0, -1):
            raw.zadd(DEFAULT.lease, {task_id: 1})
        await run.worker.parts.heartbeat.tick()
        scores = dump(raw)["lease"].values()
        now_s = run.worker.parts.clock.now_ms() // 1000
        assert len(scores) == 3 and all(now_s + 28 <= score <= now_s + 31 for score in scores)
        run.worker._grace_s = 0


async def test_a_crashed_go_workers_task_fails_with_gos_text(driver: Driver, tasks: Tasks, raw: redis.Redis) -> None:
    put(raw, message("g1"), message("g2", retry=0))
    for task_id in ("g1", "g2"):
        raw.rpoplpush(DEFAULT.pending, DEFAULT.active)
        raw.hset(DEFAULT.task(task_id), "state", "active")
    raw.zadd(DEFAULT.lease, {"g1": 1_700_000_000, "g2": 1_700_000_000})
    async with running(driver, tasks):
        await until(lambda: raw.zcard(DEFAULT.retry) == raw.zcard(DEFAULT.archived) == 1)
    assert decode_task(raw.hget(DEFAULT.task("g1"), "msg")).error_msg == "asynq: task lease expired"
    assert decode_task(raw.hget(DEFAULT.task("g1"), "msg")).retried == 1
    assert decode_task(raw.hget(DEFAULT.task("g2"), "msg")).error_msg == "asynq: task lease expired"


async def nothing(_: object) -> None: ...


async def test_nobody_is_called_dead_right_after_an_outage(driver: Driver, tasks: Tasks, raw: redis.Redis) -> None:
    """After Redis was away, everybody's sign of life is old; the living must get the time to show theirs."""
    put(raw, message("t1"))
    await driver.run(lease.cycle(DEFAULT, DAY, "old:1", 1, (), NOW_MS))
    worker = Worker(driver, tasks, queues={"default": 1})
    now = [100.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hustlex.worker.maintain.heartbeat.monotonic", lambda: now[0])
        worker.parts.recoverer._expired = nothing  # type: ignore[method-assign]  # the lease ended long ago as well
        await worker.parts.heartbeat.tick()
        assert await worker.parts.recoverer.tick() == pytest.approx(6)
        now[0] += 5.9
        await worker.parts.heartbeat.tick()
        assert await worker.parts.recoverer.tick() == pytest.approx(0.1)
        assert raw.llen(DEFAULT.active) == 1
        now[0] += 30  # no beat got through for half a minute
        assert await worker.parts.recoverer.tick() == 6
        worker.parts.recoverer._expired = nothing  # type: ignore[method-assign]  # the lease ended long ago as well
        await worker.parts.heartbeat.tick()
        assert await worker.parts.recoverer.tick() == pytest.approx(6)
        now[0] += 6
        await worker.parts.heartbeat.tick()
        await worker.parts.recoverer.tick()
    assert raw.lrange(DEFAULT.pending, 0, -1) == [b"t1"]
    assert raw.hget(DEFAULT.task("t1"), "crashes") == b"1"


async def test_a_full_server_is_drained(driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis) -> None:
    """Nothing new fits; what is there is leased, extended, forwarded, finished, retried, and its worker is seen."""
    ran = count(tasks)
    (note,) = tasks

    @tasks.task("fails", max_retry=1)
    async def fails() -> None:
        raise ValueError

    await jobs.enqueue_many([note.job(n) for n in range(200)] + [fails.job()] * 3)
    scheduled = message("s1", type="count", payload=b'{"n":200}')
    raw.hset(DEFAULT.task("s1"), mapping={"msg": encode_task(scheduled), "state": "scheduled"})
    raw.zadd(DEFAULT.scheduled, {"s1": 1})
    raw.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(Full):
            await jobs.enqueue(note.job(1))
        async with running(driver, tasks, retry_delay=timedelta(0)) as run:
            await until(lambda: len(ran) == 201 and raw.zcard(DEFAULT.archived) == 3)
            await until(lambda: not any(queue.held for queue in run.worker.parts.queues))  # else they are named anew
            raw.delete("asynq:servers")
            await run.worker.parts.heartbeat.tick()
            assert raw.zcard("asynq:servers") == 1  # listed among those that live, as one that lives
    finally:
        raw.config_set("maxmemory", 0)
    assert not raw.exists(DEFAULT.active, DEFAULT.lease)
