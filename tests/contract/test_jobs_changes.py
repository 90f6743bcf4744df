"""The inspector's changes on a real server: another payload, another start, a queue removed with all that is in it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.errors import Conflict, Misuse, NotFound
from hustlex.jobs import Duplicate, Enqueued, Jobs, State
from hustlex.jobs.inspect.change import update
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease import finish, maintain
from hustlex.jobs.lease import limited as limit
from hustlex.jobs.lease import ops as lease
from hustlex.jobs.wire import decode_task
from tests.conftest import LONG

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
Q = queue_keys("low")
TODAY = "2026-01-01"


def stored(raw: redis.Redis, task_id: str) -> Any:
    return decode_task(raw.hget(Q.task(task_id), "msg"))


async def in_state(hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock, state: State, task_id: str) -> None:
    """A task of the queue, brought into a state by the ways there are. The queue must be empty for some."""
    options: dict[str, Any] = {"task_id": task_id, "queue": "low", "unique_for": HOUR, "unique_key": task_id}
    if state is State.SCHEDULED:
        options["process_in"] = MINUTE
    if state is State.AGGREGATING:
        options["group"] = f"g{task_id[-1]}"
    assert isinstance(await hx.jobs.enqueue("t", b"p", **options), Enqueued)
    if state in (State.ACTIVE, State.RETRY, State.ARCHIVED, State.COMPLETED):
        assert (await driver.run(lease.cycle(Q, TODAY, f"w{task_id}:1", 1, (), clock()))).leased[0] == task_id.encode()
        message, holder = raw.hget(Q.task(task_id), "msg"), f"w{task_id}:1"
        end = {
            State.RETRY: lambda: finish.retry(Q, TODAY, (task_id, holder, 60_000, message, 1), clock()),
            State.ARCHIVED: lambda: finish.archive(Q, TODAY, (task_id, holder, message), clock()),
            State.COMPLETED: lambda: finish.complete(Q, TODAY, (task_id, holder, 60, message, ""), clock()),
        }.get(state)
        if end:
            await driver.run(end())


# -- another payload


@pytest.mark.parametrize(
    ("given", "kept"), [(b"new", b"new"), ({"a": 1}, b'{"a":1}'), (None, None), ("text", b'"text"'), (b"", None)]
)
async def test_update_payload_of_a_scheduled_task(hx: Any, raw: redis.Redis, given: Any, kept: bytes | None) -> None:
    options = {"queue": "low", "process_in": MINUTE, "max_retry": 3, "headers": {"a": "b"}, "retention": HOUR}
    await hx.jobs.enqueue("t", b"old", task_id="x", unique_for=HOUR, **options)
    before, where = stored(raw, "x"), raw.zscore(Q.scheduled, "x")
    await hx.jobs.inspector.update_payload("low", "x", given)
    after = stored(raw, "x")
    assert after.payload == kept
    assert (after.id, after.retry, after.headers, after.unique_key) == (before.id, 3, {"a": "b"}, before.unique_key)
    assert raw.zscore(Q.scheduled, "x") == where
    assert await hx.jobs.enqueue("t", b"old", unique_for=HOUR, queue="low") == Duplicate("x", "low")


@pytest.mark.parametrize("state", [state for state in State if state is not State.SCHEDULED])
async def test_only_scheduled_tasks_can_be_changed(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock, state: State
) -> None:
    await in_state(hx, driver, raw, clock, state, "x")
    before = raw.hgetall(Q.task("x"))
    with pytest.raises(Conflict):
        await hx.jobs.inspector.update_payload("low", "x", b"new")
    assert raw.hgetall(Q.task("x")) == before


async def test_what_is_not_there_cannot_be_changed(hx: Any, raw: redis.Redis) -> None:
    for change in (
        hx.jobs.inspector.update_payload("low", "x", b"new"),
        hx.jobs.inspector.reschedule("low", "x", process_in=MINUTE),
        hx.jobs.inspector.delete_queue("low"),
    ):
        with pytest.raises(NotFound):
            await change
    assert raw.dbsize() == 0


async def test_update_payload_loses_no_change_in_between(hx: Any, driver: Driver, raw: redis.Redis) -> None:
    await hx.jobs.enqueue("t", b"1", task_id="x", queue="low", process_in=MINUTE)
    was = raw.hget(Q.task("x"), "msg")
    await hx.jobs.inspector.update_payload("low", "x", b"2")
    assert not await driver.run(update("low", "x", was, was))
    assert stored(raw, "x").payload == b"2"
    await asyncio.gather(*(hx.jobs.inspector.update_payload("low", "x", b"%d" % n) for n in range(15)))
    assert stored(raw, "x").payload in {b"%d" % n for n in range(15)}


# -- another start


@pytest.mark.parametrize("state", [State.SCHEDULED, State.RETRY])
async def test_a_waiting_task_gets_another_start(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock, state: State
) -> None:
    await in_state(hx, driver, raw, clock, state, "x")
    now_s = clock.now_ms // 1000
    for start, at_s in (
        ({"process_in": HOUR}, now_s + 3600),
        ({"process_in": 1.5 * SECOND}, now_s + 2),
        ({"process_at": datetime.fromtimestamp(now_s + 77, UTC)}, now_s + 77),
        ({"process_at": datetime(2020, 1, 1, tzinfo=UTC)}, now_s),
        ({"process_in": timedelta(0)}, now_s),
    ):
        await hx.jobs.inspector.reschedule("low", "x", **start)
        assert raw.zscore(Q.prefix + state.value, "x") == at_s
        assert (await hx.jobs.inspector.task("low", "x")).state is state
    assert (await driver.run(maintain.forward(Q, clock()))).moved == 1
    assert raw.lrange(Q.pending, 0, -1) == [b"x"]


async def test_it_starts_at_its_millisecond(hx: Any, driver: Driver, clock: FixedClock) -> None:
    await hx.jobs.enqueue("t", task_id="x", queue="low", process_in=HOUR)
    await hx.jobs.inspector.reschedule("low", "x", process_in=timedelta(milliseconds=1200))
    clock.advance(timedelta(milliseconds=1199))
    assert (await driver.run(maintain.forward(Q, clock()))).moved == 0
    clock.advance(timedelta(milliseconds=1))
    assert (await driver.run(maintain.forward(Q, clock()))).moved == 1


@pytest.mark.parametrize("state", [state for state in State if state not in (State.SCHEDULED, State.RETRY)])
async def test_reschedule_leaves_alone_what_does_not_wait(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock, state: State
) -> None:
    await in_state(hx, driver, raw, clock, state, "x")
    with pytest.raises(Conflict):
        await hx.jobs.inspector.reschedule("low", "x", process_in=MINUTE)
    assert not raw.exists(Q.scheduled, Q.retry)


@pytest.mark.parametrize("start", [{}, {"process_in": MINUTE, "process_at": datetime(2030, 1, 1, tzinfo=UTC)}])
async def test_reschedule_needs_one_start(hx: Any, start: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        await hx.jobs.inspector.reschedule("low", "x", **start)


async def test_reschedule_takes_the_lock_along(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.enqueue("t", task_id="x", queue="low", process_in=MINUTE, unique_for=MINUTE)
    lock = Q.unique("t", None)
    await hx.jobs.inspector.reschedule("low", "x", process_in=HOUR)
    assert 3655 <= raw.ttl(lock) <= 3661
    await hx.jobs.inspector.reschedule("low", "x", process_in=SECOND)
    assert 3655 <= raw.ttl(lock) <= 3661
    raw.set(lock, "another", ex=60)
    await hx.jobs.inspector.reschedule("low", "x", process_in=HOUR)
    assert raw.ttl(lock) <= 60


# -- a queue removed


@pytest.mark.parametrize("state", [State.PENDING, State.SCHEDULED, State.RETRY, State.ARCHIVED, State.AGGREGATING])
async def test_delete_queue_with_tasks_by_force_only(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock, state: State
) -> None:
    await in_state(hx, driver, raw, clock, state, "x")
    before = {key: raw.dump(key) for key in raw.scan_iter()}
    with pytest.raises(Conflict):
        await hx.jobs.inspector.delete_queue("low")
    assert {key: raw.dump(key) for key in raw.scan_iter()} == before
    await hx.jobs.inspector.delete_queue("low", force=True)
    assert not rest(raw)


async def test_delete_queue_with_finished_tasks(hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock) -> None:
    await in_state(hx, driver, raw, clock, State.COMPLETED, "x")
    await hx.jobs.inspector.delete_queue("low")
    assert not rest(raw)


async def test_delete_queue_with_many_groups_looks_at_some_at_a_time(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.enqueue("t", queue="low", group="g0")
    with raw.pipeline(transaction=False) as pipe:
        for n in range(3_000):
            pipe.zadd(f"asynq:{{low}}:g:g{n}", {f"x{n}": 1})
            pipe.sadd("asynq:{low}:groups", f"g{n}")
        pipe.sadd("asynq:{low}:groups", "empty")
        pipe.execute()
    await hx.jobs.limit_queue("low", max_size=10_000)
    await hx.jobs.enqueue("t", queue="low", group="g1")
    assert raw.exists("asynq:{low}:x:grouped"), "what a limit has counted goes, too: the next queue has other groups"
    before = raw.info("commandstats")["cmdstat_zcard"]["calls"] if "cmdstat_zcard" in raw.info("commandstats") else 0
    await hx.jobs.inspector.delete_queue("low", force=True)
    assert raw.info("commandstats")["cmdstat_zcard"]["calls"] - before < 3 * 3_000
    assert raw.keys("asynq:{low}:g*") + raw.keys("asynq:{low}:x:grouped*") == []


async def test_delete_queue_is_refused_while_tasks_are_active(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock
) -> None:
    await in_state(hx, driver, raw, clock, State.ACTIVE, "x")
    for force in (False, True):
        with pytest.raises(Conflict):
            await hx.jobs.inspector.delete_queue("low", force=force)
    assert not raw.exists(Q.paused) and raw.lrange(Q.active, 0, -1) == [b"x"]


def rest(raw: redis.Redis) -> set[bytes]:
    """What is left of the queue, without what expires within the hour."""
    kept = {key for key in raw.scan_iter() if not 0 < raw.ttl(key) <= 3600}
    return kept - ({b"asynq:queues"} if raw.smembers("asynq:queues") - {b"low"} else set())


async def test_nothing_of_a_queue_is_left(hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock) -> None:
    inspector = hx.jobs.inspector
    for n, state in enumerate([State.ARCHIVED, State.COMPLETED, State.RETRY, State.SCHEDULED, State.AGGREGATING]):
        for copy in (1, 2):
            await in_state(hx, driver, raw, clock, state, f"{n}-{copy}")
    await in_state(hx, driver, raw, clock, State.PENDING, "p")
    raw.zadd(Q.aggregation_set("g2", "s"), {"4-2": 1})
    raw.zadd(Q.aggregation_sets, {Q.aggregation_set("g2", "s"): 2**33})
    raw.zrem(Q.group("g2"), "4-2")
    raw.hset(Q.prefix + "x:parked", "bad", b"\xff")
    raw.expire(Q.prefix + "x:parked", 10**6)
    await hx.jobs.limit_queue("low", max_size=100)
    await inspector.pause("low")
    await hx.jobs.enqueue("t", queue="other")
    await inspector.delete_queue("low", force=True)
    left = rest(raw)
    assert {key for key in left if b"{low}" in key} == set()
    assert await inspector.queues() == ["other"]
    assert not raw.keys("*unique*")
    with pytest.raises(NotFound):
        await inspector.queue("low")


async def test_counters_of_all_days_go(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    await hx.jobs.enqueue("t", queue="low")
    for back in range(91):
        day = datetime.fromtimestamp(clock.now_ms / 1000, UTC) - timedelta(days=back)
        raw.mset({Q.processed_on(f"{day:%Y-%m-%d}"): 1, Q.failed_on(f"{day:%Y-%m-%d}"): 1})
    await hx.jobs.inspector.delete_queue("low", force=True)
    assert not rest(raw)


async def test_a_long_queue_goes_in_steps_and_nobody_is_given_its_tasks(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock
) -> None:
    from hustlex.jobs import Job
    from hustlex.jobs.inspect.change import delete_queue

    for state in ("pending", "scheduled"):
        options = {"queue": "low"} | ({"process_in": HOUR} if state == "scheduled" else {})
        await hx.jobs.enqueue_many([Job("t", None, options) for _ in range(700)])
    assert await driver.run(delete_queue("low", True, clock())) == 900
    assert (await driver.run(lease.cycle(Q, TODAY, "w:1", 5, (), clock()))).paused
    await hx.jobs.inspector.delete_queue("low", force=True)
    assert not rest(raw)
    await hx.jobs.enqueue("t", queue="low")
    assert len((await driver.run(lease.cycle(Q, TODAY, "w:1", 5, (), clock()))).leased) == 2


async def test_a_batch_that_is_being_aggregated_goes_too(hx: Any, driver: Driver, raw: redis.Redis) -> None:
    from hustlex.jobs.enqueue.draft import draft
    from hustlex.jobs.enqueue.job import Job
    from hustlex.jobs.group.ops import settle

    await hx.jobs.enqueue("t", queue="low", group="g", task_id="a")
    name = Q.aggregation_set("g", "s")
    raw.rename(Q.group("g"), name)
    raw.zadd(Q.aggregation_sets, {name: 2**33})
    raw.srem(Q.groups, "g")
    with pytest.raises(Conflict):
        await hx.jobs.inspector.delete_queue("low")
    await hx.jobs.inspector.delete_queue("low", force=True)
    assert await driver.run(settle(Q, name, draft(Job("made"), {"queue": "low"}, "m"), 0))  # too late
    assert not raw.exists(Q.pending, Q.task("m"), Q.task("a"))


async def test_who_enqueues_later_makes_a_new_queue(url: str, raw: redis.Redis) -> None:
    async with Driver(url, timeout=LONG) as driver:
        jobs = Jobs(driver)
        await jobs.enqueue("t", queue="low")
        await jobs.inspector.delete_queue("low", force=True)
        assert isinstance(await Jobs(driver).enqueue("t", queue="low"), Enqueued)
        assert await jobs.inspector.queues() == ["low"]


async def test_deferred_tasks_can_be_changed_like_any_scheduled_one(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock
) -> None:
    await in_state(hx, driver, raw, clock, State.ACTIVE, "x")
    assert await driver.run(limit.put_off(Q, TODAY, ("x", "wx:1", 60), clock())) == b"1"
    await hx.jobs.inspector.update_payload("low", "x", b"new")
    await hx.jobs.inspector.reschedule("low", "x", process_in=SECOND)
    assert stored(raw, "x").payload == b"new" and raw.zscore(Q.scheduled, "x") == clock.now_ms // 1000 + 1
