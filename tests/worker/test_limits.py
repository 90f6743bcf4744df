"""Limits of queues, types and keys: never exceeded, by one worker or by many; what must wait comes again unharmed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse
from hustlex.jobs import Jobs, Limits, Rate, Tasks
from hustlex.jobs.lease import limited as limit
from hustlex.jobs.lease import ops as lease
from hustlex.jobs.wire import decode_task
from hustlex.worker import Reserved
from tests.worker.support import DAY, DEFAULT, NOW_MS, NOW_S, Running, dump, message, put, running, until

Start = Callable[..., Awaitable[Running]]
ONE_S = timedelta(seconds=1)


class Gauge:
    """How many run by name, the most there ever were, and when each started."""

    def __init__(self) -> None:
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.started: list[tuple[str, float]] = []
        self.ended: Counter[str] = Counter()

    async def hold(self, name: str, seconds: float) -> None:
        self.running[name] += 1
        self.most[name] = max(self.most[name], self.running[name])
        self.started.append((name, asyncio.get_running_loop().time()))
        await asyncio.sleep(seconds)
        self.running[name] -= 1
        self.ended[name] += 1

    def busiest(self, span_s: float) -> int:
        """The most starts in any span."""
        times = sorted(at for _, at in self.started)
        return max(sum(1 for at in times if first <= at < first + span_s) for first in times)


@pytest.fixture
def gauge() -> Gauge:
    return Gauge()


def calls(raw: redis.Redis) -> int:
    """Script calls so far."""
    stats = raw.info("commandstats")
    return sum(stats[name]["calls"] for name in ("cmdstat_evalsha", "cmdstat_eval") if name in stats)


# Scripts.


async def test_a_queue_with_limits_leases_within_them(driver: Driver, raw: redis.Redis) -> None:
    put(raw, *(message(f"t{n}") for n in range(10)))
    for _ in range(2):  # as a Go worker takes them
        raw.rpoplpush(DEFAULT.pending, DEFAULT.active)
    limits = Limits(max_concurrency=5, rate=Rate(4, ONE_S))

    async def take(want: int, at_ms: int, rows: tuple[Any, ...] = ()) -> lease.Cycle:
        return await driver.run(limit.cycle(DEFAULT, DAY, f"s:{at_ms}", want, rows, at_ms, limits))

    first = await take(9, NOW_MS)
    assert [len(first.leased) // 2, first.wait_ms] == [3, limit.WHEN_ONE_ENDS]
    ended = (first.leased[0], f"s:{NOW_MS}", "")
    second = await take(9, NOW_MS + 400, ended)  # one has ended: one may follow, the fourth in this second
    assert [second.codes, len(second.leased) // 2, second.wait_ms] == [b"1", 1, 600]
    raw.ltrim(DEFAULT.active, 0, 1)
    third = await take(9, NOW_MS + 500)
    assert [len(third.leased), third.wait_ms] == [0, 500]  # until the first three are a second old
    fourth = await take(2, NOW_MS + 1000)
    assert [len(fourth.leased) // 2, fourth.wait_ms] == [2, 0]
    raw.lpush(DEFAULT.active, "go")
    assert await take(9, NOW_MS + 1001) == lease.Cycle(False, b"", [], limit.WHEN_ONE_ENDS)
    raw.delete(DEFAULT.active)
    last = await take(9, NOW_MS + 2001)
    assert [len(last.leased) // 2, last.wait_ms] == [2, 0]  # all there was
    assert 0 < raw.pttl(DEFAULT.prefix + "x:starts") <= 1000
    raw.set(DEFAULT.paused, 1)
    assert (await take(9, NOW_MS + 9000)).paused


async def test_permits_are_given_until_the_limit_and_come_back(driver: Driver, raw: redis.Redis) -> None:
    limits = Limits(max_concurrency=2)
    gate = DEFAULT.prefix + "x:gate:mail"

    async def ask(*ids: str, ended: tuple[str, ...] = (), holder: str = "s:1") -> limit.Permit:
        rows = [(name.encode(), holder) for name in ids]
        over = [(name.encode(), holder) for name in ended]
        (permit,) = await driver.run(
            limit.permit(DEFAULT, [limit.PermitRequest("mail", limits, rows, over, 90)], NOW_MS)
        )
        return permit

    raw.zadd(DEFAULT.lease, dict.fromkeys("abcdef", NOW_S))
    assert await ask("a", "b", "c") == limit.Permit(2, limit.WHEN_ONE_ENDS)
    assert raw.hgetall(gate) == {b"a": b"s:1", b"b": b"s:1"}
    assert 85 <= raw.ttl(gate) <= 90
    assert await ask("c") == limit.Permit(0, limit.WHEN_ONE_ENDS)
    assert await ask("a") == limit.Permit(1, 0)  # has one already: the answer was lost
    assert await ask("c", ended=("a",)) == limit.Permit(1, 0)
    raw.zrem(DEFAULT.lease, "b")  # its worker died and the task was recovered
    assert await ask("d") == limit.Permit(1, 0)
    assert await ask("e", ended=("c",), holder="s:2") == limit.Permit(0, limit.WHEN_ONE_ENDS)  # c is somebody else's
    assert set(raw.hkeys(gate)) == {b"c", b"d"}


async def test_a_rate_counts_starts_in_every_window(driver: Driver, raw: redis.Redis) -> None:
    async def ask(count: int, at_ms: int) -> limit.Permit:
        limits = Limits(rate=Rate(3, ONE_S))
        asks = [limit.PermitRequest("mail", limits, [(b"x", "s:1")] * count, [], 90)]
        (permit,) = await driver.run(limit.permit(DEFAULT, asks, at_ms))
        return permit

    assert await ask(2, NOW_MS) == limit.Permit(2, 0)
    assert await ask(2, NOW_MS + 600) == limit.Permit(1, 400)
    assert await ask(1, NOW_MS + 999) == limit.Permit(0, 1)
    assert await ask(5, NOW_MS + 1000) == limit.Permit(2, 600)
    assert await ask(1, NOW_MS + 1599) == limit.Permit(0, 1)
    assert await ask(1, NOW_MS + 1600) == limit.Permit(1, 0)
    assert await ask(9, NOW_MS + 60_000) == limit.Permit(3, 1000)


async def test_a_window_of_thousands_is_cleared_at_once(driver: Driver, raw: redis.Redis) -> None:
    async def ask(count: int, at_ms: int) -> limit.Permit:
        limits = Limits(rate=Rate(5000, ONE_S))
        rows = [(b"x", "s:1")] * count
        return (await driver.run(limit.permit(DEFAULT, [limit.PermitRequest("m", limits, rows, [], 90)], at_ms)))[0]

    for n in range(5):
        assert await ask(1000, NOW_MS + n) == limit.Permit(1000, 0)
    assert await ask(1, NOW_MS + 4) == limit.Permit(0, 996)
    assert await ask(1000, NOW_MS + 1004) == limit.Permit(1000, 0)
    assert raw.llen(DEFAULT.prefix + "x:starts:m") == 1000


async def test_a_deferred_task_is_scheduled_unchanged(driver: Driver, raw: redis.Redis) -> None:
    given = message("d1", retried=3, unique_key="asynq:{default}:unique:a:1:x", group_key="g")
    put(raw, given)
    raw.hset(DEFAULT.task("d1"), "group", "g")  # it was taken out of its group to run alone
    before = raw.hget(DEFAULT.task("d1"), "msg")
    await driver.run(lease.cycle(DEFAULT, DAY, "s:1", 1, (), NOW_MS))
    assert await driver.run(limit.defer(DEFAULT, DAY, ("d1", "another:1", 5000), NOW_MS)) == b"0"
    assert await driver.run(limit.defer(DEFAULT, DAY, ("d1", "s:1", 5000, "gone", "s:1", 5000), NOW_MS)) == b"10"
    assert await driver.run(limit.defer(DEFAULT, DAY, ("d1", "s:1", 5000), NOW_MS)) == b"0"
    assert dump(raw) == {
        "t:d1": {b"msg": before, b"state": b"scheduled", b"unique_key": given.unique_key.encode()},
        "scheduled": {b"d1": NOW_S + 6},  # Go's forwarders must not be early
        "x:due": {b"d1": NOW_MS + 5000},
        "x:owners": {b"s": NOW_S + 10},
        "unique:a:1:x": b"d1",
    }


# Workers.


async def test_a_queue_keeps_its_limit_across_workers(
    driver: Driver, jobs: Jobs, tasks: Tasks, gauge: Gauge, raw: redis.Redis
) -> None:
    tasks.task("t")(gauge.hold)
    (task,) = tasks
    await jobs.enqueue_many([task.job("t", 0.01) for _ in range(60)])
    options = {"limits": {"default": Limits(max_concurrency=4)}, "concurrency": 10}
    async with running(driver, tasks, **options), running(driver, tasks, **options):
        await until(lambda: gauge.ended["t"] == 60)
        await until(lambda: not raw.llen(DEFAULT.active))
    assert gauge.most["t"] == 4
    assert raw.get(DEFAULT.processed) == b"60"


async def test_a_full_queue_is_left_alone(driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis) -> None:
    """Pending tasks, free slots, and a limit that forbids them: no polling in a circle."""
    gauge = Gauge()
    tasks.task("t")(gauge.hold)
    (task,) = tasks
    await jobs.enqueue_many([task.job("t", 60) for _ in range(20)])
    async with running(driver, tasks, limits={"default": Limits(max_concurrency=2)}) as run:
        await until(lambda: gauge.running["t"] == 2)
        before = calls(raw)
        await asyncio.sleep(1)
        assert calls(raw) - before < 15
        assert run.worker.health.ok
        run.worker._grace_s = 0


async def test_the_rate_of_a_queue_holds_across_workers(driver: Driver, jobs: Jobs, tasks: Tasks, gauge: Gauge) -> None:
    tasks.task("t")(gauge.hold)
    (task,) = tasks
    await jobs.enqueue_many([task.job("t", 0) for _ in range(35)])
    options = {"limits": {"default": Limits(rate=Rate(10, timedelta(milliseconds=500)))}}
    async with running(driver, tasks, **options), running(driver, tasks, **options):
        await until(lambda: gauge.ended["t"] == 35)
    times = sorted(at for _, at in gauge.started)
    assert gauge.busiest(0.45) <= 10
    assert 1.45 <= times[-1] - times[0] < 2.5  # 35 starts of 10 in half a second


async def test_a_type_keeps_its_limit_across_workers(
    driver: Driver, jobs: Jobs, tasks: Tasks, gauge: Gauge, raw: redis.Redis
) -> None:
    limited = tasks.task("limited", max_concurrency=3)(gauge.hold)
    other = tasks.task("other")(gauge.hold)
    await jobs.enqueue_many([limited.job("limited", 0.02) for _ in range(40)])
    await jobs.enqueue_many([other.job("other", 0.02) for _ in range(40)])
    async with running(driver, tasks, concurrency=8), running(driver, tasks, concurrency=8):
        await until(lambda: gauge.ended == {"limited": 40, "other": 40})
        await until(lambda: not raw.llen(DEFAULT.active))
    assert gauge.most["limited"] == 3 and gauge.most["other"] > 3
    assert raw.get(DEFAULT.processed) == b"80" and not raw.exists(DEFAULT.failed, DEFAULT.retry, DEFAULT.scheduled)


async def test_a_worker_keeps_its_own_limit(driver: Driver, jobs: Jobs, tasks: Tasks, gauge: Gauge) -> None:
    task = tasks.task("t", max_per_worker=2)(gauge.hold)
    await jobs.enqueue_many([task.job("t", 0.01) for _ in range(40)])
    async with running(driver, tasks, concurrency=10):
        await until(lambda: gauge.ended["t"] == 40)
    assert gauge.most["t"] == 2


async def test_every_key_has_the_limit_for_itself(
    driver: Driver, jobs: Jobs, tasks: Tasks, gauge: Gauge, raw: redis.Redis
) -> None:
    task = tasks.task("t", max_concurrency=2, key="name")(gauge.hold)
    await jobs.enqueue_many([task.job(name, 0.01) for name in ("ann", "bob", "cid") for _ in range(15)])
    async with running(driver, tasks, concurrency=10), running(driver, tasks, concurrency=10):
        await until(lambda: gauge.ended.total() == 45)
    assert gauge.most == {"ann": 2, "bob": 2, "cid": 2}
    gates = [key for key in raw.keys("asynq:{default}:x:gate:*") if raw.type(key) == b"hash"]
    assert len(gates) <= 3 and not any(b"ann" in key for key in gates)
    assert all(0 < raw.ttl(key) <= 1800 + 60 for key in gates)


async def test_the_rate_of_a_type_holds_and_is_used(driver: Driver, jobs: Jobs, tasks: Tasks, gauge: Gauge) -> None:
    task = tasks.task("t", rate=Rate(20, timedelta(milliseconds=500)), key=lambda arguments: arguments["name"])(
        gauge.hold
    )
    await jobs.enqueue_many([task.job("t", 0) for _ in range(70)])
    async with running(driver, tasks, concurrency=10), running(driver, tasks, concurrency=10):
        await until(lambda: gauge.ended["t"] == 70)
    assert gauge.busiest(0.45) <= 20
    times = sorted(at for _, at in gauge.started)
    assert times[-1] - times[0] < 5


async def test_a_flood_of_one_tenant_does_not_stop_another(
    driver: Driver, jobs: Jobs, tasks: Tasks, gauge: Gauge, raw: redis.Redis
) -> None:
    """The flood is moved out of the way, unharmed, and comes back by and by."""
    task = tasks.task("t", max_concurrency=2, key="name")(gauge.hold)
    await jobs.enqueue_many([task.job("flood", 0.3) for _ in range(600)])
    await jobs.enqueue(task.job("other", 0))
    async with running(driver, tasks, concurrency=20) as run:
        await until(lambda: gauge.ended["other"] == 1)
        assert gauge.ended["flood"] < 20
        assert run.worker.health.waiting["t"] >= 1
        await until(lambda: gauge.ended["flood"] >= 10)
        assert gauge.most["flood"] == 2
        given_back = raw.zrange(DEFAULT.scheduled, 0, -1)
        assert len(given_back) > 400
        assert {decode_task(raw.hget(DEFAULT.task(name.decode()), "msg")).retried for name in given_back} == {0}
        run.worker._grace_s = 0
    assert not raw.exists(DEFAULT.active, DEFAULT.lease, DEFAULT.retry, DEFAULT.failed)
    assert raw.llen(DEFAULT.pending) + raw.zcard(DEFAULT.scheduled) + int(raw.get(DEFAULT.processed)) == 601


async def test_what_must_wait_costs_next_to_nothing(
    driver: Driver, jobs: Jobs, tasks: Tasks, gauge: Gauge, raw: redis.Redis
) -> None:
    task = tasks.task("t", max_concurrency=1)(gauge.hold)
    await jobs.enqueue_many([task.job("t", 60) for _ in range(300)])
    async with running(driver, tasks, concurrency=20) as run:
        await until(lambda: gauge.running["t"] == 1 and not raw.exists(DEFAULT.pending))
        before = calls(raw)
        await asyncio.sleep(2)
        assert calls(raw) - before < 120  # nothing is known of how long such a task takes
        before = calls(raw)
        await asyncio.sleep(2)
        assert calls(raw) - before < 50
        run.worker._grace_s = 0


async def test_keys_take_turns_within_what_is_leased(driver: Driver, jobs: Jobs, tasks: Tasks, gauge: Gauge) -> None:
    """One slot, ten tasks of one tenant before one each of two others: these do not wait for all ten."""
    task = tasks.task("t", key="name")(gauge.hold)
    await jobs.enqueue_many([task.job("many", 0.01) for _ in range(10)])
    await jobs.enqueue_many([task.job("ann", 0.01), task.job("bob", 0.01)])
    async with running(driver, tasks, concurrency=6):
        await until(lambda: gauge.ended.total() == 12)
    order = [name for name, _ in gauge.started]
    assert {"ann", "bob"} <= set(order[:9])


@pytest.mark.parametrize(
    ("limits", "options"),
    [
        ({"max_concurrency": 2}, {}),
        ({"max_concurrency": 2}, {"queues": {"default": Reserved(2)}}),
        ({"max_concurrency": 2}, {"limits": {"default": Limits(max_per_worker=4)}}),
        ({"max_concurrency": 2}, {"strict": True}),
        ({"key": "name"}, {}),
        ({"rate": Rate(1000)}, {}),
    ],
)
async def test_a_flood_without_limits_does_not_starve_tasks_with_limits(
    driver: Driver, jobs: Jobs, tasks: Tasks, gauge: Gauge, limits: dict[str, Any], options: dict[str, Any]
) -> None:
    flood = tasks.task("flood")(gauge.hold)
    limited = tasks.task("limited", **limits)(gauge.hold)
    before, after = ([flood.job("flood", 0.002) for _ in range(count)] for count in (200, 1500))
    await jobs.enqueue_many([*before, *(limited.job("limited", 0.002) for _ in range(6)), *after])
    async with running(driver, tasks, concurrency=5, **options) as run:
        await until(lambda: gauge.ended["limited"] == 6)
        assert 150 < gauge.ended["flood"] < 800
        run.worker._grace_s = 0


async def test_a_dead_workers_permits_come_back_with_its_tasks(
    driver: Driver, jobs: Jobs, tasks: Tasks, gauge: Gauge, raw: redis.Redis
) -> None:
    task = tasks.task("t", max_concurrency=1)(gauge.hold)
    await jobs.enqueue(task.job("t", 0), task_id="t1")
    raw.hset(DEFAULT.prefix + "x:gate:t", "dead", "gone:1")
    raw.zadd(DEFAULT.lease, {"dead": 4_000_000_000})
    raw.expire(DEFAULT.prefix + "x:gate:t", 100)
    async with running(driver, tasks):
        await asyncio.sleep(0.3)
        assert not gauge.started
        raw.zrem(DEFAULT.lease, "dead")
        await until(lambda: gauge.ended["t"] == 1)


async def test_waiting_tasks_can_be_cancelled_and_are_given_back_at_the_end(
    driver: Driver, jobs: Jobs, tasks: Tasks, gauge: Gauge, raw: redis.Redis
) -> None:
    task = tasks.task("t", max_concurrency=1)(gauge.hold)
    for n in range(4):
        await jobs.enqueue(task.job("t", 60), task_id=f"t{n}")
    async with running(driver, tasks, concurrency=5) as run:
        await until(lambda: gauge.running["t"] == 1 and run.worker.health.waiting == {"t": 3})
        await until(lambda: raw.publish("asynq:cancel", "t2"))
        await until(lambda: raw.zcard(DEFAULT.retry) == 1)
        run.worker._grace_s = 0
    assert raw.lrange(DEFAULT.pending, 0, -1) == [b"t3", b"t1", b"t0"]
    assert not raw.exists(DEFAULT.active, DEFAULT.lease)


async def test_a_payload_that_gives_no_key_fails_as_any_other(
    driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis
) -> None:
    @tasks.task("t", max_concurrency=1, key=lambda arguments: 1 // arguments["n"])
    async def t(n: int) -> None:
        raise AssertionError("must not run")

    await jobs.enqueue(t.job(0), task_id="k1")
    put(raw, message("k2", type="t", payload=b'{"n": "x"}'))
    async with running(driver, tasks):
        await until(lambda: raw.zcard(DEFAULT.retry) == raw.zcard(DEFAULT.archived) == 1)
    assert decode_task(raw.hget(DEFAULT.task("k1"), "msg")).error_msg.startswith("ZeroDivisionError")


async def test_a_handler_that_will_not_stop_keeps_its_place_here(
    driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hustlex.worker.execute.handlers.PATIENCE_MS", 50)
    release = asyncio.Event()
    started: list[str] = []

    @tasks.task("stubborn", max_per_worker=1, timeout=ONE_S)
    async def stubborn(name: str) -> None:
        started.append(name)
        while name == "first" and not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    for name in ("first", "second"):
        await jobs.enqueue(stubborn.job(name), task_id=name)
    async with running(driver, tasks):
        await until(lambda: raw.zcard(DEFAULT.retry) == 1)
        await asyncio.sleep(0.2)
        assert started == ["first"]
        release.set()
        await until(lambda: started == ["first", "second"])


def test_a_key_must_be_a_parameter(tasks: Tasks) -> None:
    with pytest.raises(Misuse, match="tenant"):

        @tasks.task("t", key="tenant")
        async def t(customer: str) -> None: ...
