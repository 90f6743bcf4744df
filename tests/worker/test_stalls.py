"""An event loop that stands still: who did it is said, and the worker is not taken for dead while it may still end."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.drivers.blocking import Driver as BlockingDriver
from hustlex.jobs import Job, Jobs, Tasks
from hustlex.jobs.keys import owners
from hustlex.jobs.lease import maintain
from hustlex.worker.maintain.heartbeat import Heartbeat
from tests.support import forked
from tests.support.proxy import Proxy
from tests.worker.support import DEFAULT, Running, running, until

Start = Callable[..., Awaitable[Running]]
BEATS = timedelta(seconds=5)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch knocks twenty times a second."""
    monkeypatch.setattr("hustlex.worker.health.loop_monitor._EVERY_S", 0.05)
    monkeypatch.setattr("hustlex.worker.health.loop_monitor._STUCK_S", 0.05)


def stand_until(condition: Callable[[], Any], seconds: float = 5) -> bool:
    """What no handler should do: wait and let nobody else run."""
    give_up = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < give_up:
        time.sleep(0.005)
    return bool(met)


def alive_until(raw: redis.Redis) -> float:
    """The Unix second after which the only worker counts as dead."""
    ((_, second),) = raw.zrange(owners(DEFAULT), 0, -1, withscores=True)
    return second


async def test_a_loop_that_stands_still_is_told_from_outside_it(
    jobs: Jobs, start: Start, tasks: Tasks, caplog: pytest.LogCaptureFixture, quick: None
) -> None:
    """Nothing in the loop can say so, and nobody may wait for its end."""
    seen: list[str] = []

    @tasks.task("stands")
    async def stands() -> None:
        await asyncio.sleep(0)
        until_s = time.monotonic() + 5
        while not seen and time.monotonic() < until_s:
            time.sleep(0.01)
            seen.extend(record.getMessage() for record in caplog.records if "stands still" in record.getMessage())

    await jobs.enqueue(stands.job())
    run = await start()
    await until(lambda: seen and run.worker.parts.executor.busy == 0)
    assert len(seen) == 1 and "in task type stands" in seen[0] and "test_stalls.py" in seen[0]


async def test_a_worker_whose_loop_stands_still_keeps_its_tasks(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, clock: FixedClock, blocking_driver: Any, quick: None
) -> None:
    """Two minutes of the server's time without one turn of the loop, and others look for the dead all the while."""
    ran: list[str] = []
    recovered: list[Any] = []

    @tasks.task("stands", timeout=timedelta(minutes=5))
    async def stands() -> None:
        ran.append("began")
        for _ in range(24):
            clock.advance(BEATS)
            now_s = clock.now_ms // 1000
            if not stand_until(lambda now_s=now_s: alive_until(raw) == now_s + 10):
                ran.append("taken for dead")
            recovered.extend(blocking_driver.run(maintain.recover(DEFAULT, clock.now_ms)))
            recovered.extend(blocking_driver.run(maintain.claim(DEFAULT, "other:1", clock.now_ms)))
        ran.append("ended")

    @tasks.task("waits")
    async def waits() -> None:
        await asyncio.sleep(0)
        ran.append("waited")

    await jobs.enqueue_many([stands.job(), waits.job()])
    run = await start(clock=clock)
    await until(lambda: raw.get(DEFAULT.processed) == b"2" and not run.worker.parts.queues[0].held)
    assert ran == ["began", "ended", "waited"]
    assert recovered == []
    assert not raw.exists(DEFAULT.retry, DEFAULT.failed, DEFAULT.pending, DEFAULT.active, DEFAULT.lease)


