"""Outcomes that wait for a replica or the disk: told again until it has them, also to a server that took over."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.durability import level
from hustlex.drivers.aio import Driver
from hustlex.errors import ConfigurationError
from hustlex.jobs import Jobs, Tasks
from hustlex.worker import Worker
from tests.conftest import PATIENCE
from tests.support.proxy import Proxy
from tests.support.replicas import ReplicaPair
from tests.worker.support import DEFAULT, until

pytestmark = pytest.mark.one_server


async def test_an_outcome_that_no_replica_has_is_told_again_to_the_server_that_took_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(level._PATIENCE_MS, "replica", 50)
    monkeypatch.setattr("hustlex.worker.worker._FLUSH_S", 0.1)
    tasks = Tasks(worker={"durability": "replica"})
    ran: list[str] = []
    goes_on = asyncio.Event()

    @tasks.task("pay")
    async def pay(to: str) -> None:
        ran.append(to)
        if to == "second":
            await goes_on.wait()

    with ReplicaPair() as pair, Proxy(pair.url) as proxy, redis.Redis.from_url(pair.url) as old:
        async with (
            HustleX(proxy.url, timeout=PATIENCE) as hx,
            Worker(hx.driver, tasks, queues={"default": 1}) as worker,
        ):
            await hx.jobs.enqueue(pay.job(to="first"))
            await until(lambda: ran and not worker.parts.queues[0].held)
            assert old.info("commandstats")["cmdstat_wait"]["calls"] >= 2, "once at its start"
            await hx.jobs.enqueue(pay.job(to="second"))
            await until(lambda: len(ran) == 2)
            pair.lag()
            goes_on.set()
            await until(lambda: "0 of 1 replicas have it" in worker.health.trouble.get("outcomes", ""))
            assert old.zcard(DEFAULT.lease) == 0
            url = pair.fail_over()
            with redis.Redis.from_url(url) as new:
                assert new.zcard(DEFAULT.lease) == 1
                new.config_set("requirepass", urlsplit(pair.url).password or "")
                proxy.lead_to(url)
                await until(lambda: new.zcard(DEFAULT.lease) == 0)
                assert not new.exists(DEFAULT.pending, DEFAULT.active)
    assert ran == ["first", "second"]


async def test_leases_do_not_wait(
    monkeypatch: pytest.MonkeyPatch, faulty: Proxy, jobs: Jobs, tasks: Tasks, raw: redis.Redis
) -> None:
    monkeypatch.setitem(level._PATIENCE_MS, "replica", 20)
    monkeypatch.setattr("hustlex.worker.worker._FLUSH_S", 0.0)
    ran: list[int] = []

    @tasks.task("t")
    async def t(n: int) -> None:
        ran.append(n)

    async with Driver(faulty.url) as driver, Worker(driver, tasks, queues={"default": 1}, durability="replica"):
        with faulty.holding(b"\r\nWAIT\r\n"):
            for count in range(1, 4):
                await jobs.enqueue(t.job(count))
                await until(lambda count=count: len(ran) == count)  # type: ignore[misc]
        await until(lambda: raw.zcard(DEFAULT.lease) == 0)


async def test_no_worker_begins_where_the_server_cannot_do_it(driver: Driver, tasks: Tasks) -> None:
    with pytest.raises(ConfigurationError, match="durability fsync"):
        await Worker(driver, tasks, durability="fsync").run()


async def test_a_worker_on_a_fronts_driver_waits_as_the_fronts_jobs_do(url: str, tasks: Tasks) -> None:
    """Unless it, or its tasks, say otherwise. The other rooms' levels are none of its own."""
    for given in ({"jobs": "fsync"}, {"jobs": "fsync", "pins": "replica"}):
        async with HustleX(url, timeout=PATIENCE, durability=given) as hx:
            with pytest.raises(ConfigurationError, match="durability fsync"):
                await Worker(hx.driver, tasks).run()
            async with Worker(hx.driver, tasks, durability="memory"):
                pass
            async with Worker(hx.driver, Tasks(worker={"durability": "memory"})):
                pass
    async with HustleX(url, timeout=PATIENCE, durability={"pins": "fsync"}) as hx, Worker(hx.driver, tasks):
        pass
