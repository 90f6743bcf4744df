"""Tasks are where free slots are: nothing stays hidden in a worker that is full, and one that is lost says so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.errors import Unavailable
from hustlex.jobs import Jobs, Tasks
from hustlex.jobs.lease.limits import Limits
from hustlex.worker.maintain.aggregator import Aggregator
from hustlex.worker.queue_state import LeasedTask
from tests.worker.support import DEFAULT, Running, running, until

Start = Callable[..., Awaitable[Running]]


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Set at the end of the test, so that no thread outlives it."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("keyed", [False, True], ids=["plain", "with turns"])
async def test_what_was_leased_for_short_tasks_goes_back_when_long_ones_fill_the_slots(
    driver: Driver, jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, keyed: bool
) -> None:
    """Others have free slots: they get all of it, in its order, whatever the average of the past says."""
    go, ran = asyncio.Event(), list[int]()

    @tasks.task("short")
    async def short() -> None: ...

    @tasks.task("long")
    async def long() -> None:
        await go.wait()

    @tasks.task("next", **({"key": "n", "max_concurrency": 9} if keyed else {}))
    async def following(n: int) -> None:
        ran.append(n)

    full = await start(concurrency=4)
    await jobs.enqueue_many([short.job() for _ in range(400)])
    await until(lambda: raw.get(DEFAULT.processed) == b"400")
    made = [long.job()] * 4 + [following.job(n) for n in range(4)]
    await jobs.enqueue_many(made)
    await until(lambda: len(full.worker.parts.executor.waiting) == 4 and raw.llen(DEFAULT.pending) == 4)
    await until(lambda: len(full.worker.parts.queues[0].held) == 4)
    assert full.worker.health.ahead == 0
    assert not ran
    async with running(driver, tasks, concurrency=1):
        await until(lambda: len(ran) == 4)
        go.set()
        await until(lambda: raw.get(DEFAULT.processed) == b"408")
    assert ran == [0, 1, 2, 3]
    assert not raw.exists(DEFAULT.retry, DEFAULT.active, DEFAULT.lease)


async def test_what_cannot_be_given_back_now_is_given_back_later(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = asyncio.Event()

    @tasks.task("long")
    async def long() -> None:
        await go.wait()

    run = await start(concurrency=2)
    monkeypatch.setattr(run.worker.parts.admission, "surplus", lambda: 2)

    async def away(_: Any, __: Any, given: list[LeasedTask]) -> Any:
        return given, Unavailable("away")

    monkeypatch.setattr("hustlex.worker.fetch.surplus.give_back", away)
    await jobs.enqueue_many([long.job()] * 4)
    await until(lambda: "surplus" in run.worker.health.trouble)
    assert raw.llen(DEFAULT.active) == 4
    monkeypatch.undo()
    await until(lambda: raw.llen(DEFAULT.pending) == 2 and run.worker.health.ok)
    assert raw.llen(DEFAULT.active) == 2
    go.set()
    await until(lambda: raw.get(DEFAULT.processed) == b"4")


async def test_a_limit_of_this_worker_alone_hides_nothing_from_others(
    driver: Driver, jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    go, ran = asyncio.Event(), list[str]()

    @tasks.task("narrow", max_per_worker=1)
    async def narrow(n: int) -> None:
        ran.append(f"{n}")
        await go.wait()

    await start(concurrency=4)
    await jobs.enqueue_many([narrow.job(n) for n in range(2)])
    await until(lambda: ran == ["0"])
    async with running(driver, tasks, concurrency=4):
        await until(lambda: len(ran) == 2)
        go.set()
        await until(lambda: raw.get(DEFAULT.processed) == b"2")


def hanging(tasks: Tasks, kind: str, release: threading.Event) -> Any:
    """A task that does not end when it is told to."""
    if kind == "thread":

        @tasks.task("hangs", timeout=timedelta(seconds=1))
        def plain() -> None:
            release.wait(60)

        return plain

    @tasks.task("hangs", timeout=timedelta(seconds=1))
    async def deaf() -> None:
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    return deaf


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
async def test_a_worker_full_of_handlers_that_do_not_end_says_so_and_takes_nothing(
    jobs: Jobs,
    start: Start,
    tasks: Tasks,
    raw: redis.Redis,
    release: threading.Event,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    monkeypatch.setattr("hustlex.worker.execute.handlers.PATIENCE_MS", 50)
    hangs = hanging(tasks, kind, release)
    fine: list[int] = []

    @tasks.task("fine")
    async def ok() -> None:
        fine.append(1)

    run = await start(concurrency=2)
    await jobs.enqueue_many([hangs.job()] * 2)
    await until(lambda: raw.zcard(DEFAULT.retry) == 2)
    await until(lambda: run.worker.health.hung == {"hangs": 2})
    assert run.worker.health.trouble == {
        "slots": "all 2 slots are held by handlers that were told to stop and do not end: hangs"
    }
    said = [record.getMessage() for record in caplog.records]
    assert "task type hangs does not end when told to: 1 of 2 slots are lost" in said
    assert "every slot is held by a handler that does not end: this worker takes no more tasks" in said
    await jobs.enqueue_many([ok.job()] * 3)
    await run.worker.parts.poller.tick()
    assert (raw.llen(DEFAULT.pending), raw.llen(DEFAULT.active), fine) == (3, 0, [])
    release.set()
    await until(lambda: len(fine) == 3)
    await until(lambda: run.worker.health.hung == {})  # one free slot is enough for all three
    assert run.worker.health.ok


async def test_a_queue_whose_places_all_hang_is_named(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, release: threading.Event
) -> None:
    hangs = hanging(tasks, "thread", release)
    run = await start(concurrency=3, limits={"default": Limits(max_per_worker=1)})
    await jobs.enqueue(hangs.job())
    await until(lambda: run.worker.health.trouble)
    assert run.worker.health.trouble == {
        "queue default": "all 1 tasks that may run at once were told to stop and do not end"
    }


async def test_aggregate_functions_that_hang_are_told(
    jobs: Jobs, start: Start, tasks: Tasks, release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have three threads of their own; when those are lost, groups are not aggregated any more."""
    made = Aggregator._made

    async def hurried(*args: Any) -> Any:
        async with asyncio.timeout(0.05):
            return await made(*args)

    monkeypatch.setattr(Aggregator, "_made", hurried)

    @tasks.aggregate(max_size=1)
    def hangs(group: str, _: Any) -> Any:
        release.wait(60)

    @tasks.task("part")
    async def part() -> None: ...

    for n in range(4):
        await jobs.enqueue(part.job(), group=f"g{n}")
    run = await start()
    await until(lambda: run.worker.health.trouble)
    assert run.worker.health.trouble == {"aggregator": "all 3 threads are held by functions that do not end"}
    release.set()
    await until(lambda: run.worker.health.ok)


@pytest.mark.parametrize(
    ("ill", "says"),
    [
        ("ended", "its loop ended"),
        ("hangs", "a pass took more than 0 s"),
        ("failed", "as it was told"),
    ],
)
async def test_every_part_that_does_not_work_is_named(start: Start, ill: str, says: str) -> None:
    """None of a worker's parts can be down and unnamed, the one that watches the others included."""
    run = await start()
    parts = run.worker.parts.services()
    await until(lambda: all(part.resting or part.interruptible or part.name == "workflow advancer" for part in parts))
    for part in parts:
        task, trouble = part._task, part.trouble
        if ill == "ended":
            part._task = asyncio.create_task(asyncio.sleep(0))
            await part._task
        elif ill == "hangs":
            part.longest_pass_s, part._pass_began = 0.0, 0.001
        else:
            part.trouble = says
        assert run.worker.health.trouble.get(part.name) == says, part.name
        part._task, part.trouble, part._pass_began = task, trouble, 0.0
        part.longest_pass_s = type(part).longest_pass_s
