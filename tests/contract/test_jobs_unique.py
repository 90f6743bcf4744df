"""Uniqueness by lifetime and debounce, on a real server: until started, until done, replaced while it waits."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.jobs import Debounced, Duplicate, Enqueued, IdTaken, Job, State
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease import finish
from hustlex.jobs.lease import ops as lease
from hustlex.jobs.wire import decode_task

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
Q = queue_keys("default")
LOCK = Q.unique("t", None)
TODAY = "2026-01-01"


async def start(driver: Driver, clock: FixedClock, holder: str = "w:1") -> list[str]:
    """Lease all that is pending, as our workers do."""
    cycle = await driver.run(lease.cycle(Q, TODAY, holder, 100, (), clock()))
    return [task_id.decode() for task_id in cycle.leased[::2]]


async def end(driver: Driver, raw: redis.Redis, clock: FixedClock, how: str, task_id: str = "a") -> None:
    """Finish a leased task in one way."""
    message = raw.hget(Q.task(task_id), "msg")
    op = {
        "done": lambda: finish.done(Q, TODAY, (task_id, "w:1", LOCK), clock()),
        "complete": lambda: finish.complete(Q, TODAY, (task_id, "w:1", 60, message, LOCK), clock()),
        "retry": lambda: finish.retry(Q, TODAY, (task_id, "w:1", 60, message, 1), clock()),
        "archive": lambda: finish.archive(Q, TODAY, (task_id, "w:1", message), clock()),
        "requeue": lambda: finish.requeue(Q, (task_id, "w:1")),
    }[how]()
    assert await driver.run(op) == b"1"


def as_go(raw: redis.Redis, state: str, task_id: str = "a") -> None:
    """Let a Go worker move the pending task: it knows nothing of our fields and leaves the lock alone."""
    raw.lrem(Q.pending, 0, task_id)
    raw.hset(Q.task(task_id), "state", state)
    if state == "active":
        raw.lpush(Q.active, task_id)
    else:
        raw.zadd(Q.prefix + state, {task_id: 1})


# -- until started


async def test_until_started_ends_with_the_first_lease(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock
) -> None:
    assert await hx.jobs.enqueue("t", task_id="a", unique_until="started") == Enqueued("a", "default", State.PENDING)
    assert await hx.jobs.enqueue("t", unique_until="started") == Duplicate("a", "default")
    assert await hx.jobs.enqueue("t", unique_for=HOUR) == Duplicate("a", "default")
    assert await start(driver, clock) == ["a"]
    assert not raw.exists(LOCK)
    assert await hx.jobs.enqueue("t", task_id="b", unique_until="started") == Enqueued("b", "default", State.PENDING)
    await end(driver, raw, clock, "done")
    assert raw.get(LOCK) == b"b"


@pytest.mark.parametrize("state", ["active", "retry", "archived", "completed"])
async def test_a_task_that_go_started_is_unique_no_more(hx: Any, raw: redis.Redis, state: str) -> None:
    await hx.jobs.enqueue("t", task_id="a", unique_until="started")
    as_go(raw, state)
    assert raw.get(LOCK) == b"a"
    assert await hx.jobs.enqueue("t", task_id="b", unique_for=MINUTE) == Enqueued("b", "default", State.PENDING)
    assert raw.get(LOCK) == b"b"


async def test_until_started_covers_waiting_in_the_future_and_in_a_group(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.enqueue("t", task_id="a", unique_until="started", process_in=HOUR)
    assert await hx.jobs.enqueue("t", unique_until="started") == Duplicate("a", "default")
    await hx.jobs.enqueue("t", b"2", task_id="b", unique_until="started", group="g")
    assert await hx.jobs.enqueue("t", b"2", unique_until="started", group="g") == Duplicate("b", "default")


# -- until done


@pytest.mark.parametrize("how", ["done", "complete", "archive"])
async def test_until_done_ends_with_the_task(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock, how: str
) -> None:
    await hx.jobs.enqueue("t", task_id="a", unique_until="done")
    await start(driver, clock)
    assert await hx.jobs.enqueue("t", unique_until="done") == Duplicate("a", "default")
    await end(driver, raw, clock, how)
    assert not raw.exists(LOCK)


@pytest.mark.parametrize("how", ["retry", "requeue"])
async def test_until_done_outlives_a_failure(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock, how: str
) -> None:
    await hx.jobs.enqueue("t", task_id="a", unique_until="done")
    await start(driver, clock)
    await end(driver, raw, clock, how)
    assert await hx.jobs.enqueue("t", unique_until="done") == Duplicate("a", "default")


@pytest.mark.parametrize("state", ["archived", "completed"])
async def test_a_task_that_go_ended_is_unique_no_more(hx: Any, raw: redis.Redis, state: str) -> None:
    await hx.jobs.enqueue("t", task_id="a", unique_until="done")
    as_go(raw, "active")
    assert await hx.jobs.enqueue("t", unique_until="done") == Duplicate("a", "default")
    as_go(raw, state)
    assert isinstance(await hx.jobs.enqueue("t", unique_until="done"), Enqueued)


@pytest.mark.parametrize("act", ["archive", "delete", "archive_all", "delete_all"])
async def test_the_inspector_ends_it_too(hx: Any, raw: redis.Redis, act: str) -> None:
    await hx.jobs.enqueue("t", task_id="a", unique_until="done")
    which = State.PENDING if act.endswith("_all") else "a"
    await getattr(hx.jobs.inspector, act)("default", which)
    assert not raw.exists(LOCK)


async def test_archiving_leaves_a_lock_for_a_time_as_asynq_does(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock
) -> None:
    await hx.jobs.enqueue("t", task_id="a", unique_for=HOUR)
    await start(driver, clock)
    await end(driver, raw, clock, "archive")
    assert await hx.jobs.enqueue("t", unique_until="done") == Duplicate("a", "default")


async def test_a_lock_whose_task_is_gone_stands_for_a_time_only(hx: Any, raw: redis.Redis) -> None:
    """Go's tools delete pending tasks without their locks."""
    await hx.jobs.enqueue("t", task_id="a", unique_until="done")
    raw.delete(Q.task("a"), Q.pending)
    assert await hx.jobs.enqueue("t", unique_for=HOUR) == Duplicate("a", "default")
    assert isinstance(await hx.jobs.enqueue("t", unique_until="started"), Enqueued)


