"""Redis away: counted attempts, no hot loop, work again when it is back; a restart in mid-drain loses nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.jobs import Jobs, Limits, Rate, Tasks
from tests.support import servers
from tests.support.proxy import Proxy
from tests.worker.support import DEFAULT, running, until


@pytest.fixture
def mortal(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A server of this test's own, which keeps what it has confirmed, to be killed and started again."""
    binary = servers.binary(request.config.getoption("--server"))
    with EmbeddedServer(binary=binary, append_only=True, appendfsync="always") as server:
        yield server


@pytest.mark.parametrize("limited", [False, True])
async def test_attempts_while_redis_is_away_are_few(
    faulty: Proxy, jobs: Jobs, tasks: Tasks, raw: redis.Redis, caplog: pytest.LogCaptureFixture, limited: bool
) -> None:
    """Idle and with work in hand, on three queues: connections are counted where they arrive."""
    ran: Counter[int] = Counter()

    @tasks.task("t", **({"max_concurrency": 5, "rate": Rate(1000)} if limited else {}))  # type: ignore[arg-type]
    async def t(n: int) -> None:
        await asyncio.sleep(0.05)
        ran[n] += 1

    options = {"limits": {"low": Limits(max_concurrency=5)}} if limited else {}
    driver = Driver(faulty.url)
    try:
        async with running(
            driver, tasks, queues={"critical": 6, "default": 3, "low": 1}, concurrency=20, **options
        ) as run:
            await jobs.enqueue_many([t.job(n) for n in range(40)])
            await until(lambda: len(ran) >= 5)
            faulty.refuse = True
            faulty.cut()
            await until(lambda: not run.worker.health.ok)
            before, cpu, began = faulty.connections, time.process_time(), time.monotonic()
            await asyncio.sleep(4)
            seconds = time.monotonic() - began
            assert (faulty.connections - before) / seconds < 15
            assert (time.process_time() - cpu) / seconds < 0.2
            assert any(part.startswith("fetcher") for part in run.worker.health.trouble)
            faulty.refuse = False
            back = time.monotonic()
            await until(lambda: len(ran) == 40 and not run.worker.parts.queues[1].held)
            await jobs.enqueue_many([t.job(n).with_options(queue="low") for n in range(40, 45)])
            await until(lambda: len(ran) == 45 and run.worker.health.ok)
            assert time.monotonic() - back < 20
    finally:
        await driver.close()
    assert set(ran.values()) == {1}
    assert raw.get(DEFAULT.processed) == b"40"
    warnings = Counter(
        record.message.partition(":")[0]
        for record in caplog.records
        if record.name == "hustlex.worker" and record.levelno >= logging.WARNING
    )
    assert max(warnings.values()) <= 2  # each part says it once, a second time at most after a short recovery


async def test_a_worker_may_start_before_redis(faulty: Proxy, jobs: Jobs, tasks: Tasks) -> None:
    ran: list[int] = []

    @tasks.task("t")
    async def t() -> None:
        ran.append(1)

    faulty.refuse = True
    driver = Driver(faulty.url)
    try:
        async with running(driver, tasks) as run:
            await until(lambda: not run.worker.health.ok)
            await jobs.enqueue(t.job())
            faulty.refuse = False
            await until(lambda: ran and run.worker.health.ok)
    finally:
        await driver.close()


@pytest.mark.timeout(450)
async def test_a_server_that_answers_nothing_is_noticed(
    faulty: Proxy, jobs: Jobs, tasks: Tasks, raw: redis.Redis
) -> None:
    """A link that is open and dead: the worst kind, because nothing fails."""
    ran: list[int] = []

    @tasks.task("t")
    async def t() -> None:
        ran.append(1)

    driver = Driver(faulty.url)
    try:
        async with running(driver, tasks) as run:
            await until(lambda: raw.info("clients")["blocked_clients"] == 1)
            faulty.black_hole = True
            await until(lambda: not run.worker.health.ok)
            faulty.black_hole = False
            faulty.cut()  # what was swallowed cannot come later on the same connection
            await jobs.enqueue(t.job())
            await until(lambda: ran and run.worker.health.ok)
    finally:
        await driver.close()


@pytest.mark.timeout(450)
async def test_servers_killed_in_mid_drain_lose_and_repeat_nothing(mortal: EmbeddedServer, tasks: Tasks) -> None:
    ran: Counter[int] = Counter()

    @tasks.task("quick")
    async def quick(n: int) -> None:
        await asyncio.sleep(0.002)
        ran[n] += 1

    @tasks.task("limited", max_concurrency=10, rate=Rate(400), key="n")
    async def limited(n: int) -> None:
        await asyncio.sleep(0.002)
        ran[n] += 1

    driver = Driver(mortal.url)
    try:
        jobs = [(quick if n % 4 else limited).job(n) for n in range(4000)]
        await Jobs(driver).enqueue_many(jobs)
        async with running(driver, tasks, concurrency=20, shutdown_timeout=timedelta(seconds=5)) as run:
            for stage in (500, 1500, 2500):
                await until(lambda stage=stage: len(ran) > stage)
                await asyncio.to_thread(mortal.kill)
                await asyncio.sleep(0.1)
                await asyncio.to_thread(mortal.start)
            await until(lambda: len(ran) == 4000 and not run.worker.parts.queues[0].held)
            await until(lambda: run.worker.health.ok)
    finally:
        await driver.close()
    with redis.Redis.from_url(mortal.url) as raw:
        assert set(ran.values()) == {1}
        assert raw.get(DEFAULT.processed) == b"4000"
        assert not raw.exists(DEFAULT.pending, DEFAULT.active, DEFAULT.lease, DEFAULT.retry, DEFAULT.scheduled)


async def test_a_queue_that_cannot_be_leased_from_is_told_and_harms_no_other(
    jobs: Jobs, driver: Driver, tasks: Tasks, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Its key holds something else, say: the server answers, and refuses each lease."""
    ran: list[int] = []

    @tasks.task("t")
    async def t(n: int) -> None:
        ran.append(n)

    raw.set(DEFAULT.pending, "not a list")
    async with running(driver, tasks, queues={"default": 1, "other": 1}) as run:
        await until(lambda: not run.worker.health.ok)
        for n in range(20):
            await jobs.enqueue(t.job(n).with_options(queue="other"))
            await until(lambda n=n: n in ran)
        before = raw.info("commandstats")["cmdstat_evalsha"]["calls"]
        seen = []
        for _ in range(30):
            await asyncio.sleep(0.1)
            seen.append("WRONGTYPE" in run.worker.health.trouble.get("queue default", ""))
        calls = raw.info("commandstats")["cmdstat_evalsha"]["calls"] - before
        assert all(seen)
        assert calls < 60  # the watcher's looks among them
        raw.delete(DEFAULT.pending)
        await jobs.enqueue(t.job(99))
        await until(lambda: 99 in ran and run.worker.health.ok)
    told = Counter(record.message.partition(":")[0] for record in caplog.records if record.levelno >= logging.WARNING)
    assert told["queue default"] == 1
    assert max(told.values()) == 1
