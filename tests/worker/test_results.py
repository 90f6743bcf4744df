"""What a handler returns is its job's result: typed, kept as long as asked for, and there for whoever waits."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pydantic
import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.errors import NotReady, Unsuccessful
from hustlex.jobs import (
    RESULT,
    Enqueued,
    Failed,
    Gone,
    Job,
    Jobs,
    NotYet,
    PayloadError,
    RevokeTask,
    State,
    StateChange,
    Succeeded,
    Tasks,
    current_job,
)
from hustlex.jobs.keys import ended
from hustlex.sync import HustleX
from hustlex.testing import drain
from hustlex.worker import Worker
from tests.conftest import LONG, PATIENCE
from tests.worker.support import DEFAULT, until

SOON = timedelta(seconds=15)
KEPT = timedelta(minutes=5)
Start = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Receipt:
    id: uuid.UUID
    total: Decimal


RECEIPT = Receipt(uuid.UUID(int=7), Decimal("10.50"))


@pytest.mark.parametrize("options", [{}, {"retention": KEPT}])
@pytest.mark.parametrize("wait", [False, True])
async def test_the_value_comes_back_typed(
    jobs: Jobs, tasks: Tasks, start: Start, options: dict[str, Any], wait: bool
) -> None:
    @tasks.task("pay", **options)
    async def pay(wait: bool) -> Receipt:
        await asyncio.sleep(0.05 if wait else 0)
        return RECEIPT

    @tasks.task("plain", **options)
    def plain(wait: bool) -> list[Receipt]:
        return [RECEIPT]

    await start()
    assert await (await jobs.enqueue(pay.job(wait))).or_raise().result(timeout=SOON) == RECEIPT
    assert await (await jobs.enqueue(plain.job(wait))).or_raise().result(timeout=SOON) == [RECEIPT]


async def test_a_value_nobody_retains_is_there_for_half_a_minute_and_then_nothing(
    jobs: Jobs, tasks: Tasks, start: Start, raw: redis.Redis
) -> None:
    @tasks.task("t")
    async def handler() -> int:
        return 7

    @tasks.task("quiet")
    async def quiet() -> None: ...

    handle = (await jobs.enqueue(handler.job())).or_raise()
    await jobs.enqueue(quiet.job(), task_id="q")
    run = await start()
    await until(lambda: not raw.exists(DEFAULT.task(handle.id), DEFAULT.task("q")))
    await run.stop()
    notes = raw.keys("asynq:{default}:x:end:*")
    assert notes == [f"asynq:{{default}}:x:end:{handle.id}".encode()] and 0 < raw.ttl(notes[0]) <= 30
    assert await handle.wait(timeout=timedelta(0)) == Succeeded(7)
    assert await jobs.result(handle.id, timeout=timedelta(0)) == Succeeded(b"7")
    assert await jobs.result("q", timeout=timedelta(0)) == Succeeded(None)
    assert 0 < raw.ttl(ended(DEFAULT)) <= 30
    raw.delete(notes[0], ended(DEFAULT))
    assert await jobs.result("q", timeout=timedelta(0)) == Gone()
    with pytest.raises(Unsuccessful, match="retention") as gone:
        await handle.result(timeout=timedelta(0))
    assert gone.value.outcome == Gone()


async def test_an_argument_that_breaks_its_constraint_is_archived_without_a_retry(
    jobs: Jobs, tasks: Tasks, start: Start
) -> None:
    ran: list[int] = []

    @tasks.task("pay")
    async def pay(kobo: pydantic.PositiveInt) -> None:
        ran.append(kobo)

    with pytest.raises(PayloadError, match=r"greater than 0 - at `\$\.kobo`"):
        pay.job(-1)
    handle = (await jobs.enqueue("pay", {"kobo": -1})).or_raise()
    await start()
    ending = await handle.wait(timeout=SOON)
    assert isinstance(ending, Failed) and "greater than 0" in ending.error
    assert (await jobs.inspector.task("default", handle.id)).retried == 0 and ran == []


async def test_the_last_thousand_jobs_that_left_nothing_are_known_to_have_succeeded(
    jobs: Jobs, tasks: Tasks, start: Start, raw: redis.Redis
) -> None:
    @tasks.task("t")
    async def handler() -> None: ...

    first = (await jobs.enqueue(handler.job())).or_raise()
    await start(concurrency=50)
    assert await first.result(timeout=SOON) is None
    handles = [each.or_raise() for each in await jobs.enqueue_many([handler.job()] * 1_200)]
    await until(lambda: not raw.exists(DEFAULT.pending, DEFAULT.active))
    assert raw.llen(ended(DEFAULT)) == 1_000
    assert await handles[-1].wait(timeout=timedelta(0)) == Succeeded(None)
    assert await handles[0].wait(timeout=timedelta(0)) == Gone()
    async with contextlib.aclosing(jobs.follow(handles[-1])) as items:
        assert [item.state async for item in items if isinstance(item, StateChange)] == [State.COMPLETED]
    past = datetime(2020, 1, 1, tzinfo=UTC)
    again = (await jobs.enqueue(handler.job(), task_id=handles[-1].id, expires_at=past)).or_raise()
    await until(lambda: not raw.exists(DEFAULT.task(again.id)))
    assert await again.wait(timeout=timedelta(0)) == Gone(), "expired: the success was that of another"
    later = (await jobs.enqueue("t", task_id=handles[-2].id, process_in=timedelta(hours=1))).or_raise()
    await jobs.inspector.delete("default", later.id)
    assert await later.wait(timeout=timedelta(0)) == Gone()


async def test_whoever_waits_hears_of_a_job_that_returns_nothing(
    jobs: Jobs, tasks: Tasks, start: Start, raw: redis.Redis
) -> None:
    go_on = asyncio.Event()

    @tasks.task("t", queue="other")
    async def handler() -> None:
        await go_on.wait()

    handle = (await jobs.enqueue(handler.job())).or_raise()
    waiting = asyncio.create_task(handle.wait(timeout=SOON))
    by_id = asyncio.create_task(jobs.result(handle.id, timeout=SOON))
    await start(queues={"other": 1})
    await until(lambda: raw.hexists(f"asynq:{{other}}:t:{handle.id}", "awaited"))
    go_on.set()
    assert (await waiting, await by_id) == (Succeeded(None), Succeeded(None))
    assert 30 < raw.ttl(f"asynq:{{other}}:x:end:{handle.id}") <= 300


async def test_what_fails_is_a_value_or_an_error_that_carries_it(jobs: Jobs, tasks: Tasks, start: Start) -> None:
    @tasks.task("t", max_retry=0)
    async def handler() -> int:
        raise ValueError("no such user")

    handle = (await jobs.enqueue(handler.job())).or_raise()
    with pytest.raises(NotReady) as late:
        await handle.result(timeout=timedelta(0))
    assert isinstance(late.value, TimeoutError) and isinstance(late.value.outcome, NotYet)
    await start()
    failed = await handle.wait(timeout=SOON)
    assert failed == Failed("ValueError: no such user")
    with pytest.raises(Unsuccessful, match="no such user") as error:
        await handle.result(timeout=SOON)
    assert error.value.outcome == failed


async def test_what_was_written_wins_and_wrong_results_fail_without_a_retry(
    jobs: Jobs, tasks: Tasks, start: Start
) -> None:
    runs: list[int] = []

    @tasks.task("written", retention=KEPT)
    async def written() -> str:
        await current_job().result.write("written")
        return "returned"

    @tasks.task("wrong")
    async def wrong() -> int:
        runs.append(1)
        return "text"  # type: ignore[return-value]

    @tasks.task("nan")
    def nan() -> Any:
        return {"rate": float("nan")}

    await start()
    assert await (await jobs.enqueue(written.job())).or_raise().result(timeout=SOON) == "written"
    ending = await (await jobs.enqueue(wrong.job())).or_raise().wait(timeout=SOON)
    assert isinstance(ending, Failed) and "the result of 'wrong' is not what its annotation says" in ending.error
    ending = await (await jobs.enqueue(nan.job())).or_raise().wait(timeout=SOON)
    assert isinstance(ending, Failed) and "rate is nan" in ending.error
    assert runs == [1]


async def test_returned_values_are_passed_on_in_a_workflow(jobs: Jobs, tasks: Tasks, start: Start) -> None:
    @tasks.task("one")
    async def one(n: int) -> Receipt:
        return Receipt(uuid.UUID(int=n), Decimal(n))

    @tasks.task("two", retention=KEPT)
    def two(receipt: Receipt) -> Decimal:
        return receipt.total + 1

    await start()
    started = await jobs.start(one.job(4).then(two.job(RESULT)))
    assert await jobs.result(started.last, timeout=SOON) == Succeeded(b'"5"')


async def test_a_middleware_that_drops_the_value_does_not_lose_it(jobs: Jobs, tasks: Tasks, start: Start) -> None:
    seen: list[Any] = []

    async def middleware(job: Any, handle: Any) -> None:
        seen.append(await handle())

    @tasks.task("t")
    async def handler() -> int:
        return 7

    await start(middleware=[middleware])
    assert await (await jobs.enqueue(handler.job())).or_raise().result(timeout=SOON) == 7
    assert seen == [7]


async def plus(n: int) -> int:
    await asyncio.sleep(0.001)
    return n + 1


async def coroutine_of(n: int) -> Any:
    return plus(n)


async def slow_coroutine_of(n: int) -> Any:
    await asyncio.sleep(0.001)
    return plus(n)


async def fails_late(n: int) -> Any:
    async def rest() -> int:
        await asyncio.sleep(0.001)
        raise RevokeTask

    return rest()


@pytest.mark.parametrize("middleware", [False, True])
async def test_what_a_handler_returns_is_awaited_before_the_job_is_done(
    jobs: Jobs, tasks: Tasks, start: Start, middleware: bool
) -> None:
    async def through(job: Any, handle: Any) -> Any:
        return await handle()

    handlers: list[Any] = [lambda n: plus(n), coroutine_of, slow_coroutine_of]
    made = [tasks.task(f"t{n}")(handler) for n, handler in enumerate(handlers)]
    late = tasks.task("late")(fails_late)
    await start(middleware=[through] if middleware else [])
    for task in made:
        assert await (await jobs.enqueue(task.job(n=1))).or_raise().result(timeout=SOON) == 2
    handle = (await jobs.enqueue(late.job(1))).or_raise()
    assert await handle.wait(timeout=SOON) in (Succeeded(None), Gone())


async def test_a_worker_does_not_start_with_a_task_it_could_never_run(driver: Any, tasks: Tasks) -> None:
    def handler(n: Any) -> None: ...

    handler.__annotations__["n"] = "Nowhere"
    tasks.task("t")(handler)
    with pytest.raises(ValueError, match="parameter 'n' of 't' names 'Nowhere'"):
        Worker(driver, tasks)


async def test_a_blocking_handle_waits_too(url: str, tasks: Tasks, start: Start) -> None:
    @tasks.task("t")
    async def handler(n: int) -> Receipt:
        return Receipt(uuid.UUID(int=n), Decimal(n))

    def wait() -> Receipt:
        with HustleX(url, timeout=PATIENCE) as hx:
            return hx.jobs.enqueue(handler.job(3)).or_raise().result(timeout=SOON)

    await start()
    assert await asyncio.to_thread(wait) == Receipt(uuid.UUID(int=3), Decimal(3))


async def test_a_drained_job_has_its_result(driver: Any, jobs: Jobs, tasks: Tasks) -> None:
    @tasks.task("t")
    def handler(n: int) -> set[int]:
        return {n}

    handle = (await jobs.enqueue(handler.job(3), queue="low")).or_raise()
    await drain(driver, tasks)
    assert await handle.result(timeout=timedelta(0)) == {3}
    assert await jobs.result(handle.id, timeout=timedelta(0)) == Succeeded(b"[3]")


def test_an_outcome_is_never_taken_for_another() -> None:
    from hustlex.jobs import Debounced, Duplicate, IdTaken, QueueFull, State

    for refusal in (Duplicate("a", "q"), IdTaken("a", "q"), Debounced("a", "q"), QueueFull("q", 1, 1)):
        with pytest.raises(TypeError):
            bool(refusal)
        assert not hasattr(refusal, "id")
        with pytest.raises(Unsuccessful) as error:
            refusal.or_raise()
        assert error.value.outcome is refusal
    accepted: Enqueued[Any] = Enqueued("a", "q", State.PENDING)
    assert accepted.or_raise() is accepted


async def test_large_results_are_told_in_several_passes(
    url: str, jobs: Jobs, tasks: Tasks, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pass with all of them would take longer than a pass may, and be begun anew for ever."""
    monkeypatch.setattr("hustlex.worker.queue_state.MOST_BYTES", 30_000)
    together, told = asyncio.Barrier(8), list[str]()

    @tasks.task("large", retention=KEPT)
    async def large() -> str:
        await together.wait()
        return "x" * 20_000

    async with Driver(url, timeout=LONG, hook=lambda call: told.extend(call.ops)) as driver:
        await start(driver, concurrency=8)
        made = [(await jobs.enqueue(large.job())).or_raise() for _ in range(8)]
        for handle in made:
            assert len(await handle.result(timeout=SOON)) == 20_000
    assert told.count("jobs.answer") == 8