@pytest.mark.parametrize(
    ("options", "ttl_s"),
    [
        ({}, 30 * 86_400),
        ({"unique_for": HOUR}, 3600),
        ({"process_in": DAY}, 31 * 86_400),
        ({"unique_for": HOUR, "process_in": MINUTE}, 3660),
    ],
)
@pytest.mark.parametrize("until", ["started", "done"])
async def test_every_such_lock_has_a_cap(
    hx: Any, raw: redis.Redis, until: str, options: dict[str, Any], ttl_s: int
) -> None:
    await hx.jobs.enqueue("t", unique_until=until, **options)
    assert ttl_s - 5 < raw.ttl(LOCK) <= ttl_s


async def test_until_started_is_honest_under_a_race(hx: Any, driver: Driver, raw: redis.Redis) -> None:
    calls = [hx.jobs.enqueue("t", task_id=f"t{n}", unique_until="done") for n in range(50)]
    outcomes = await asyncio.gather(*calls)
    winners = [outcome.id for outcome in outcomes if isinstance(outcome, Enqueued)]
    assert len(winners) == 1 == raw.llen(Q.pending)
    assert {outcome.of for outcome in outcomes if isinstance(outcome, Duplicate)} == set(winners)


async def test_what_go_sees_of_it_is_a_unique_task(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.enqueue("t", task_id="a", unique_until="done")
    stored = raw.hgetall(Q.task("a"))
    assert stored.keys() == {b"msg", b"state", b"pending_since", b"unique_key", b"unique_until"}
    assert stored[b"unique_key"].decode() == decode_task(stored[b"msg"]).unique_key == LOCK


# -- a key of one's own


async def test_a_key_stands_for_the_payload(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.enqueue("t", b"1", task_id="a", unique_for=HOUR, unique_key="user:7")
    assert await hx.jobs.enqueue("t", b"2", unique_for=HOUR, unique_key="user:7") == Duplicate("a", "default")
    for other in ({"unique_key": "user:8"}, {}):
        assert isinstance(await hx.jobs.enqueue("t", b"2", unique_for=HOUR, **other), Enqueued)
    assert isinstance(await hx.jobs.enqueue("other", b"2", unique_for=HOUR, unique_key="user:7"), Enqueued)
    lock = decode_task(raw.hget(Q.task("a"), "msg")).unique_key
    assert lock.startswith(Q.prefix + "unique:t:=") and raw.get(lock) == b"a"
    assert "user:7" not in lock


# -- debounce


async def test_calls_in_a_row_leave_one_task_with_the_last_payload(
    hx: Any, raw: redis.Redis, clock: FixedClock
) -> None:
    start_s = clock.now_ms // 1000
    first = await hx.jobs.enqueue("t", b"1", task_id="a", debounce=5 * SECOND, unique_key="k", max_retry=1)
    assert first == Enqueued("a", "default", State.SCHEDULED)
    for n in range(2, 5):
        clock.advance(2 * SECOND)
        outcome = await hx.jobs.enqueue("t", b"%d" % n, debounce=5 * SECOND, unique_key="k", max_retry=n)
        assert outcome == Debounced("a", "default")
    assert raw.zrange(Q.scheduled, 0, -1, withscores=True) == [(b"a", start_s + 6 + 5)]
    task = await hx.jobs.inspector.task("default", "a")
    assert (task.id, task.payload, task.max_retry, task.state) == ("a", b"4", 4, State.SCHEDULED)
    assert raw.keys(Q.prefix + "t:*") == [Q.task("a").encode()]


@pytest.mark.parametrize("length", [1, 127, 128, 255])
async def test_the_id_stays_whatever_its_length(hx: Any, raw: redis.Redis, length: int) -> None:
    task_id = "x" * length
    await hx.jobs.enqueue("t", b"1", task_id=task_id, debounce=SECOND, unique_key="k")
    assert await hx.jobs.enqueue("t", b"2", debounce=SECOND, unique_key="k") == Debounced(task_id, "default")
    message = decode_task(raw.hget(Q.task(task_id), "msg"))
    assert (message.id, message.payload) == (task_id, b"2")


async def test_a_task_that_is_pending_is_put_off_as_well(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    await hx.jobs.enqueue("t", b"1", task_id="a", debounce=SECOND, unique_key="k")
    await hx.jobs.inspector.run("default", "a")
    assert raw.lrange(Q.pending, 0, -1) == [b"a"]
    assert await hx.jobs.enqueue("t", b"2", debounce=SECOND, unique_key="k") == Debounced("a", "default")
    assert not raw.exists(Q.pending) and raw.zscore(Q.scheduled, "a") == clock.now_ms // 1000 + 1
    assert raw.hgetall(Q.task("a")).keys() == {b"msg", b"state", b"unique_key", b"unique_until"}


async def test_once_it_runs_the_next_call_makes_a_new_task(hx: Any, driver: Driver, clock: FixedClock) -> None:
    await hx.jobs.enqueue("t", b"1", task_id="a", debounce=SECOND, unique_key="k")
    await hx.jobs.inspector.run("default", "a")
    assert await start(driver, clock) == ["a"]
    outcome = await hx.jobs.enqueue("t", b"2", task_id="b", debounce=SECOND, unique_key="k")
    assert outcome == Enqueued("b", "default", State.SCHEDULED)


async def test_without_a_key_only_the_same_payload_is_put_off(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.enqueue("t", b"1", task_id="a", debounce=SECOND)
    assert isinstance(await hx.jobs.enqueue("t", b"2", debounce=SECOND), Enqueued)
    assert await hx.jobs.enqueue("t", b"1", debounce=SECOND) == Debounced("a", "default")
    assert raw.zcard(Q.scheduled) == 2


async def test_a_lock_for_a_time_is_respected_while_its_task_runs(hx: Any, driver: Driver, clock: FixedClock) -> None:
    await hx.jobs.enqueue("t", task_id="a", unique_for=HOUR)
    assert await hx.jobs.enqueue("t", debounce=SECOND) == Debounced("a", "default")
    await hx.jobs.inspector.run("default", "a")
    await start(driver, clock)
    assert isinstance(await hx.jobs.enqueue("t", debounce=SECOND), Enqueued)  # it has become one until started


async def test_the_lock_follows_the_start(hx: Any, raw: redis.Redis) -> None:
    lock = Q.unique("t", None)
    await hx.jobs.enqueue("t", debounce=SECOND, unique_for=MINUTE)
    raw.expire(lock, 3)
    await hx.jobs.enqueue("t", debounce=HOUR, unique_for=MINUTE)
    assert 3655 < raw.ttl(lock) <= 3660


async def test_debounce_in_a_batch_is_decided_in_order(hx: Any, raw: redis.Redis) -> None:
    jobs = [Job("t", b"%d" % n, {"debounce": SECOND, "unique_key": "k", "task_id": f"t{n}"}) for n in range(3)]
    outcomes = await hx.jobs.enqueue_many([*jobs, Job("u", None, {"task_id": "t0"})])
    assert outcomes == [
        Enqueued("t0", "default", State.SCHEDULED),
        Debounced("t0", "default"),
        Debounced("t0", "default"),
        IdTaken("t0", "default", State.SCHEDULED),
    ]
    assert decode_task(raw.hget(Q.task("t0"), "msg")).payload == b"2"


async def test_a_race_of_calls_leaves_one_task(hx: Any, raw: redis.Redis) -> None:
    calls = [hx.jobs.enqueue("t", b"%d" % n, debounce=MINUTE, unique_key="k") for n in range(50)]
    outcomes = await asyncio.gather(*calls)
    assert sum(isinstance(outcome, Enqueued) for outcome in outcomes) == 1 == raw.zcard(Q.scheduled)
    assert len({outcome.id if isinstance(outcome, Enqueued) else outcome.of for outcome in outcomes}) == 1
