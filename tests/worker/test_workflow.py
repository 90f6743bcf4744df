"""Workflows in the hands of real workers: chains, fan-out, fan-in, results on their way, failures, deaths in between."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.jobs import (
    RESULT,
    RESULTS,
    Jobs,
    Succeeded,
    Tasks,
    current_job,
    gather,
)
from hustlex.jobs.ops.steps import OPEN
from tests.worker.support import DEFAULT, running, until

Start = Any
SOON = timedelta(seconds=8)
KEPT = timedelta(minutes=5)


@pytest.fixture
def ran(tasks: Tasks) -> list[Any]:
    """Tasks ``double`` and ``total``, and what they were called with."""
    calls: list[Any] = []

    @tasks.task("double")
    async def double(n: int) -> None:
        calls.append(n)
        await current_job().result.write(2 * n)

    @tasks.task("total", retention=KEPT)
    async def total(parts: list[int]) -> None:
        calls.append(parts)
        await current_job().result.write(sum(parts))

    return calls


def task(tasks: Tasks, name: str) -> Any:
    found = tasks.find(name)
    assert found is not None
    return found


def leftovers(raw: redis.Redis) -> set[bytes]:
    """Keys that are neither counters nor the receipt of a start."""
    names = set(raw.keys("asynq:{*}:*"))
    return {
        name
        for name in names
        if b"processed" not in name and b":failed" not in name and b":x:step:" not in name and b":x:owners" not in name
    }


async def test_a_chain_hands_results_on_and_leaves_nothing_behind(
    jobs: Jobs, start: Start, tasks: Tasks, ran: list[Any], raw: redis.Redis
) -> None:
    double = task(tasks, "double")
    started = await jobs.start(double.job(1).then(double.job(RESULT)).then(double.job(n=RESULT)))
    run = await start()
    await until(lambda: len(ran) == 3 and not run.worker.sources[0].held)
    assert ran == [1, 2, 4]
    assert [step.id.rpartition(":")[2] for step in started.steps] == ["0", "1", "2"]
    await until(lambda: not raw.exists(OPEN))
    assert leftovers(raw) == set()
    assert raw.keys("asynq:{default}:x:step:*") == [f"asynq:{{default}}:x:step:{started.id}:0".encode()]
    assert 0 < raw.ttl(f"asynq:{{default}}:x:step:{started.id}:0") <= 86_400
    assert raw.get(DEFAULT.processed) == b"3"


async def test_fan_in_waits_for_all_and_gets_results_in_order(
    jobs: Jobs, start: Start, tasks: Tasks, ran: list[Any]
) -> None:
    double, total = task(tasks, "double"), task(tasks, "total")
    await start()
    started = await jobs.start(gather(*(double.job(n) for n in range(7)), then=total.job(parts=RESULTS)))
    assert await jobs.result(started.last.id, timeout=SOON) == Succeeded(b"42")
    assert ran[-1] == [0, 2, 4, 6, 8, 10, 12]


async def test_steps_of_different_queues_follow_each_other(
    driver: Driver, jobs: Jobs, tasks: Tasks, ran: list[Any], raw: redis.Redis
) -> None:
    double, total = task(tasks, "double"), task(tasks, "total")
    parts = [double.job(n).with_options(queue=f"q{n}") for n in range(3)]
    flow = double.job(9).then(gather(*parts)).then(total.job(parts=RESULTS).with_options(queue="sums"))
    queues = {"default": 1, "q0": 1, "q1": 1, "q2": 1, "sums": 1}
    async with running(driver, tasks, queues=queues):
        started = await jobs.start(flow)
        assert started.last.queue == "sums"
        assert await jobs.result(started.last.id, queue="sums", timeout=SOON) == Succeeded(b"6")
    assert Counter(map(str, ran)) == Counter(["9", "0", "1", "2", "[0, 2, 4]"])
    assert raw.smembers("asynq:queues") == {b"default", b"q0", b"q1", b"q2", b"sums"}
