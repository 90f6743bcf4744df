"""Asking what was enqueued, and insisting on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import pytest

from hustlex import HustleX, Tasks
from hustlex.core.time import FixedClock
from hustlex.jobs import State
from hustlex.testing import assert_enqueued, drain, enqueued
from tests.conftest import PATIENCE

tasks = Tasks()
HOUR = timedelta(hours=1)


@tasks.task("push", queue="low")
async def push(user_id: int, day: date, text: str = "hello") -> None: ...


@tasks.task("escrow", queue="critical")
async def escrow(gig_id: int) -> None: ...


DAY = date(2026, 1, 2)


@pytest.fixture
async def front(url: str, clock: FixedClock) -> AsyncIterator[HustleX]:
    async with HustleX(url, timeout=PATIENCE, clock=clock) as hx:
        yield hx


async def test_what_waits_by_queue_state_and_turn(front: HustleX) -> None:
    await front.jobs.enqueue(push.job(2, DAY), process_in=HOUR)
    await front.jobs.enqueue(push.job(1, DAY))
    await front.jobs.enqueue(escrow.job(7))
    await front.jobs.enqueue(push.job(3, DAY), group="letters")
    found = await enqueued(front)
    assert [(info.type, info.state) for info in found] == [
        ("escrow", State.PENDING),
        ("push", State.PENDING),
        ("push", State.SCHEDULED),
        ("push", State.AGGREGATING),
    ]
    assert [info.queue for info in await enqueued(front, queue="low")] == ["low"] * 3
    assert len(await enqueued(front, push)) == len(await enqueued(front, "push")) == 3
    assert await enqueued(front, queue="nowhere") == []
    assert len(await enqueued(front, push, states=[State.SCHEDULED])) == 1


async def test_more_than_a_page(front: HustleX) -> None:
    await front.jobs.enqueue_many([escrow.job(n) for n in range(1_050)])
    assert len(await enqueued(front, escrow)) == 1_050


async def test_arguments_are_compared_as_the_handler_gets_them(front: HustleX) -> None:
    await front.jobs.enqueue(push.job(1, DAY))
    await assert_enqueued(front, push, arguments={"day": DAY})
    await assert_enqueued(front, push, arguments={"user_id": 1, "text": "hello"})
    await assert_enqueued(front, "push", arguments={"day": "2026-01-02"})
    await assert_enqueued(front, arguments={"user_id": 1})
    for wrong in ({"user_id": 2}, {"nobody": 1}, {"day": "2026-01-02"}):
        await assert_enqueued(front, push, arguments=wrong, count=0)
    await front.jobs.enqueue("raw", b"\xff not json")
    await front.jobs.enqueue("raw", [1, 2])
    await assert_enqueued(front, "raw", arguments={"a": 1}, count=0)
    await assert_enqueued(front, "raw", arguments={}, count=2)


async def test_the_count_is_exact_and_without_one_means_any(front: HustleX) -> None:
    await front.jobs.enqueue_many([escrow.job(7), escrow.job(7)])
    found = await assert_enqueued(front, escrow, count=2)
    assert [info.payload for info in found] == [b'{"gig_id":7}'] * 2
    await assert_enqueued(front, escrow)
    for count in (0, 1, 3):
        with pytest.raises(AssertionError):
            await assert_enqueued(front, escrow, count=count)
    with pytest.raises(AssertionError):
        await assert_enqueued(front, push)
    await drain(front, tasks)
    await assert_enqueued(front, count=0)


async def test_the_failure_says_what_was_wanted_and_what_is_there(front: HustleX, clock: FixedClock) -> None:
    with pytest.raises(AssertionError, match=r"0 found, wanted at least one of any task\. In the queues: nothing"):
        await assert_enqueued(front)
    await front.jobs.enqueue(escrow.job(7))
    await front.jobs.enqueue(push.job(1, DAY), process_in=HOUR)
    with pytest.raises(AssertionError) as failure:
        await assert_enqueued(front, push, arguments={"user_id": 2}, queue="low", count=1)
    assert str(failure.value) == (
        "0 found, wanted 1 of push with {'user_id': 2} in 'low'. In the queues:\n"
        "  escrow {\"gig_id\":7} in 'critical', pending\n"
        '  push {"user_id":1,"day":"2026-01-02"} in \'low\', scheduled, due 2026-01-01T01:00:00Z'
    )


async def test_when_it_is_due_with_a_fixed_clock_to_the_second(front: HustleX, clock: FixedClock) -> None:
    clock.advance(timedelta(milliseconds=300))
    await front.jobs.enqueue(escrow.job(7), process_in=HOUR)
    await assert_enqueued(front, escrow, process_in=HOUR)
    await assert_enqueued(front, escrow, process_at=datetime(2026, 1, 1, 1, 0, 1, tzinfo=UTC))
    second = timedelta(seconds=1)
    for other in (HOUR - second, HOUR + second):
        await assert_enqueued(front, escrow, process_in=other, count=0)
        await assert_enqueued(front, escrow, process_in=other, tolerance=second)
    await assert_enqueued(front, escrow, process_at=datetime(2026, 1, 1, 1, 0, 3, tzinfo=UTC), count=0)


async def test_when_it_is_due_by_the_servers_clock(url: str) -> None:
    async with HustleX(url, timeout=PATIENCE) as hx:
        await hx.jobs.enqueue(escrow.job(7), process_in=HOUR)
        await assert_enqueued(hx, escrow, process_in=HOUR)
        await assert_enqueued(hx, escrow, process_in=HOUR - timedelta(minutes=1), count=0)
        await assert_enqueued(hx, escrow, process_in=HOUR + timedelta(minutes=1), count=0)
