"""Due times, idleness, and the draw between queues."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse
from hustlex.jobs import Job, Jobs, Tasks
from hustlex.jobs.enqueue.draft import draft
from hustlex.jobs.enqueue.ops import enqueue
from hustlex.jobs.lease import maintain
from hustlex.jobs.wire import encode_task
from hustlex.worker import Worker
from hustlex.worker.clock import WorkerClock
from hustlex.worker.limits import allocation
from hustlex.worker.queue_state import QueueState
from tests.worker.support import DEFAULT, NOW_MS, NOW_S, message, running, until

Start = Any
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    assert sorted(late)[5] < 0.5  # and not the second that a look now and then takes


async def test_our_own_retries_are_forwarded_on_time(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    attempts: list[float] = []
    loop = asyncio.get_running_loop()

    @tasks.task("again")
    async def again() -> None:
        attempts.append(loop.time())
        if len(attempts) == 1:
            raise ValueError

    await jobs.enqueue(again.job())
    await start(retry_delay=timedelta(seconds=1))
    await until(lambda: len(attempts) == 2)
    assert 0 < attempts[1] - attempts[0] < 4  # Go looks every 5 s


async def test_a_due_time_is_kept_to_the_millisecond(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    late_ms: list[float] = []

    @tasks.task("exact")
    async def exact(due_ms: int) -> None:
        seconds, micros = raw.time()
        late_ms.append(seconds * 1000 + micros / 1000 - due_ms)

    await start()
    for _ in range(4):  # a busy machine has a quiet moment in one of them
        late_ms.clear()
        seconds, micros = raw.time()
        now_ms = seconds * 1000 + micros // 1000
        for due_ms in range(now_ms + 300, now_ms + 1500, 37):
            await jobs.enqueue(exact.job(due_ms=due_ms), process_at=_EPOCH + timedelta(milliseconds=due_ms))
        await until(lambda: len(late_ms) == 33)
        assert min(late_ms) >= 0
        if sorted(late_ms)[4] < 50:
            break
    assert sorted(late_ms)[4] < 50  # looking now and then takes a second; the rest is how busy the machine is
    assert raw.keys("*:x:due") == []


async def test_a_retry_waits_as_long_as_it_was_told(jobs: Jobs, start: Start, tasks: Tasks) -> None:
    attempts: list[float] = []
    loop = asyncio.get_running_loop()

    @tasks.task("often")
    async def often() -> None:
        attempts.append(loop.time())
        if len(attempts) < 6:
            raise ValueError

    await jobs.enqueue(often.job())
    await start(retry_delay=timedelta(milliseconds=120))
    await until(lambda: len(attempts) == 6)
    waits = sorted(later - earlier for earlier, later in itertools.pairwise(attempts))
    assert waits[0] >= 0.119
    assert waits[0] < 0.5  # and not the second that a look now and then takes


async def test_a_sleeping_forwarder_is_woken_by_what_is_due_earlier(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = asyncio.Event()
    monkeypatch.setattr("hustlex.worker.maintain.poller._IDLE_S", 60)
    monkeypatch.setattr("hustlex.worker.maintain.poller._BUSY_S", 60)

    @tasks.task("soon")
    async def soon() -> None:
        ran.set()

    await jobs.enqueue(soon.job(), process_in=timedelta(hours=1))
    await start()
    await until(lambda: raw.pubsub_numsub("asynq:{default}:x:due")[0][1] == 1)
    await jobs.enqueue(soon.job(), process_in=timedelta(minutes=1))
    await jobs.enqueue(soon.job(), process_in=timedelta(milliseconds=50))
    async with asyncio.timeout(30):
        await ran.wait()
    assert raw.zcard(DEFAULT.scheduled) == 2


async def test_what_may_have_been_missed_during_a_break_is_looked_for(
    start: Start, tasks: Tasks, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = asyncio.Event()
    monkeypatch.setattr("hustlex.worker.maintain.poller._IDLE_S", 60)
    monkeypatch.setattr("hustlex.worker.maintain.poller._BUSY_S", 60)

    @tasks.task("missed")
    async def missed() -> None:
        ran.set()

    worker = (await start()).worker
    await until(lambda: raw.pubsub_numsub("asynq:{default}:x:due")[0][1] == 1)
    await until(lambda: worker.parts.poller.resting and worker.parts.forwarder.resting)
    data = encode_task(message("m", type="missed", payload=b"{}"))
    raw.hset(DEFAULT.task("m"), mapping={"msg": data, "state": "scheduled"})
    raw.zadd(DEFAULT.scheduled, {"m": raw.time()[0]})  # nobody is told
    assert raw.client_kill_filter(_type="pubsub") == 1
    async with asyncio.timeout(30):
        await ran.wait()


def test_only_a_new_first_task_is_announced(url: str, blocking_driver: Any, raw: redis.Redis) -> None:
    told = raw.pubsub(ignore_subscribe_messages=True)
    told.subscribe("asynq:{default}:x:due")
    told.get_message(timeout=30)
    for number, wait_ms in enumerate([5000, 5000, 4999, 6000, 10]):
        draft_ = draft(Job("t"), {"process_in": timedelta(milliseconds=wait_ms)}, f"t{number}")
        blocking_driver.run(enqueue([draft_], f"token{number}", NOW_MS))
    heard = [told.get_message(timeout=30) for _ in range(3)]
    assert [int(message["data"]) - NOW_MS for message in heard if message] == [5000, 4999, 10]
    assert told.get_message(timeout=0) is None
    assert 60 < raw.ttl("asynq:{default}:x:due") <= 66
    told.close()


async def test_what_is_far_off_has_no_entry_and_starts_by_its_second(driver: Driver, raw: redis.Redis) -> None:
    """An entry is 120 bytes, a quarter of the job."""
    jobs = Jobs(driver, clock=FixedClock(NOW_S * 1000))
    await jobs.enqueue("a:1", process_in=timedelta(milliseconds=60_001))
    await jobs.enqueue("a:1", process_in=timedelta(milliseconds=60_000))
    assert raw.zcard("asynq:{default}:x:due") == 1
    moved = [
        (await driver.run(maintain.forward(DEFAULT, NOW_S * 1000 + at))).moved
        for at in (59_999, 60_000, 60_999, 61_000)
    ]
    assert moved == [0, 1, 0, 1]


async def test_forwarding_obeys_the_sets_that_asynq_knows(driver: Driver, jobs: Jobs, raw: redis.Redis) -> None:
    """What Go, or an inspector, moved, deleted or scheduled anew is not forwarded by an entry of ours left behind."""
    clock = FixedClock(NOW_MS)
    jobs = Jobs(driver, clock=clock)
    for number, name in enumerate(("deleted", "moved", "again", "ours")):
        await jobs.enqueue("a:1", task_id=name, process_in=timedelta(milliseconds=200 + number))
    raw.zrem(DEFAULT.scheduled, "deleted", "moved")
    raw.delete(DEFAULT.task("deleted"))
    raw.zadd(DEFAULT.scheduled, {"again": NOW_S + 5})
    early = await driver.run(maintain.forward(DEFAULT, NOW_MS + 199))
    assert (early.moved, early.due_ms) == (0, NOW_MS + 200)
    ripe = await driver.run(maintain.forward(DEFAULT, NOW_MS + 203))
    assert (ripe.moved, ripe.due_ms) == (1, (NOW_S + 5) * 1000)
    assert raw.lrange(DEFAULT.pending, 0, -1) == [b"ours"]
    assert raw.zrange(DEFAULT.scheduled, 0, -1) == [b"again"]


async def test_tasks_of_one_second_are_forwarded_in_order_a_hundred_at_a_time(driver: Driver, raw: redis.Redis) -> None:
    order = list(range(250))
    random.Random(5).shuffle(order)
    jobs = Jobs(driver, clock=FixedClock(NOW_S * 1000))
    await jobs.enqueue_many(
        [Job("a:1", None, {"task_id": f"{n}", "process_in": timedelta(milliseconds=300 + n)}) for n in order]
    )
    moved = [(await driver.run(maintain.forward(DEFAULT, NOW_S * 1000 + 519))).moved for _ in range(4)]
    assert moved == [100, 100, 20, 0]
    assert raw.lrange(DEFAULT.pending, 0, -1)[::-1] == [b"%d" % n for n in range(220)]


async def test_entries_of_a_queue_without_our_workers_do_not_pile_up(driver: Driver, raw: redis.Redis) -> None:
    clock = FixedClock(NOW_MS)
    jobs = Jobs(driver, clock=clock)
    for _ in range(30):
        await jobs.enqueue("a:1", process_in=timedelta(milliseconds=100))
        clock.advance(timedelta(milliseconds=500))
    assert raw.zcard(DEFAULT.scheduled) == 30
    assert raw.zcard("asynq:{default}:x:due") <= 4


@pytest.mark.one_server
async def test_an_idle_worker_sends_at_most_a_command_a_second(
    start: Start, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hustlex.worker.maintain.heartbeat._STEADY_S", 0)
    running = await start(queues={"critical": 6, "default": 3, "low": 1})
    await until(lambda: raw.info("clients")["blocked_clients"] == 3)
    running.worker.parts.executor._fed_at -= 60  # idle for a minute
    await running.worker.parts.poller.tick()
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
    sources = [QueueState(name, weight) for name, weight in (("critical", 6), ("default", 3), ("low", 1))]
    drawn: Counter[str] = Counter()
    for _ in range(100):
        for source, slots in allocation.weighted(sources, 100).items():
            drawn[source.name] += slots
    assert drawn.total() == 10_000
    assert drawn["critical"] == pytest.approx(6000, abs=300)
    assert drawn["default"] == pytest.approx(3000, abs=300)
    assert drawn["low"] == pytest.approx(1000, abs=300)
    assert allocation.by_rank(sources, 100) == {sources[0]: 100}
    assert allocation.weighted(sources[2:], 7) == {sources[2]: 7}


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
    assert await worker.parts.forwarder.tick() == pytest.approx(60, abs=0.1)
    await worker.parts.janitor.tick()
    assert raw.exists(DEFAULT.task("c1"))
    clock.advance(timedelta(seconds=30))
    await worker.parts.poller.tick()
    await worker.parts.janitor.tick()
    assert not raw.exists(DEFAULT.task("c1"))
    clock.advance(timedelta(seconds=30))
    await worker.parts.forwarder.tick()
    assert raw.lrange(DEFAULT.pending, 0, -1) == [b"s1"]


def test_a_worker_needs_slots_and_queues(driver: Driver, tasks: Tasks) -> None:
    for options in ({"concurrency": 0}, {"queues": {}}, {"queues": {"default": 0}}):
        with pytest.raises(Misuse):
            Worker(driver, tasks, **options)


def test_a_slow_answer_moves_a_clock_no_further_than_it_proves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first beat opens a connection: the middle of so long a call is no moment to believe in."""
    still = SimpleNamespace(monotonic=lambda: 100.0, time=lambda: 1_100.0)
    monkeypatch.setattr("hustlex.worker.clock.time", still)
    clock = WorkerClock(lambda: 0)
    clock.learn(1_100_001, 100.0, 100.05)  # read at once, heard late
    assert clock.now_ms() == 1_100_000
    clock.learn(1_100_049, 100.0, 100.05)  # asked early, read late
    assert clock.now_ms() == 1_100_000
    clock.learn(5_000_000, 100.0, 100.002)  # our wall clock was wrong
    assert 4_999_997 <= clock.now_ms() <= 5_000_001
    clock.learn(4_000_000, 100.0, 100.002)
    assert 3_999_997 <= clock.now_ms() <= 4_000_001
