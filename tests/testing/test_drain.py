"""Everything that waits is run by the worker's own engine, and told by type."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex import HustleX, Tasks
from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse
from hustlex.jobs import Duplicate, Enqueued, GroupedTask, IdTaken, Job, Jobs, State, current_job, gather
from hustlex.jobs.define.signals import RevokeTask, SkipRetry
from hustlex.jobs.keys import queue_keys
from hustlex.testing import Attempt, drain
from hustlex.worker import HandlerNotFound
from hustlex.worker.execute.handlers import Next
from tests.conftest import PATIENCE

tasks = Tasks()
ran: list[Any] = []


@tasks.task("note")
async def note(n: int) -> None:
    ran.append(n)


@tasks.task("plain", queue="low")
def plain(n: int) -> None:
    ran.append(n)


@tasks.task("fails", max_retry=2)
async def fails(text: str = "no luck") -> None:
    raise ValueError(text)


@tasks.task("stops")
async def stops(kind: str) -> None:
    raise {"skip": SkipRetry, "revoke": RevokeTask}[kind]("enough")


@tasks.task("spread", queue="default")
async def spread(depth: int) -> None:
    jobs = current_job().state
    if depth:
        await jobs.enqueue_many([spread.job(depth - 1).with_options(queue=f"made-{n}") for n in range(2)])


@tasks.task("hangs", timeout=timedelta(0))
async def hangs() -> None:
    await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@pytest.fixture
async def front(url: str, clock: FixedClock) -> AsyncIterator[HustleX]:
    async with HustleX(url, timeout=PATIENCE, clock=clock) as hx:
        yield hx


async def test_all_pending_jobs_run_in_their_order(front: HustleX, raw: redis.Redis) -> None:
    await front.jobs.enqueue_many([note.job(n) for n in range(50)])
    await front.jobs.enqueue(plain.job(-1))
    told = await drain(front, tasks)
    assert (told.done, told.retried, told.failed, told.revoked) == ({"note": 50, "plain": 1}, {}, {}, {})
    assert [n for n in ran if n >= 0] == list(range(50)) and -1 in ran
    assert raw.keys("asynq:*:t:*") == [] == raw.keys("asynq:servers*")


async def test_an_empty_house_is_drained_at_once(front: HustleX) -> None:
    assert (await drain(front, tasks)).attempts == ()
    assert (await drain(front, tasks, queues=["nobody", "knows"])).attempts == ()


async def test_what_handlers_enqueue_is_run_too_in_queues_made_meanwhile(front: HustleX) -> None:
    await front.jobs.enqueue(spread.job(3))
    told = await drain(front, tasks, state=front.jobs, concurrency=4)
    assert told.done == {"spread": 15}


async def test_scheduled_jobs_run_when_the_test_has_moved_the_clock(front: HustleX, clock: FixedClock) -> None:
    await front.jobs.enqueue(note.job(1), process_in=timedelta(hours=1))
    await front.jobs.enqueue(note.job(2), process_in=timedelta(hours=2))
    assert (await drain(front, tasks)).done == {}
    clock.advance(timedelta(hours=1))
    assert (await drain(front, tasks)).done == {"note": 1}
    clock.advance(timedelta(hours=1))
    assert (await drain(front, tasks)).done == {"note": 1}
    assert ran == [1, 2]


async def test_failures_are_retried_and_archived_as_in_production(front: HustleX, clock: FixedClock) -> None:
    await front.jobs.enqueue(fails.job(), task_id="f")
    first = await drain(front, tasks)
    assert (first.retried, first.failed) == ({"fails": 1}, {})
    (attempt,) = first.attempts
    assert (attempt.id, attempt.queue, attempt.type) == ("f", "default", "fails")
    assert isinstance(attempt.error, ValueError)
    assert (await drain(front, tasks)).attempts == ()
    clock.advance(timedelta(minutes=10))
    assert (await drain(front, tasks)).retried == {"fails": 1}
    clock.advance(timedelta(hours=1))
    last = await drain(front, tasks)
    assert (last.retried, last.failed) == ({}, {"fails": 1})
    info = await front.jobs.inspector.task("default", "f")
    assert (info.state, info.retried, info.last_error) == (State.ARCHIVED, 2, "ValueError: no luck")


async def test_retries_without_a_delay_run_out_in_one_drain(front: HustleX) -> None:
    await front.jobs.enqueue(fails.job())
    await front.jobs.enqueue(note.job(1))
    told = await drain(front, tasks, retry_delay=timedelta(0))
    assert (told.done, told.retried, told.failed) == ({"note": 1}, {"fails": 2}, {"fails": 1})


async def test_every_other_end_is_told(front: HustleX) -> None:
    await front.jobs.enqueue(stops.job("skip"))
    await front.jobs.enqueue(stops.job("revoke"))
    await front.jobs.enqueue("note", {"n": "not a number"})
    await front.jobs.enqueue(fails.job(), max_retry=0)
    told = await drain(front, tasks)
    assert told.failed == {"stops": 1, "note": 1, "fails": 1}
    assert (told.revoked, told.retried, told.done) == ({"stops": 1}, {}, {})
    assert all(isinstance(attempt, Attempt) and attempt.error for attempt in told.attempts)


async def test_a_type_that_nobody_defined_is_told(front: HustleX) -> None:
    await front.jobs.enqueue("nobody:knows")
    told = await drain(front, tasks)
    assert told.retried == {"nobody:knows": 1}
    assert isinstance(told.attempts[0].error, HandlerNotFound)
    assert (await drain(front, tasks)).attempts == ()


async def test_an_error_that_counts_as_none_is_a_retry(front: HustleX) -> None:
    await front.jobs.enqueue(fails.job("busy"), task_id="f", max_retry=1)
    told = await drain(front, tasks, is_failure=lambda _: False)
    assert told.retried == {"fails": 1}
    assert (await front.jobs.inspector.task("default", "f")).retried == 0


async def test_locks_ids_and_retention_are_the_servers(front: HustleX, clock: FixedClock) -> None:
    hour = timedelta(hours=1)
    first = await front.jobs.enqueue(note.job(1), unique_for=hour)
    assert isinstance(await front.jobs.enqueue(note.job(1), unique_for=hour), Duplicate)
    await front.jobs.enqueue(note.job(2), task_id="kept", retention=hour)
    assert (await drain(front, tasks)).done == {"note": 2}
    assert isinstance(first, Enqueued)
    assert isinstance(await front.jobs.enqueue(note.job(1), unique_for=hour), Enqueued)
    assert isinstance(await front.jobs.enqueue(note.job(2), task_id="kept"), IdTaken)


async def test_groups_are_aggregated_when_the_clock_says_so(front: HustleX, clock: FixedClock) -> None:
    grouping = Tasks()

    @grouping.aggregate("notes", grace=timedelta(seconds=30))
    def gather_notes(group: str, members: list[GroupedTask]) -> Job:
        return note.job(len(members))

    grouping.include(tasks)
    await front.jobs.enqueue_many([note.job(n).with_options(group="notes") for n in range(3)])
    assert (await drain(front, grouping)).attempts == ()
    clock.advance(timedelta(seconds=30))
    assert (await drain(front, grouping)).done == {"note": 1}
    assert ran == [3]


async def test_a_workflow_runs_to_its_end(front: HustleX) -> None:
    await front.jobs.start(gather(note.job(1), plain.job(2), then=note.job(3)).then(note.job(4)))
    assert (await drain(front, tasks)).done == {"note": 3, "plain": 1}
    assert sorted(ran[:2]) == [1, 2] and ran[2:] == [3, 4]


async def test_only_the_chosen_queues(front: HustleX) -> None:
    await front.jobs.enqueue(note.job(1))
    await front.jobs.enqueue(plain.job(2))
    assert (await drain(front, tasks, queues=["low"])).done == {"plain": 1}
    assert (await drain(front, tasks)).done == {"note": 1}


async def test_a_paused_queue_rests_and_the_others_are_drained(front: HustleX) -> None:
    await front.jobs.enqueue(note.job(1))
    await front.jobs.enqueue(plain.job(2))
    await front.jobs.inspector.pause("default")
    assert (await drain(front, tasks)).done == {"plain": 1}
    await front.jobs.inspector.unpause("default")
    assert (await drain(front, tasks)).done == {"note": 1}


async def test_a_message_nobody_can_read_does_not_hold_the_drain(front: HustleX, raw: redis.Redis) -> None:
    await front.jobs.enqueue(note.job(1), task_id="bad")
    raw.hset(queue_keys("default").task("bad"), "msg", b"\xff\xff")
    await front.jobs.enqueue(note.job(2))
    assert (await drain(front, tasks)).done == {"note": 1}


async def test_the_lifespan_makes_the_state_unless_the_test_does(front: HustleX) -> None:
    seen: list[Any] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[str]:
        yield "made"

    living = Tasks(lifespan=lifespan)

    @living.task("look")
    async def look() -> None:
        seen.append(current_job().state)

    await front.jobs.enqueue(look.job())
    await drain(front, living)
    await front.jobs.enqueue(look.job())
    await drain(front, living, state="given")
    assert seen == ["made", "given"]


async def test_what_the_lifespan_raises_comes_out(front: HustleX) -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        raise ZeroDivisionError
        yield

    await front.jobs.enqueue(note.job(1))
    unlucky = Tasks(lifespan=broken)
    unlucky.include(tasks)
    with pytest.raises(ZeroDivisionError):
        await drain(front, unlucky)


async def test_what_never_ends_is_named(front: HustleX) -> None:
    await front.jobs.enqueue(hangs.job())
    with pytest.raises(TimeoutError, match="running: hangs"):
        await drain(front, tasks, timeout=timedelta(milliseconds=200))


async def test_middleware_runs_inside(front: HustleX) -> None:
    seen: list[str] = []

    async def watch(job: Any, handle: Next) -> Any:
        seen.append(job.type)
        if job.type == "fails":
            return None
        return await handle()

    await front.jobs.enqueue(fails.job())
    await front.jobs.enqueue(note.job(1))
    told = await drain(front, tasks, middleware=[watch])
    assert told.done == {"fails": 1, "note": 1} and seen == ["fails", "note"]


async def test_a_bare_driver_runs_by_the_servers_clock(driver: Driver) -> None:
    jobs = Jobs(driver)
    await jobs.enqueue(note.job(1))
    await jobs.enqueue(note.job(2), process_in=timedelta(hours=1))
    assert (await drain(driver, tasks)).done == {"note": 1}
    clock = FixedClock()
    await Jobs(driver, clock=clock).enqueue(note.job(3), process_in=timedelta(seconds=1))
    clock.advance(timedelta(seconds=1))
    assert (await drain(driver, tasks, clock=clock)).done == {"note": 1}
    assert ran == [1, 3]


async def test_what_never_ends_besides_handlers_is_named(front: HustleX) -> None:
    forever, milliseconds = asyncio.Event(), timedelta(milliseconds=300)

    @asynccontextmanager
    async def never() -> AsyncIterator[None]:
        await forever.wait()
        yield

    tasks = Tasks()

    @tasks.task("again")
    async def again() -> None:
        await front.jobs.enqueue(again.job())

    @tasks.task("part")
    async def part() -> None: ...

    await front.jobs.enqueue(again.job())
    with pytest.raises(TimeoutError, match="the lifespan of the tasks"):
        await drain(front, _with(tasks, never), timeout=milliseconds)
    with pytest.raises(TimeoutError, match=r"most first: again \([0-9]+\)"):
        await drain(front, tasks, timeout=milliseconds)

    @tasks.aggregate("some:", max_size=1)
    async def hangs(_: str, __: Any) -> Any:
        await forever.wait()

    await front.jobs.enqueue(part.job(), group="some:g")
    with pytest.raises(TimeoutError, match="aggregate functions do not end, of the groups some:g"):
        await drain(front, tasks, timeout=milliseconds)


def _with(tasks: Tasks, lifespan: Any) -> Tasks:
    whole = Tasks(lifespan=lifespan)
    whole.include(tasks)
    return whole


@pytest.mark.parametrize("option", [{"retry_delay": 5}, {"retry_delay": []}, {"is_failure": 1}, {"timeout": 3}])
async def test_a_bad_option_is_refused_though_nothing_waits(front: HustleX, option: dict[str, Any]) -> None:
    with pytest.raises(Misuse, match=next(iter(option))):
        await drain(front, Tasks(), **option)
