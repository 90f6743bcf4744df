"""Workflows in the hands of real workers: chains, fan-out and fan-in, results, failures, Go's workers, deaths."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from hustlex.drivers.aio import Driver
from hustlex.errors import Unavailable
from hustlex.jobs import (
    RESULT,
    RESULTS,
    Failed,
    Job,
    Jobs,
    NotYet,
    RevokeTask,
    SkipRetry,
    StepName,
    Succeeded,
    Tasks,
    current_job,
    gather,
)
from hustlex.jobs.keys import queue_keys, step_record
from hustlex.jobs.wire import decode_task, encode_task
from hustlex.jobs.workflow import flows as steps
from hustlex.jobs.workflow.ops import OPEN, Taken
from hustlex.worker import Worker
from hustlex.worker.clock import WorkerClock
from hustlex.worker.complete.workflow_advancer import WorkflowAdvancer
from tests.support import forked
from tests.worker import steps_victim
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
    """A task of this type."""
    found = tasks.find(name)
    assert found is not None
    return found


def leftovers(raw: redis.Redis) -> set[bytes]:
    """Keys of queues that are neither counters nor the receipt of a start nor a sign of life nor a note of an end."""
    passing = (b":processed", b":failed", b":x:step:", b":x:owners", b":x:end")
    return {name for name in raw.keys("asynq:{*}:*") if not any(part in name for part in passing)}


async def test_a_chain_hands_results_on_and_leaves_nothing_behind(
    jobs: Jobs, start: Start, tasks: Tasks, ran: list[Any], raw: redis.Redis
) -> None:
    double = task(tasks, "double")
    started = await jobs.start(double.job(1).then(double.job(RESULT)).then(double.job(n=RESULT)))
    run = await start()
    await until(lambda: len(ran) == 3 and not run.worker.parts.queues[0].held)
    assert ran == [1, 2, 4]
    await until(lambda: not raw.exists(OPEN))
    assert leftovers(raw) == set()
    assert raw.keys("asynq:{default}:x:step:*") == [step_record(DEFAULT, f"{started.id}:0").encode()]
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
        assert await jobs.result(started.last.id, queue="sums", timeout=SOON) == Succeeded(b"6")
    assert Counter(map(str, ran)) == Counter(["9", "0", "1", "2", "[0, 2, 4]"])


async def test_a_step_follows_within_milliseconds(
    jobs: Jobs, start: Start, tasks: Tasks, ran: list[Any], raw: redis.Redis
) -> None:
    """By the worker that acknowledged, not by looking now and then."""
    double = task(tasks, "double")
    await start()
    flow = double.job(0)
    for _ in range(30):
        flow = flow.then(double.job(RESULT))
    began = asyncio.get_running_loop().time()
    await jobs.start(flow)
    await until(lambda: len(ran) == 31)
    assert asyncio.get_running_loop().time() - began < 8  # 30 steps; looking takes a second for each


@pytest.mark.timeout(450)
async def test_fifty_fan_ins_at_once_by_three_workers(
    driver: Driver, jobs: Jobs, tasks: Tasks, ran: list[Any], raw: redis.Redis
) -> None:
    double, total = task(tasks, "double"), task(tasks, "total")
    flows = [gather(*(double.job(10 * n + p) for p in range(10)), then=total.job(RESULTS)) for n in range(50)]
    async with running(driver, tasks), running(driver, tasks), running(driver, tasks):
        started = await asyncio.gather(*(jobs.start(flow) for flow in flows))
        sums = await asyncio.gather(*(jobs.result(one.last.id, timeout=timedelta(seconds=30)) for one in started))
    assert sums == [Succeeded(b"%d" % sum(2 * (10 * n + p) for p in range(10))) for n in range(50)]
    assert len(ran) == 550
    assert raw.get(DEFAULT.processed) == b"550"
    assert not raw.exists(OPEN)


async def test_a_failed_step_stops_the_chain_until_it_is_run_again_with_success(
    jobs: Jobs, start: Start, tasks: Tasks, ran: list[Any], raw: redis.Redis
) -> None:
    broken = [True]

    @tasks.task("shaky")
    async def shaky() -> None:
        if broken[0]:
            raise SkipRetry("no luck")
        await current_job().result.write(5)

    await start()
    started = await jobs.start(shaky.job().then(task(tasks, "total").job([1])).then(task(tasks, "double").job(1)))
    first, second, _ = started.steps
    assert await jobs.result(first.id, timeout=SOON) == Failed("SkipRetry: no luck")
    assert await jobs.result(second.id, timeout=timedelta(0)) == NotYet(None)
    seen = await jobs.explain(second.id)
    assert [(step.id, step.cause) for step in seen.waits_for] == [(first.id, "archived")]
    (waiting,) = (await jobs.inspector.open_steps()).steps
    assert (waiting.id, waiting.followed_by) == (first.id, (second,))
    broken[0] = False
    await jobs.inspector.run("default", first.id)
    assert await jobs.result(second.id, timeout=SOON) == Succeeded(b"1")
    await until(lambda: ran == [[1], 1])


async def test_a_revoked_step_ends_the_chain(jobs: Jobs, start: Start, tasks: Tasks, ran: list[Any]) -> None:
    @tasks.task("drop")
    async def drop() -> None:
        raise RevokeTask

    await start()
    started = await jobs.start(drop.job().then(task(tasks, "double").job(1)))
    ending = await jobs.result(started.last.id, timeout=timedelta(seconds=15))  # nobody tells: it is looked for
    assert isinstance(ending, Failed)
    assert "revoked" in ending.error
    assert ran == []


def as_go_runs_it(raw: redis.Redis, name: StepName, result: bytes) -> None:
    """What a Go worker does to a pending task, command by command; it knows nothing of workflows."""
    q = queue_keys(name.queue)
    assert raw.rpoplpush(q.pending, q.active) == name.id.encode()
    raw.hset(q.task(name.id), "state", "active")
    raw.hdel(q.task(name.id), "pending_since")
    raw.hset(q.task(name.id), "result", result)
    message = decode_task(raw.hget(q.task(name.id), "msg"))
    without_headers = encode_task(replace(message, headers={}))  # as workers before 0.26 leave it
    raw.lrem(q.active, 0, name.id)
    raw.zadd(q.completed, {name.id: raw.time()[0] + message.retention})
    raw.hset(q.task(name.id), mapping={"msg": without_headers, "state": "completed"})


async def test_a_step_that_only_go_runs_is_followed_by_python_and_the_other_way_round(
    driver: Driver, jobs: Jobs, tasks: Tasks, ran: list[Any], raw: redis.Redis
) -> None:
    """No Python worker serves Go's queue; one anywhere is enough."""
    double = task(tasks, "double")
    go = Job("go:resize").taking(RESULT).with_options(queue="go")
    async with running(driver, tasks):
        started = await jobs.start(double.job(1).then(go).then(double.job(RESULT)))
        await until(lambda: raw.exists("asynq:{go}:pending"))
        assert decode_task(raw.hget("asynq:{go}:t:" + started.steps[1].id, "msg")).payload == b"2"
        as_go_runs_it(raw, started.steps[1], b"21")
        await until(lambda: ran == [1, 21])
        await until(lambda: not raw.exists(OPEN))
    assert leftovers(raw) == set()


