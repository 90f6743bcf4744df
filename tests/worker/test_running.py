"""A running worker: what handlers get, what becomes of their tasks, on a real server."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from hustlex.drivers.aio import Driver, Options
from hustlex.jobs import Jobs, Tasks, current_job
from hustlex.jobs.define.signals import RevokeTask, SkipRetry
from hustlex.jobs.wire import decode_task
from hustlex.worker import Worker
from hustlex.worker.fetch.fetcher import Fetcher
from hustlex.worker.fetch.waiter import Waiter
from tests.worker.support import DEFAULT, dump, message, put, until

Start = Any


def stored(raw: redis.Redis, task_id: str) -> Any:
    """The task's message as Redis has it."""
    return decode_task(raw.hget(DEFAULT.task(task_id), "msg"))


def state(raw: redis.Redis, task_id: str) -> str:
    found = raw.hget(DEFAULT.task(task_id), "state")
    return found.decode() if found else "gone"


async def test_every_task_runs_once_and_only_counters_are_left(
    tasks: Tasks, jobs: Jobs, start: Start, raw: redis.Redis
) -> None:
    ran: list[int] = []

    @tasks.task("quick")
    async def quick(n: int) -> None:
        ran.append(n)

    @tasks.task("slow")
    async def slow(n: int) -> None:
        await asyncio.sleep(0.001)
        ran.append(n)

    @tasks.task("plain")
    def plain(n: int) -> None:
        ran.append(n)

    kinds = (quick, slow, plain)
    await jobs.enqueue_many([kinds[n % 3].job(n) for n in range(600)])
    running = await start()
    await until(lambda: len(ran) == 600)
    await running.stop()
    assert sorted(ran) == list(range(600))
    briefly = ("x:sent:", "x:ended")
    left = {key for key in dump(raw) if not key.startswith(briefly)}
    assert left == {"processed", f"processed:{datetime.now(UTC):%Y-%m-%d}"}
    assert raw.get(DEFAULT.processed) == b"600"
    assert raw.keys("asynq:servers*") == raw.keys("asynq:workers*") == []