@pytest.mark.parametrize("written", [False, True])
async def test_a_result_too_large_to_be_told_fails_the_job_and_no_other(
    jobs: Jobs, tasks: Tasks, start: Start, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    for module in ("checks", "enqueue.draft"):
        monkeypatch.setattr(f"hustlex.jobs.{module}.LARGEST", 1_000)

    @tasks.task("large", retention=KEPT)
    async def large(size: int) -> str:
        if written:
            await current_job().result.write("x" * size)
        return "x" * size

    await start()
    made = [(await jobs.enqueue(large.job(size))).or_raise() for size in (5_000, 500)]
    ends = [await handle.wait(timeout=SOON) for handle in made]
    assert isinstance(ends[0], Failed)
    assert "has 5,0" in ends[0].error
    assert isinstance(ends[1], Succeeded)
    with pytest.raises(PayloadError, match="the payload of 'raw' has 1,001 bytes"):
        await jobs.enqueue("raw", b"x" * 1_001)


async def test_many_large_tasks_are_several_calls(
    jobs: Jobs, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hustlex.jobs.enqueue.flows._MOST_BYTES", 10_000)
    raw.config_resetstat()
    outcomes = await jobs.enqueue_many([Job("a", b"x" * size) for size in (9_000, 9_000, 20_000, 4_000, 4_000)])
    assert all(isinstance(outcome, Enqueued) for outcome in outcomes)
    calls = raw.info("commandstats")
    assert sum(found["calls"] for name, found in calls.items() if "eval" in name) == 4