async def test_a_look_that_sees_no_open_step_takes_the_place_of_one_for_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now, taken = [1_000.0], list[float]()

    class Watched:
        async def run(self, _: Any) -> Taken:
            taken.append(now[0])
            return Taken([], frozenset(), -1)

    monkeypatch.setattr("hustlex.worker.complete.workflow_advancer.monotonic", lambda: now[0])
    advancer = WorkflowAdvancer(Watched(), WorkerClock(lambda: 1))  # type: ignore[arg-type]
    for second in range(60):
        if 15 < second < 35:
            advancer.none_open()
        await advancer.tick()
        now[0] += 1
    assert taken == [1_000, 1_010, 1_044, 1_054]


async def test_what_the_last_acknowledgement_leads_to_is_done_before_the_worker_ends(
    jobs: Jobs, start: Start, tasks: Tasks, ran: list[Any], raw: redis.Redis
) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    @tasks.task("slow")
    async def slow() -> None:
        entered.set()
        await leave.wait()

    run = await start()
    started = await jobs.start(slow.job().then(task(tasks, "double").job(1)))
    await entered.wait()
    run.worker.stop()
    await asyncio.sleep(0.05)
    leave.set()
    await run.task
    assert raw.lrange(DEFAULT.pending, 0, -1) == [started.last.id.encode()]