async def test_past_its_deadline_it_keeps_nothing(
    jobs: Jobs,
    start: Start,
    tasks: Tasks,
    raw: redis.Redis,
    clock: FixedClock,
    blocking_driver: BlockingDriver,
    quick: None,
) -> None:
    """A loop that may never move again must not hold its tasks back; what it says later of them is refused."""
    began: list[int] = []
    recovered: list[Any] = []

    @tasks.task("stands", timeout=timedelta(seconds=12))
    async def stands() -> None:
        began.append(1)
        if len(began) > 1:
            return
        for _ in range(2):
            clock.advance(BEATS)
            assert stand_until(lambda: alive_until(raw) == clock.now_ms // 1000 + 10)
        last = alive_until(raw)
        clock.advance(BEATS)
        assert not stand_until(lambda: alive_until(raw) > last, 0.5)
        clock.advance(2 * BEATS)
        recovered.extend(blocking_driver.run(maintain.recover(DEFAULT, clock.now_ms)))

    await jobs.enqueue(stands.job().with_options(task_id="s"))
    run = await start(clock=clock)
    await until(lambda: raw.get(DEFAULT.processed) == b"1" and not run.worker.parts.queues[0].held)
    assert recovered == [b"s"]
    assert len(began) == 2
    assert not raw.exists(DEFAULT.retry, DEFAULT.failed, DEFAULT.pending, DEFAULT.active, DEFAULT.lease)


async def test_a_loop_that_no_handler_holds_is_helped_for_a_minute(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, clock: FixedClock, quick: None
) -> None:
    release = asyncio.Event()

    @tasks.task("waits", timeout=timedelta(hours=1))
    async def waits() -> None:
        await release.wait()

    await jobs.enqueue(waits.job())
    run = await start(clock=clock)
    await until(lambda: run.worker.parts.executor.waiting)
    clock.advance(BEATS)
    assert stand_until(lambda: alive_until(raw) == clock.now_ms // 1000 + 10)
    clock.advance(timedelta(seconds=60))
    last = alive_until(raw)
    assert not stand_until(lambda: alive_until(raw) > last, 0.5)
    release.set()


async def test_a_stall_in_an_outage_is_told_and_survived(
    faulty: Proxy, jobs: Jobs, tasks: Tasks, raw: redis.Redis, caplog: pytest.LogCaptureFixture, quick: None
) -> None:
    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if "cannot keep its leases" in record.getMessage()]

    @tasks.task("stands")
    async def stands() -> None:
        faulty.refuse = True
        faulty.cut()
        stand_until(told)
        faulty.refuse = False

    driver = Driver(faulty.url)
    try:
        async with running(driver, tasks) as run:
            await jobs.enqueue(stands.job())
            await until(lambda: raw.get(DEFAULT.processed) == b"1" and not run.worker.parts.queues[0].held)
    finally:
        await driver.close()
    assert len(told()) == 1
    assert not raw.exists(DEFAULT.retry, DEFAULT.failed, DEFAULT.pending, DEFAULT.active, DEFAULT.lease)


@pytest.mark.timeout(450)
async def test_no_other_worker_takes_what_a_standing_one_has(
    url: str, jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    """In real time, between processes: 14 s, past the 10 after which a worker without a heartbeat is dead."""
    standing = forked.Popen([sys.executable, "-m", "tests.worker.victim", url, "10"])
    try:
        await jobs.enqueue(Job("stand", b'{"seconds":14}', {"task_id": "s"}))
        await until(lambda: raw.llen("test:began") == 1)
        run = await start()
        await until(lambda: raw.get(DEFAULT.processed) == b"1")
        assert run.worker.health.ok
        assert raw.llen("test:began") == raw.llen("test:ended") == 1
        assert not raw.exists(DEFAULT.retry, DEFAULT.failed, DEFAULT.pending, DEFAULT.active, DEFAULT.lease)
    finally:
        standing.terminate()
        assert await asyncio.to_thread(standing.wait, 10) == 0


async def test_a_fault_of_the_watch_ends_nothing(
    jobs: Jobs,
    start: Start,
    tasks: Tasks,
    raw: redis.Redis,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    quick: None,
) -> None:
    """The next stall is watched as if nothing had been."""
    told: list[bool] = []

    @tasks.task("stands")
    async def stands() -> None:
        run.worker.parts.blocks._logged_at.clear()
        wanted = "broke" if not told else "stands still"
        told.append(stand_until(lambda: any(wanted in record.getMessage() for record in caplog.records)))

    run = await start()
    with monkeypatch.context() as patch:
        patch.setattr("hustlex.worker.health.loop_monitor._job_at", lambda _: 1 / 0)
        await jobs.enqueue(stands.job())
        await until(lambda: raw.get(DEFAULT.processed) == b"1")
    caplog.clear()
    await jobs.enqueue(stands.job())
    await until(lambda: raw.get(DEFAULT.processed) == b"2")
    assert told == [True, True]


async def test_a_beat_of_the_watch_does_not_undo_the_goodbye(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    """It is on its way while the loop moves again and the worker ends: nobody may see one that is gone."""
    begun, left, sent = threading.Event(), threading.Event(), threading.Event()
    keep, leave = Heartbeat.keep, Heartbeat.leave

    async def late(heartbeat: Heartbeat, driver: Driver) -> None:
        begun.set()
        left.wait(0.5)  # as long as a network may take; who says goodbye first has not waited for it
        await keep(heartbeat, driver)
        sent.set()

    async def leaves(heartbeat: Heartbeat) -> None:
        await leave(heartbeat)
        left.set()

    monkeypatch.setattr(Heartbeat, "keep", late)
    monkeypatch.setattr(Heartbeat, "leave", leaves)

    @tasks.task("stands")
    async def stands() -> None:
        stand_until(begun.is_set, 30)

    run = await start()
    await jobs.enqueue(stands.job())
    await until(lambda: raw.get(DEFAULT.processed) == b"1")
    await run.stop()
    assert await asyncio.to_thread(sent.wait, 30)
    assert not raw.exists("asynq:servers", owners(DEFAULT))
