"""Queue budgets on a real server: one limit for all producers, exact under races, nothing exempt in silence."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse
from hustlex.jobs import Debounced, Duplicate, Enqueued, IdTaken, Job, Jobs, QueueFull, State
from hustlex.jobs.enqueue.draft import draft
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease import finish
from hustlex.jobs.lease import ops as lease
from hustlex.jobs.schedule import firing
from hustlex.jobs.schedule.firing import Fired
from tests.conftest import LONG

MINUTE = timedelta(minutes=1)
Q = queue_keys("default")
TODAY = "2026-01-01"


async def test_a_full_queue_says_so_and_takes_nothing(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.limit_queue("default", max_size=2)
    assert all([isinstance(await hx.jobs.enqueue("t", task_id=str(n)), Enqueued) for n in range(2)])
    before = {key: raw.dump(key) for key in raw.scan_iter() if b":x:sent:" not in key}
    for options in ({}, {"process_in": MINUTE}, {"group": "g"}, {"unique_for": MINUTE}, {"queue": "default"}):
        assert await hx.jobs.enqueue("t", b"new", **options) == QueueFull("default", 2, 2)
    assert {key: raw.dump(key) for key in raw.scan_iter() if b":x:sent:" not in key} == before


async def test_limit_queue_limits_no_other_queue(hx: Any) -> None:
    await hx.jobs.limit_queue("default", max_size=0)
    assert isinstance(await hx.jobs.enqueue("t", queue="other"), Enqueued)
    assert await hx.jobs.enqueue("t") == QueueFull("default", 0, 0)


async def test_limit_queue_sets_changes_and_lifts_what_is_seen(hx: Any) -> None:
    await hx.jobs.enqueue("t")
    assert (await hx.jobs.inspector.queue("default")).limit is None
    await hx.jobs.limit_queue("default", max_size=1)
    assert (await hx.jobs.inspector.queue("default")).limit == 1
    assert await hx.jobs.enqueue("t") == QueueFull("default", 1, 1)
    await hx.jobs.limit_queue("default", max_size=None)
    assert isinstance(await hx.jobs.enqueue("t"), Enqueued)
    with pytest.raises(Misuse):
        await hx.jobs.limit_queue("default", max_size=-1)


async def test_every_unfinished_task_counts_and_no_finished_one(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock
) -> None:
    jobs = hx.jobs
    for n in range(5):
        await jobs.enqueue("t", task_id=f"p{n}")
    for n in range(4):
        await driver.run(lease.cycle(Q, TODAY, f"w:{n}", 1, (), clock()))
    await driver.run(finish.retry(Q, TODAY, ("p0", "w:0", 60, raw.hget(Q.task("p0"), "msg"), 1), clock()))
    await driver.run(finish.archive(Q, TODAY, ("p1", "w:1", raw.hget(Q.task("p1"), "msg")), clock()))
    await driver.run(finish.complete(Q, TODAY, ("p2", "w:2", 60, raw.hget(Q.task("p2"), "msg"), ""), clock()))
    await jobs.enqueue("t", process_in=MINUTE)
    await jobs.enqueue("t", group="a")
    await jobs.enqueue("t", group="b")
    raw.zadd(Q.aggregation_set("a", "s"), {"x": 1})
    raw.zadd(Q.aggregation_sets, {Q.aggregation_set("a", "s"): 2**40})
    await jobs.limit_queue("default", max_size=1)
    # pending p4, active p3, retry p0, one scheduled, two in groups, one being aggregated
    assert await jobs.enqueue("t") == QueueFull("default", 7, 1)


async def test_many_groups_are_counted_some_at_a_time(hx: Any, raw: redis.Redis) -> None:
    """Counting all of them at each enqueue would hold up the server: with 10,000 for 50 ms."""
    await hx.jobs.limit_queue("default", max_size=2_000)
    with raw.pipeline(transaction=False) as pipe:
        for n in range(500):
            pipe.zadd(Q.group(f"g{n}"), {f"{n}a": 1, f"{n}b": 1, f"{n}c": 1})
            pipe.sadd(Q.groups, f"g{n}")
        pipe.execute()
    for n in range(30):
        await hx.jobs.enqueue("t", group=f"g{n}")
    assert int(raw.hget(f"{Q.prefix}x:grouped", "last")) >= 1_500 and raw.ttl(f"{Q.prefix}x:grouped") > 0
    raw.set(f"{Q.prefix}x:limit", 1_400)
    full = await hx.jobs.enqueue("t", group="g1")
    assert isinstance(full, QueueFull) and 1_500 <= full.size <= 1_540 and full.limit == 1_400
    raw.set(f"{Q.prefix}x:limit", 2_000)
    assert isinstance(await hx.jobs.enqueue("t"), Enqueued)
    raw.delete(Q.groups)
    raw.set(f"{Q.prefix}x:limit", 5)
    assert isinstance(await hx.jobs.enqueue("t"), Enqueued), "few groups are counted anew"


async def test_a_call_looks_at_a_hundred_groups_however_many_there_are(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.enqueue("t")
    await hx.jobs.limit_queue("default", max_size=10**6)
    with raw.pipeline(transaction=False) as pipe:
        for n in range(3_000):
            pipe.zadd(Q.group(f"g{n}"), {f"{n}": 1, f"{n}b": 1})
            pipe.sadd(Q.groups, f"g{n}")
        pipe.execute()

    def counts() -> int:
        stats = raw.info("commandstats")
        return int(stats.get("cmdstat_zcard", {"calls": 0})["calls"])

    for call in (lambda: hx.jobs.enqueue("t"), lambda: hx.jobs.enqueue("t", group="g7"),
                 lambda: hx.jobs.inspector.queue("default")):  # fmt: skip
        before = counts()
        await call()
        assert 0 < counts() - before < 200
    info = await hx.jobs.inspector.queue("default")
    assert info.groups == 3_000 and 5_900 <= info.aggregating <= 6_100
    groups = await hx.jobs.inspector.groups("default")
    assert len(groups) == 3_000 and sum(each.size for each in groups) == 6_001


async def test_what_adds_no_task_is_answered_as_ever(hx: Any) -> None:
    await hx.jobs.enqueue("t", task_id="a", unique_for=MINUTE)
    await hx.jobs.enqueue("t", b"1", task_id="b", debounce=MINUTE, unique_key="k")
    await hx.jobs.limit_queue("default", max_size=2)
    assert await hx.jobs.enqueue("t", unique_for=MINUTE) == Duplicate("a", "default")
    assert await hx.jobs.enqueue("t", task_id="a") == IdTaken("a", "default", State.PENDING)
    assert await hx.jobs.enqueue("t", b"2", debounce=MINUTE, unique_key="k") == Debounced("b", "default")


async def test_a_batch_is_filled_up_item_by_item(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.limit_queue("default", max_size=3)
    ids = ["a", "a", "b", "c", "d"]
    outcomes = await hx.jobs.enqueue_many([Job("t", None, {"task_id": task_id}) for task_id in ids])
    assert outcomes == [
        Enqueued("a", "default", State.PENDING),
        IdTaken("a", "default", State.PENDING),
        Enqueued("b", "default", State.PENDING),
        Enqueued("c", "default", State.PENDING),
        QueueFull("default", 3, 3),
    ]
    assert raw.lrange(Q.pending, 0, -1) == [b"c", b"b", b"a"]


async def test_a_repeat_of_the_same_call_gets_the_same_answer(driver: Driver, raw: redis.Redis) -> None:
    from hustlex.jobs.enqueue.ops import enqueue, limit

    await driver.run(limit("default", 1))
    call = enqueue([draft(Job("t"), {}, task_id) for task_id in ("a", "b")], "token", 0)
    answers = await driver.run(call)
    raw.delete(Q.pending, Q.task("a"))  # a worker was fast
    assert await driver.run(call) == answers == [Enqueued("a", "default", State.PENDING), QueueFull("default", 1, 1)]


async def test_many_producers_together_never_pass_the_limit(hx: Any, url: str, raw: redis.Redis) -> None:
    await hx.jobs.limit_queue("default", max_size=20)
    async with Driver(url, timeout=LONG) as other:
        mixed = [hx.jobs.enqueue("t") for _ in range(30)] + [Jobs(other).enqueue("t") for _ in range(30)]
        outcomes = await asyncio.gather(*mixed)
    assert sum(isinstance(outcome, Enqueued) for outcome in outcomes) == 20 == raw.llen(Q.pending)
    assert {outcome for outcome in outcomes if isinstance(outcome, QueueFull)} == {QueueFull("default", 20, 20)}


async def test_periodic_entries_obey_and_their_instant_is_over(driver: Driver, raw: redis.Redis) -> None:
    await Jobs(driver).limit_queue("default", max_size=1)
    calls = [firing.fire("e", n, 60, draft(Job("t"), {}, f"e{n}"), 1_000) for n in (1, 2, 2)]
    assert [await driver.run(call) for call in calls] == [Fired.NOW, Fired.FULL, Fired.BEFORE]
    assert raw.lrange(Q.pending, 0, -1) == [b"e1"]