async def test_a_lone_job_starts_before_anything_is_planned_again_and_is_waited_for_once(
    tasks: Tasks, jobs: Jobs, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an idle worker does between a push and the handler is time that each lone job waits."""
    seen: list[str] = []

    def noted(owner: type, name: str) -> None:
        inner = getattr(owner, name)

        def note(*args: Any, **kwargs: Any) -> Any:
            seen.append(name)
            return inner(*args, **kwargs)

        monkeypatch.setattr(owner, name, note)

    @tasks.task("t")
    async def t() -> None:
        seen.append("ran")

    noted(Fetcher, "plan")
    noted(Fetcher, "_receive")
    noted(Waiter, "tick")
    running = await start()
    (waiter,) = running.worker.parts.waiters.values()
    (queue,) = running.worker.parts.waiters
    after: list[str] = []
    passes: list[int] = []
    for _ in range(5):
        await until(lambda: queue.quiet and not waiter.resting)
        seen.clear()
        await jobs.enqueue(t.job())
        await until(lambda: "ran" in seen and queue.quiet and not waiter.resting)
        after.append(seen[seen.index("_receive") + 1])
        passes.append(seen.count("tick"))
    assert "ran" in after
    assert passes[1:] == [1] * 4


async def test_queues_that_sleep_cost_a_call_nothing(tasks: Tasks, jobs: Jobs, start: Start) -> None:
    """Of a thousand queues nearly all are asleep: what each call looks at is those that have something."""
    ran: list[str] = []

    @tasks.task("t")
    async def t(name: str) -> None:
        ran.append(name)

    names = [f"q{n}" for n in range(30)]
    running = await start(queues=dict.fromkeys(names, 1))
    fetcher = running.worker.parts.fetcher
    await until(lambda: not fetcher._lively)
    for name in (names[7], names[7], names[29]):
        await jobs.enqueue(t.job(name), queue=name)
        await until(lambda: ran[-1:] == [name])  # noqa: B023 - awaited here
    await until(lambda: not fetcher._lively)
    assert ran == ["q7", "q7", "q29"]


async def test_a_handler_sees_its_job_and_the_lifespan(jobs: Jobs, start: Start, tasks: Tasks) -> None:
    seen: dict[str, Any] = {}
    closed: list[bool] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[str]:
        yield "a pool"
        closed.append(True)

    tasks.lifespan = lifespan

    @tasks.task("look", timeout=timedelta(seconds=20), max_retry=7)
    async def look(name: str) -> None:
        await asyncio.sleep(0)
        job = current_job()
        seen.update(id=job.id, queue=job.queue, state=job.state, retry=job.max_retry, headers=job.headers, name=name)
        seen["left"] = job.deadline - datetime.now(UTC)

    @tasks.task("thread")
    def thread() -> None:
        seen["thread"] = (current_job().id, threading.current_thread() is not threading.main_thread())

    await jobs.enqueue(look.job("x"), task_id="t1", headers={"trace": "abc"})
    await jobs.enqueue(thread.job(), task_id="t2")
    running = await start()
    await until(lambda: len(seen) == 8)
    assert seen["id"] == "t1" and seen["queue"] == "default" and seen["name"] == "x"
    assert seen["state"] == "a pool" and seen["retry"] == 7 and seen["headers"] == {"trace": "abc"}
    assert timedelta(seconds=18) < seen["left"] <= timedelta(seconds=20.1)
    assert seen["thread"] == ("t2", True)
    assert not closed
    await running.stop()
    assert closed


async def test_handlers_have_context_variables_of_their_own(jobs: Jobs, start: Start, tasks: Tasks) -> None:
    user: contextvars.ContextVar[int] = contextvars.ContextVar("user", default=-1)
    mixed: list[tuple[int, int]] = []

    @tasks.task("scope")
    async def scope(n: int) -> None:
        assert user.get() == -1
        user.set(n)
        if n % 2:
            await asyncio.sleep(0.001)
        mixed.append((n, user.get()))

    await jobs.enqueue_many([scope.job(n) for n in range(100)])
    await start()
    await until(lambda: len(mixed) == 100)
    assert all(own == n for n, own in mixed)


async def test_asyncio_timeouts_and_groups_work_inside_handlers(jobs: Jobs, start: Start, tasks: Tasks) -> None:
    outcome: dict[str, Any] = {}

    @tasks.task("structured")
    async def structured() -> None:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(30)
        except TimeoutError:
            outcome["timeout"] = True
        async with asyncio.TaskGroup() as group:
            parts = [group.create_task(asyncio.sleep(0.001, n)) for n in range(3)]
        outcome["group"] = [part.result() for part in parts]

    await jobs.enqueue(structured.job())
    await jobs.enqueue(structured.job())
    await start(concurrency=1)
    await until(lambda: "group" in outcome)
    assert outcome == {"timeout": True, "group": [0, 1, 2]}


async def test_a_failure_is_retried_then_archived(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    told: list[str] = []

    @tasks.task("fails", max_retry=1)
    async def fails() -> None:
        raise ValueError("no such user")

    await jobs.enqueue(fails.job(), task_id="f1")
    await start(
        retry_delay=timedelta(0),
        error_handler=lambda message, error: told.append(f"{message.id} {error}"),
    )
    await until(lambda: state(raw, "f1") == "archived")
    found = stored(raw, "f1")
    assert (found.retried, found.error_msg) == (1, "ValueError: no such user")
    assert abs(found.last_failed_at - datetime.now(UTC).timestamp()) < 5
    assert (raw.get(DEFAULT.processed), raw.get(DEFAULT.failed)) == (b"2", b"2")
    assert told == ["f1 no such user"] * 2


async def test_the_delay_grows_as_asynqs_does(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    @tasks.task("fails")
    async def fails() -> None:
        raise ValueError

    put(raw, *(message(f"r{n}", type="fails", retried=3) for n in range(20)))
    await start()
    await until(lambda: raw.zcard(DEFAULT.retry) == 20)
    waits = [
        score - stored(raw, task_id.decode()).last_failed_at
        for task_id, score in raw.zrange(DEFAULT.retry, 0, -1, withscores=True)
    ]
    assert all(96 <= wait <= 230 for wait in waits)  # 212, and what a busy machine takes to write it down
    assert {stored(raw, f"r{n}").error_msg for n in range(20)} == {"ValueError"}


async def test_what_is_no_failure_counts_nothing(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    @tasks.task("busy")
    async def busy() -> None:
        raise BlockingIOError("come again")

    await jobs.enqueue(busy.job(), task_id="b1")
    await jobs.enqueue(busy.job(), task_id="b0", max_retry=0)
    await start(is_failure=lambda error: not isinstance(error, BlockingIOError))
    await until(lambda: (state(raw, "b1"), state(raw, "b0")) == ("retry", "archived"))
    assert (stored(raw, "b1").retried, stored(raw, "b1").error_msg) == (0, "BlockingIOError: come again")
    assert raw.get(DEFAULT.failed) == b"1"  # archiving counts


async def test_a_handler_may_skip_retries_or_revoke(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    @tasks.task("skip")
    async def skip() -> None:
        raise SkipRetry("never again")

    @tasks.task("wrapped")
    def wrapped() -> None:
        try:
            raise KeyError("x")
        except KeyError as error:
            raise RuntimeError("hopeless") from SkipRetry(str(error))

    @tasks.task("revoke", retention=timedelta(hours=1))
    async def revoke() -> None:
        await asyncio.sleep(0)
        raise RevokeTask

    for task in (skip, wrapped, revoke):
        await jobs.enqueue(task.job(), task_id=task.type, unique_for=timedelta(minutes=1))
    await start()
    await until(lambda: raw.get(DEFAULT.processed) == b"3")
    assert [state(raw, name) for name in ("skip", "wrapped", "revoke")] == ["archived", "archived", "gone"]
    assert stored(raw, "skip").error_msg == "SkipRetry: never again"
    locks = {key.split(b":")[3] for key in raw.keys("asynq:{default}:unique:*")}
    assert locks == {b"skip", b"wrapped"}
    assert raw.get(DEFAULT.failed) == b"2"


async def test_a_payload_that_does_not_fit_is_archived_before_the_handler(
    start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    @tasks.task("typed")
    async def typed(amount: int) -> None:
        raise AssertionError("must not run")

    put(raw, message("p1", type="typed", payload=b'{"amount": "many"}'), message("p2", type="typed", payload=b"\xff"))
    await start()
    await until(lambda: (state(raw, "p1"), state(raw, "p2")) == ("archived", "archived"))
    assert "amount" in stored(raw, "p1").error_msg
    assert "many" not in stored(raw, "p1").error_msg


async def test_a_message_that_cannot_be_decoded_is_set_aside(start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    ran: list[int] = []

    @tasks.task("fine")
    async def fine() -> None:
        ran.append(1)

    raw.hset(DEFAULT.task("bad"), mapping={"msg": b"\x0a\xff", "state": "pending"})
    raw.lpush(DEFAULT.pending, "bad")
    put(raw, message("good", type="fine"))
    await start()
    await until(lambda: ran and raw.hget(DEFAULT.prefix + "x:parked", "bad") == b"\x0a\xff")
    await until(lambda: not raw.exists(DEFAULT.active, DEFAULT.lease, DEFAULT.task("bad")))


async def test_a_result_is_kept_while_retention_lasts(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    @tasks.task("sum", retention=timedelta(minutes=5))
    async def add(a: int, b: int) -> None:
        assert await current_job().result.write({"sum": a + b})

    await jobs.enqueue(add.job(2, 3), task_id="s1")
    await start()
    await until(lambda: state(raw, "s1") == "completed")
    found = raw.hgetall(DEFAULT.task("s1"))
    assert found[b"result"] == b'{"sum":5}'
    completed_at = stored(raw, "s1").completed_at
    assert raw.zscore(DEFAULT.completed, "s1") - completed_at in (300, 301)
    assert set(found) == {b"msg", b"state", b"result"}


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_timeout_ends_the_attempt(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, kind: str) -> None:
    release = threading.Event()
    ended: list[str] = []

    if kind == "async":

        @tasks.task("hangs", timeout=timedelta(seconds=1))
        async def hangs() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append("cancelled")
    else:

        @tasks.task("hangs", timeout=timedelta(seconds=1))
        def hangs() -> None:
            release.wait(60)

    await jobs.enqueue(hangs.job(), task_id="h1")
    running = await start(concurrency=1)
    await until(lambda: state(raw, "h1") == "retry")
    assert stored(raw, "h1").error_msg == "context deadline exceeded"
    if kind == "thread":  # the thread holds its slot until it ends
        assert running.worker.parts.executor.busy == 1
        release.set()
    else:
        assert ended == ["cancelled"]
    await until(lambda: running.worker.parts.executor.busy == 0)
    assert raw.get(DEFAULT.failed) == b"1"


async def test_an_attempt_past_its_deadline_never_starts(start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    @tasks.task("late")
    async def late() -> None:
        raise AssertionError("must not run")

    put(raw, message("l1", type="late", timeout=0, deadline=1_700_000_000, retry=25))
    await start()
    await until(lambda: state(raw, "l1") == "archived")  # nor could any attempt after it
    assert stored(raw, "l1").error_msg == "context deadline exceeded"


@pytest.mark.parametrize("ahead_s", [60, 3600])
async def test_a_failure_is_retried_while_an_attempt_can_start_before_the_deadline(
    start: Start, tasks: Tasks, raw: redis.Redis, ahead_s: int
) -> None:
    @tasks.task("fails", retry_delay=timedelta(minutes=5))
    async def fails() -> None:
        raise ValueError("told")

    put(raw, message("f1", type="fails", timeout=0, deadline=raw.time()[0] + ahead_s, retry=25))
    await start()
    await until(lambda: state(raw, "f1") in ("retry", "archived"))
    assert state(raw, "f1") == ("archived" if ahead_s < 300 else "retry")
    assert stored(raw, "f1").error_msg == "ValueError: told"


async def test_a_handler_that_will_not_stop_is_settled_without_it(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hustlex.worker.execute.handlers.PATIENCE_MS", 50)
    release = asyncio.Event()

    @tasks.task("stubborn", timeout=timedelta(seconds=1))
    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    await jobs.enqueue(stubborn.job(), task_id="h1")
    running = await start(concurrency=1)
    await until(lambda: state(raw, "h1") == "retry")
    assert running.worker.parts.executor.busy == 1
    release.set()
    await until(lambda: running.worker.parts.executor.busy == 0)
    assert raw.get(DEFAULT.processed) == raw.get(DEFAULT.failed) == b"1"


async def test_a_cancelled_thread_that_hangs_is_shown_and_may_still_succeed(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No thread can be told to stop. It holds the slot until it ends, which health says long before its deadline."""
    monkeypatch.setattr("hustlex.worker.execute.deadlines.PATIENCE_MS", 50)
    release = threading.Event()

    @tasks.task("thread", timeout=timedelta(minutes=30), retention=timedelta(hours=1))
    def thread() -> str:
        release.wait(30)
        return "late"

    await jobs.enqueue(thread.job(), task_id="t1")
    run = await start(concurrency=1)
    await until(lambda: run.worker.parts.executor.waiting)
    await until(lambda: raw.publish("asynq:cancel", "t1"))
    await until(lambda: run.worker.health.hung)
    assert run.worker.health.hung == {"thread": 1}
    assert "do not end: thread" in run.worker.health.trouble["slots"]
    assert state(raw, "t1") == "active"
    release.set()
    await until(lambda: state(raw, "t1") == "completed" and not run.worker.health.hung)
    assert run.worker.health.ok


async def test_a_cancelled_task_fails_with_gos_text(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    began: list[str] = []

    @tasks.task("long")
    async def long() -> None:
        began.append(current_job().id)
        await asyncio.sleep(60)

    @tasks.task("obedient")
    async def obedient() -> None:
        began.append(current_job().id)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise SkipRetry("cancelled for good") from None

    await jobs.enqueue(long.job(), task_id="c1")
    await jobs.enqueue(obedient.job(), task_id="c2")
    await start()
    await until(lambda: len(began) == 2)
    await until(lambda: raw.publish("asynq:cancel", "c1"))
    raw.publish("asynq:cancel", "c2")
    raw.publish("asynq:cancel", "nobody")
    await until(lambda: (state(raw, "c1"), state(raw, "c2")) == ("retry", "archived"))
    assert stored(raw, "c1").error_msg == "context canceled"
    assert stored(raw, "c2").error_msg == "SkipRetry: cancelled for good"


async def test_a_handler_that_cancels_itself_harms_nobody(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    fine: list[int] = []

    @tasks.task("suicidal")
    async def suicidal(wait: bool) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if wait:
            await asyncio.sleep(60)

    @tasks.task("exits")
    async def exits() -> None:
        raise SystemExit(3)

    @tasks.task("fine")
    async def ok(n: int) -> None:
        await asyncio.sleep(0.001)
        fine.append(n)

    mixed = [suicidal.job(wait=True), suicidal.job(wait=False), exits.job()] * 5
    await jobs.enqueue_many([job for n, first in enumerate(mixed) for job in (first, ok.job(n))])
    await start(concurrency=2)
    await until(lambda: raw.get(DEFAULT.processed) == b"30")
    assert len(fine) == 15 and raw.zcard(DEFAULT.retry) == 10


async def test_middleware_wraps_handlers_outermost_first(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    trail: list[str] = []

    def named(name: str) -> Any:
        async def around(job: Any, handle: Any) -> Any:
            trail.append(f"{name}>{job.type}")
            try:
                return await handle()
            finally:
                trail.append(f"<{name}")

        return around

    @tasks.task("async")
    async def one() -> None:
        trail.append("one")

    @tasks.task("plain")
    def two() -> None:
        trail.append("two")

    await jobs.enqueue(one.job())
    running = await start(middleware=[named("a"), named("b")])
    await until(lambda: len(trail) == 5)
    await jobs.enqueue(two.job())
    await until(lambda: len(trail) == 10)
    put(raw, message("u1", type="unknown"))
    await until(lambda: len(trail) == 14)
    assert trail == [
        "a>async",
        "b>async",
        "one",
        "<b",
        "<a",
        "a>plain",
        "b>plain",
        "two",
        "<b",
        "<a",
        "a>unknown",
        "b>unknown",
        "<b",
        "<a",
    ]
    assert running.worker.health.ok


async def test_no_more_handlers_run_than_slots(jobs: Jobs, start: Start, tasks: Tasks) -> None:
    now, most, ended = 0, 0, 0

    @tasks.task("count")
    async def count() -> None:
        nonlocal now, most, ended
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1
        ended += 1

    await jobs.enqueue_many([count.job() for _ in range(200)])
    await start(concurrency=7)
    await until(lambda: ended == 200)
    assert most == 7


async def test_a_push_wakes_an_idle_worker_and_pausing_stops_it(start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    ran: list[float] = []
    loop = asyncio.get_running_loop()

    @tasks.task("ping")
    async def ping() -> None:
        ran.append(loop.time())

    running = await start(queues={"default": 3, "low": 1})
    waits = []
    for n in range(20):
        await until(lambda: raw.info("clients")["blocked_clients"] == 2)
        sent = loop.time()
        put(raw, message(f"t{n}", type="ping"))  # as Go does, without a hint to anybody
        await until(lambda n=n: len(ran) == n + 1)
        waits.append(ran[-1] - sent)
    assert sorted(waits)[10] < 0.25, "looking once a second would take half of one"
    raw.set(DEFAULT.paused, 1)
    await until(lambda: raw.info("clients")["blocked_clients"] == 2)
    put(raw, message("late", type="ping"))
    await until(lambda: running.worker.parts.queues[0].paused)
    assert len(ran) == 20 and raw.llen(DEFAULT.pending) == 1
    raw.delete(DEFAULT.paused)
    await until(lambda: len(ran) == 21)


async def test_a_worker_of_more_queues_than_connections_for_waiting_is_well(
    url: str, tasks: Tasks, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[int] = []

    @tasks.task("t")
    async def t(n: int) -> None:
        ran.append(n)

    names = [f"tenant-{number}" for number in range(8)]
    async with (
        Driver(url, Options(blocking=2)) as driver,
        Worker(driver, tasks, queues=dict.fromkeys(names, 1)) as worker,
    ):
        fetched = worker.parts.waiters
        await until(lambda: sum(not waiter.resting for waiter in fetched.values()) == len(names))
        for number, name in enumerate(names):
            put(raw, message(f"j{number}", type="t", queue=name, payload=b'{"n":%d}' % number))
        await until(lambda: sorted(ran) == list(range(len(names))))
        assert worker.health.ok, worker.health.trouble
    assert "blocking" not in caplog.text
