"""Cancelled, expired, put off: what handlers and callers say about a task, and what a running worker makes of it."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.errors import Misuse, Unsuccessful
from hustlex.jobs import Failed, Jobs, NeverRuns, Retry, Snooze, Stopping, Succeeded, Tasks, TooLate
from hustlex.jobs.keys import CANCEL, stop_channel
from hustlex.jobs.wire import decode_task
from tests.worker.support import DEFAULT, until

Start = Any
MILLISECOND, MINUTE, HOUR = timedelta(milliseconds=1), timedelta(minutes=1), timedelta(hours=1)


def stored(raw: redis.Redis, task_id: str) -> Any:
    return decode_task(raw.hget(DEFAULT.task(task_id), "msg"))


def state(raw: redis.Redis, task_id: str) -> str:
    return (raw.hget(DEFAULT.task(task_id), "state") or b"gone").decode()


async def test_a_running_task_is_stopped_and_not_tried_again(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    ended: list[str] = []

    @tasks.task("slow", max_retry=5, retry_delay=timedelta(0))
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("stopped")

    await start()
    await jobs.enqueue(slow.job(), task_id="x")
    await until(lambda: state(raw, "x") == "active" and raw.pubsub_numsub(CANCEL)[0][1] == 1)
    assert await jobs.cancel("x") == Stopping("x", "default", 1)
    await until(lambda: state(raw, "x") == "archived")
    assert ended == ["stopped"] and stored(raw, "x").error_msg == "context canceled"
    assert isinstance(await jobs.cancel("x"), TooLate)


async def test_a_cancellation_that_was_not_heard_is_found_by_the_heartbeat(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    @tasks.task("slow")
    async def slow() -> None:
        await asyncio.Event().wait()

    run = await start()
    await jobs.enqueue(slow.job(), task_id="x")
    await until(lambda: state(raw, "x") == "active")
    raw.hset(DEFAULT.task("x"), "canceled", "active")
    run.worker.parts.heartbeat.wake()
    await until(lambda: state(raw, "x") == "archived")


@pytest.mark.parametrize("how", ["returns", "fails", "in a thread", "fails in a thread", "too late in a thread"])
async def test_a_handler_that_ends_well_all_the_same_has_succeeded(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, how: str
) -> None:
    """Its effects are there."""
    go_on = threading.Event()

    @tasks.task("stubborn", retention=HOUR, timeout=timedelta(seconds=1 if "late" in how else 30))
    async def stubborn() -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if how == "fails":
                raise ValueError("as usual") from None
        return 7

    @tasks.task("thread", retention=HOUR, timeout=timedelta(seconds=1 if "late" in how else 30))
    def thread() -> int:
        go_on.wait(60)
        if how.startswith("fails"):
            raise ValueError("as usual")
        return 7

    await start()
    try:
        handle = (await jobs.enqueue((thread if "thread" in how else stubborn).job(), task_id="x")).or_raise()
        await until(lambda: state(raw, "x") == "active" and raw.pubsub_numsub(CANCEL)[0][1] == 1)
        assert isinstance(await jobs.cancel("x"), Stopping)
        if how == "too late in a thread":
            await until(lambda: state(raw, "x") != "active")
        go_on.set()
        ending = await handle.wait(timeout=timedelta(seconds=10))
    finally:
        go_on.set()
    well = how in ("returns", "in a thread")
    assert ending == (Succeeded(7) if well else Failed("context canceled")), ending


async def test_whoever_wins_a_cancelled_task_runs_at_most_as_it_was_answered(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    """Cancel against lease and against completion, many times: NeverRuns is never broken, nothing is tried twice."""
    started: list[int] = []

    @tasks.task("quick", retry_delay=timedelta(0))
    async def quick(n: int) -> None:
        started.append(n)
        await asyncio.sleep(0 if n % 3 else 0.002)
        if n % 2:
            raise ValueError("try again")

    await start(concurrency=20)
    answers: dict[int, Any] = {}

    async def race(n: int) -> None:
        await jobs.enqueue(quick.job(n), task_id=f"t{n}")
        for _ in range(n % 5):
            await asyncio.sleep(0)
        answers[n] = await jobs.cancel(f"t{n}", queue="default")

    for first in range(0, 300, 50):
        await asyncio.gather(*(race(n) for n in range(first, first + 50)))
    await until(lambda: not raw.exists(DEFAULT.pending, DEFAULT.active, DEFAULT.retry, DEFAULT.scheduled))
    for n, answer in answers.items():
        if isinstance(answer, NeverRuns):
            runs = started.count(n)
            assert runs == 0 or answer.was.value == "retry" or n % 2, (n, answer, runs)
            assert state(raw, f"t{n}") == "archived"
    never = [n for n, answer in answers.items() if isinstance(answer, NeverRuns) and answer.was.value == "pending"]
    untouched = [n for n in never if not n % 2]
    assert not set(untouched) & set(started)
    assert {type(answer) for answer in answers.values()} & {NeverRuns, Stopping}


async def test_what_expired_is_dropped_at_once(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    ran: list[str] = []

    @tasks.task("late")
    async def late(name: str) -> None:
        ran.append(name)

    await jobs.enqueue(late.job("late"), task_id="x", expires_in=MILLISECOND, unique_until="done")
    await jobs.enqueue(late.job("in time"), task_id="y", expires_in=HOUR)
    enqueued = raw.time()
    await until(lambda: raw.time() > (enqueued[0], enqueued[1] + 2_000))
    await start()
    await until(lambda: state(raw, "x") == "gone" and state(raw, "y") == "gone")
    assert ran == ["in time"] and not raw.exists(DEFAULT.archived, DEFAULT.retry, DEFAULT.failed)
    assert raw.get(DEFAULT.processed) == b"2" and raw.keys(DEFAULT.prefix + "unique:*") == []


async def test_whoever_waits_hears_that_a_job_expired(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    @tasks.task("late")
    async def late() -> int:
        return 7

    enqueued = await jobs.enqueue(late.job(), expires_in=MILLISECOND, unique_for=HOUR)
    handle = enqueued.or_raise()
    waiting = asyncio.create_task(handle.wait(timeout=timedelta(seconds=10)))
    await until(lambda: raw.hexists(DEFAULT.task(handle.id), "awaited"))
    await start()
    assert await waiting == Failed("expired before it was started")
    assert await jobs.result(handle.id, timeout=timedelta(0)) == Failed("expired before it was started")
    with pytest.raises(Unsuccessful, match="expired before"):
        await handle.result(timeout=timedelta(0))
    assert raw.get(DEFAULT.processed) == b"1" and not raw.exists(DEFAULT.failed, DEFAULT.archived)


async def test_a_retry_that_would_start_too_late_is_dropped(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    @tasks.task("fails", retry_delay=timedelta(milliseconds=600))
    async def fails() -> None:
        raise ValueError("once")

    await jobs.enqueue(fails.job(), task_id="x", expires_in=timedelta(milliseconds=500))
    await start()
    await until(lambda: state(raw, "x") in ("retry", "gone"))
    await until(lambda: state(raw, "x") == "gone")
    assert raw.get(DEFAULT.failed) in (b"1", None)


async def test_a_snooze_burns_no_retry_and_is_no_failure(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    runs: list[int] = []
    told: list[Exception] = []

    @tasks.task("early", max_retry=0)
    async def early() -> None:
        runs.append(1)
        if len(runs) < 4:
            raise Snooze(10 * MILLISECOND)

    await start(error_handler=lambda _, error: told.append(error))
    await jobs.enqueue(early.job(), task_id="x")
    await until(lambda: state(raw, "x") == "gone")
    assert len(runs) == 4 and told == [] and raw.get(DEFAULT.processed) == b"1" and not raw.exists(DEFAULT.failed)


async def test_a_snoozed_task_is_scheduled_and_can_be_cancelled(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    @tasks.task("early")
    async def early() -> None:
        raise Snooze(HOUR)

    await start()
    await jobs.enqueue(early.job(), task_id="x")
    await until(lambda: state(raw, "x") == "scheduled")
    assert (stored(raw, "x").retried, stored(raw, "x").error_msg) == (0, "")
    assert isinstance(await jobs.cancel("x"), NeverRuns)


async def test_a_retry_says_when_and_burns_one(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    @tasks.task("busy", max_retry=2, retry_delay=HOUR, is_failure=lambda _: False)
    async def busy(wait_ms: int) -> None:
        try:
            raise OSError("the bank is busy")
        except OSError as error:
            raise Retry(in_=wait_ms * MILLISECOND) from error

    await start()
    await jobs.enqueue(busy.job(5), task_id="soon")
    await jobs.enqueue(busy.job(600_000), task_id="later")
    await until(lambda: state(raw, "soon") == "archived" and state(raw, "later") == "retry")
    assert (stored(raw, "soon").retried, stored(raw, "later").retried) == (2, 1)
    wait_s = raw.zscore(DEFAULT.retry, "later") - raw.time()[0]
    assert 540 < wait_s <= 601


def test_waits_of_handlers_are_durations() -> None:
    for wrong in (5, None, timedelta(seconds=-1), timedelta.max):
        with pytest.raises(Misuse):
            Snooze(wrong)  # type: ignore[arg-type]
        with pytest.raises(Misuse):
            Retry(in_=wrong)  # type: ignore[arg-type]


async def test_stop_worker_ends_one_of_two_after_what_it_runs(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    @tasks.task("slow")
    async def slow() -> None:
        began.set()
        await go_on.wait()

    first, second = await start(), await start(queues={"other": 1})
    await until(lambda: raw.pubsub_numsub(stop_channel(first.worker.id))[0][1])
    await jobs.enqueue(slow.job(), task_id="x")
    await began.wait()
    assert await jobs.inspector.stop_worker(first.worker.id) == 1
    assert await jobs.inspector.stop_worker("nobody") == 0
    go_on.set()
    async with asyncio.timeout(50):
        await first.task
    assert state(raw, "x") == "gone"
    assert not second.task.done()


async def test_a_queue_that_was_deleted_under_its_producers_is_listed_again(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    """Who enqueued lately does not say the queue's name again at once, and might never."""

    @tasks.task("slow")
    async def slow() -> None:
        await asyncio.Event().wait()

    await jobs.enqueue(slow.job(), task_id="first", queue="default")
    await jobs.inspector.delete_queue("default", force=True)
    await jobs.enqueue(slow.job(), task_id="x")
    assert await jobs.inspector.queues() == []
    run = await start()
    await until(lambda: state(raw, "x") == "active")
    run.worker.parts.heartbeat.wake()
    await until(lambda: raw.smembers("asynq:queues") == {b"default"})
