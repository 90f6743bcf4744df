"""Groups that Go and Python aggregate together: every task in exactly one batch."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import timedelta

import redis

from hustlex.drivers.aio import Driver
from hustlex.jobs import Aggregate, GroupedTask, Inspector, Job, Jobs, Tasks
from hustlex.jobs.group import ops as aggregation
from tests.interop.support import GoClient, Launch, decoded, enlist, runs
from tests.worker.support import DEFAULT, running, until

RULES = {"grace_ms": 1000, "delay_ms": 0, "size": 5}


def join(group: str, tasks: list[GroupedTask]) -> Job:
    """As join in go/serve.go."""
    return Job(f"ok:joined:{group}", json.dumps([(task.payload or b"").decode() for task in tasks]).encode())


def batches(raw: redis.Redis) -> list[list[str]]:
    """The payloads of every task that was made of a group, and ran."""
    return [json.loads(run["payload"] or b"[]") for run in runs(raw)]


async def test_two_aggregators_put_each_task_into_one_batch(
    driver: Driver, jobs: Jobs, inspector: Inspector, go: GoClient, launch: Launch, raw: redis.Redis
) -> None:
    theirs = launch("go", group=RULES)
    await enlist(inspector, [theirs])
    tasks = Tasks()
    made: Counter[str] = Counter()

    @tasks.aggregate("", max_size=5, grace=timedelta(seconds=1))
    def ours(group: str, members: list[GroupedTask]) -> Job:
        made[group] += 1
        return join(group, members)

    async with running(driver, tasks, concurrency=1) as worker:
        worker.worker.parts.fetcher.close()  # what the batches become runs in Go, which notes it
        total = 0
        while total < 60 or not 0 < made.total() < len(batches(raw)):  # until both had their share
            assert total < 1000
            if total % 2:
                await asyncio.to_thread(go.enqueue, "one", f"{total}".encode(), group=f"g{total % 3}")
            else:
                await jobs.enqueue(Job("one", f"{total}".encode(), {"group": f"g{total % 3}"}))
            total += 1
            await asyncio.sleep(0.03)
        await until(lambda: sum(map(len, batches(raw))) == total)
    assert Counter(number for batch in batches(raw) for number in batch) == Counter(map(str, range(total)))
    assert max(map(len, batches(raw))) == 5
    assert raw.smembers(DEFAULT.groups) == set() and not raw.exists(DEFAULT.aggregation_sets)
    assert raw.keys("asynq:{default}:g:*") == raw.keys("asynq:{default}:t:*") == []


async def test_a_set_that_a_dead_aggregator_of_ours_left_is_taken_apart_by_go(
    driver: Driver, jobs: Jobs, inspector: Inspector, go: GoClient, launch: Launch, raw: redis.Redis
) -> None:
    for number in range(3):
        await jobs.enqueue(Job("one", b"%d" % number, {"group": "G"}))
    rules = Aggregate("", join, max_size=3)
    assert await driver.run(aggregation.check(DEFAULT, "G", "5e1f", rules, 0))
    assert await driver.run(aggregation.expire(DEFAULT, DEFAULT.aggregation_set("G", "5e1f"), 1)) == 0
    theirs = launch("go", group=RULES)
    await enlist(inspector, [theirs])
    await until(lambda: raw.zcard(DEFAULT.group("G")) == 3)
    assert not raw.exists(DEFAULT.aggregation_sets)
    go.enqueue("one", b"3", group="G")  # Go lists the group again only now
    await until(lambda: list(map(sorted, batches(raw))) == [["0", "1", "2", "3"]])


async def test_a_set_that_a_dead_aggregator_of_gos_left_is_taken_apart_by_us(
    driver: Driver, go: GoClient, raw: redis.Redis
) -> None:
    for number in range(3):
        await asyncio.to_thread(go.enqueue, "one", b"%d" % number, group="G")
    name = DEFAULT.aggregation_set("G", "5e1f")  # what the library's check leaves
    raw.rename(DEFAULT.group("G"), name)
    raw.zadd(DEFAULT.aggregation_sets, {name: 1})
    raw.srem(DEFAULT.groups, "G")
    tasks = Tasks()
    tasks.aggregate("G", grace=timedelta(seconds=1))(join)
    async with running(driver, tasks) as worker:
        worker.worker.parts.fetcher.close()
        await until(lambda: raw.llen(DEFAULT.pending) == 1)
    (task_id,) = raw.lrange(DEFAULT.pending, 0, -1)
    seen = go("task", queue="default", id=task_id.decode())
    assert (seen["Type"], seen["State"]) == ("ok:joined:G", "pending")
    assert sorted(json.loads(decoded(seen["Payload"]) or b"")) == ["0", "1", "2"]