async def test_what_is_acknowledged_at_the_very_end_is_followed_too(
    driver: Driver, jobs: Jobs, tasks: Tasks, ran: list[Any], raw: redis.Redis
) -> None:
    double = task(tasks, "double")
    started = await jobs.start(double.job(1).then(double.job(RESULT)))
    first, second = started.steps
    message = decode_task(raw.hget(DEFAULT.task(first.id), "msg"))
    as_go_runs_it(raw, first, b"7")
    worker = Worker(driver, tasks)
    await worker.parts.completion.workflow_advancer.tick()  # nothing is due yet
    worker.parts.completion.workflow_advancer.plan([message])
    await worker.parts.completion.finish()
    assert raw.lrange(DEFAULT.pending, 0, -1) == [second.id.encode()]


async def test_a_link_that_breaks_after_an_acknowledgement_loses_nothing(
    driver: Driver, jobs: Jobs, tasks: Tasks, ran: list[Any], raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance, failures = steps.advance, [2]

    def failing(*call: Any) -> Any:
        if failures[0]:
            failures[0] -= 1
            raise Unavailable("gone")
        return advance(*call)

    monkeypatch.setattr(steps, "advance", failing)
    double = task(tasks, "double")
    async with running(driver, tasks):
        await jobs.start(double.job(1).then(double.job(RESULT)).then(double.job(RESULT)))
        await until(lambda: ran == [1, 2, 4])


# -- kill -9

Launch = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def launch(url: str) -> Iterator[Launch]:
    """Start a worker process; killed at the end."""
    started = []

    def begin(*arguments: str) -> subprocess.Popen[bytes]:
        started.append(forked.Popen([sys.executable, "-m", "tests.worker.steps_victim", url, *arguments]))
        return started[-1]

    yield begin
    for process in started:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


QUEUES = {"default": 1, "joins": 1}


def processed(raw: redis.Redis) -> int:
    """Acknowledged tasks of both queues: each once, however often it ran."""
    return sum(int(raw.get(queue_keys(name).processed) or 0) for name in QUEUES)


@pytest.mark.timeout(450)
@pytest.mark.parametrize("calls", ["0", "1", "2", "3", "4", "5"])
async def test_a_worker_killed_between_acknowledging_and_moving_on(
    driver: Driver, jobs: Jobs, raw: redis.Redis, launch: Launch, calls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps_victim, "_drivers", [driver])
    await jobs.start(steps_victim.flow(1))
    victim = launch(calls)
    assert await asyncio.to_thread(victim.wait, 15) == -signal.SIGKILL
    assert processed(raw) == 1 or int(calls) >= 4, "what it released it may have run"
    async with running(driver, steps_victim.tasks, queues=QUEUES):
        await until(lambda: processed(raw) == 6)
    ran = Counter(raw.lrange("test:ran", 0, -1))
    assert set(ran) == {b"1", b"2", b"11", b"21", b"join 3,12,22", b"37"}
    assert ran.total() == 6 or int(calls) >= 4, "and what it had begun runs again"


@pytest.mark.timeout(450)
async def test_workers_killed_again_and_again_continue_every_step_exactly_once(
    driver: Driver, jobs: Jobs, raw: redis.Redis, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handlers may run again for what was in flight; each step is enqueued and acknowledged once, none is lost."""
    monkeypatch.setattr(steps_victim, "_drivers", [driver])
    flows = 200
    for n in range(flows):
        await jobs.start(steps_victim.flow(100 * n))
    for stage in (1, 2, 3):
        victim = launch()
        await until(lambda stage=stage: processed(raw) > stage * flows)
        victim.kill()
        victim.wait()
    async with running(driver, steps_victim.tasks, queues=QUEUES, concurrency=50):
        await until(lambda: processed(raw) >= 6 * flows)
        await asyncio.sleep(0.3)
    assert processed(raw) == 6 * flows
    wanted = {
        text.encode()
        for first in range(0, 100 * flows, 100)
        for text in (
            *map(str, (first, first + 1, first + 10, first + 20)),
            f"join {first + 2},{first + 11},{first + 21}",
            str(3 * first + 34),
        )
    }
    assert set(raw.lrange("test:ran", 0, -1)) == wanted
    assert not raw.exists(DEFAULT.failed, DEFAULT.archived, DEFAULT.retry, DEFAULT.active, "asynq:{joins}:active")
