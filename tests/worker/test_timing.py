"""Due times, idleness, and the draw between queues."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse
from hustlex.jobs import Jobs, Tasks
from hustlex.jobs.wire import encode_task
from hustlex.worker import Worker, draw
from hustlex.worker.source import Source
from tests.worker.support import DEFAULT, message, running, until

Start = Any


async def test_scheduled_tasks_run_when_they_are_due(start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    late: list[float] = []

    @tasks.task("due")
    async def due(at: int) -> None:
        seconds, micros = raw.time()
        late.append(seconds + micros / 1e6 - at)

    await start()
    now_s = raw.time()[0]
    for n in range(40):  # as Go's client leaves them; nobody is told
        at = now_s + 2 + n % 2
        task = message(f"s{n}", type="due", payload=b'{"at":%d}' % at)
        raw.hset(DEFAULT.task(task.id), mapping={"msg": encode_task(task), "state": "scheduled"})
        raw.zadd(DEFAULT.scheduled, {task.id: at})
    await until(lambda: len(late) == 40)
    assert all(wait >= 0 for wait in late)
    assert sorted(late)[20] < 0.1


async def test_our_own_retries_are_forwarded_on_time(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    attempts: list[float] = []
    loop = asyncio.get_running_loop()

    @tasks.task("again")
    async def again() -> None:
        attempts.append(loop.time())
        if len(attempts) == 1:
            raise ValueError

    await jobs.enqueue(again.job())
    await start(retry_delay=lambda _: timedelta(seconds=1))
    await until(lambda: len(attempts) == 2)
    assert 0 < attempts[1] - attempts[0] < 1.3


async def test_an_idle_worker_sends_at_most_a_command_a_second(
    start: Start, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hustlex.worker.heartbeat._STEADY_S", 0)
    running = await start(queues={"critical": 6, "default": 3, "low": 1})
    await until(lambda: raw.info("clients")["blocked_clients"] == 3)
    running.worker.runners._fed_at -= 60  # idle for a minute
    await running.worker.watcher.tick()
    await asyncio.sleep(1.1)  # the last pass at the pace of a busy worker
    before = _calls(raw)
    await asyncio.sleep(6)
    after = _calls(raw)
    sent = {name: count - before.get(name, 0) for name, count in after.items() if count > before.get(name, 0)}
    assert sum(sent.values()) <= 6, sent


def _calls(raw: redis.Redis) -> dict[str, int]:
    """Commands that clients other than this one sent so far; what scripts call inside is not counted."""
    inside = {
        "cmdstat_zrange",
        "cmdstat_llen",
        "cmdstat_scard",
        "cmdstat_zcard",
        "cmdstat_exists",
        "cmdstat_time",
        "cmdstat_info",
        "cmdstat_setex",
        "cmdstat_del",
        "cmdstat_expire",
        "cmdstat_config|resetstat",
    }
    return {name: stats["calls"] for name, stats in raw.info("commandstats").items() if name not in inside}


def test_the_draw_follows_the_weights() -> None:
    sources = [Source(name, weight) for name, weight in (("critical", 6), ("default", 3), ("low", 1))]
    drawn: Counter[str] = Counter()
    for _ in range(100):
        for source, slots in draw.weighted(sources, 100).items():
            drawn[source.name] += slots
    assert drawn.total() == 10_000
    assert drawn["critical"] == pytest.approx(6000, abs=300)
    assert drawn["default"] == pytest.approx(3000, abs=300)
    assert drawn["low"] == pytest.approx(1000, abs=300)
    assert draw.strict(sources, 100) == {sources[0]: 100}
    assert draw.weighted(sources[2:], 7) == {sources[2]: 7}


async def test_strict_priority_empties_the_highest_queue_first(driver: Driver, tasks: Tasks, raw: redis.Redis) -> None:
    ran: list[str] = []

    @tasks.task("note")
    async def note(queue: str) -> None:
        await asyncio.sleep(0)
        ran.append(queue)

    queues = {"low": 1, "high": 9, "middle": 5}
    await Jobs(driver).enqueue_many(
        [note.job(queue=name).with_options(queue=name) for name in queues for _ in range(50)]
    )
    async with running(driver, tasks, queues=queues, strict=True, concurrency=5):
        await until(lambda: len(ran) == 150)
    assert ran == ["high"] * 50 + ["middle"] * 50 + ["low"] * 50


async def test_due_services_follow_an_injected_clock(driver: Driver, tasks: Tasks, raw: redis.Redis) -> None:
    clock = FixedClock()
    worker = Worker(driver, tasks, queues={"default": 1}, clock=clock)
    now_s = clock() // 1000
    raw.hset(DEFAULT.task("s1"), mapping={"msg": encode_task(message("s1")), "state": "scheduled"})
    raw.zadd(DEFAULT.scheduled, {"s1": now_s + 60})
    raw.hset(DEFAULT.task("c1"), mapping={"msg": b"m", "state": "completed"})
    raw.zadd(DEFAULT.completed, {"c1": now_s + 30})
    assert await worker.forwarder.tick() == pytest.approx(60, abs=0.1)
    await worker.janitor.tick()
    assert raw.exists(DEFAULT.task("c1"))
    clock.advance(timedelta(seconds=30))
    await worker.watcher.tick()
    await worker.janitor.tick()
    assert not raw.exists(DEFAULT.task("c1"))
    clock.advance(timedelta(seconds=30))
    await worker.forwarder.tick()
    assert raw.lrange(DEFAULT.pending, 0, -1) == [b"s1"]


def test_a_worker_needs_slots_and_queues(driver: Driver, tasks: Tasks) -> None:
    for options in ({"concurrency": 0}, {"queues": {}}, {"queues": {"default": 0}}):
        with pytest.raises(Misuse):
            Worker(driver, tasks, **options)
