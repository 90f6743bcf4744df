"""Jobs that run at once, without any server."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from hustlex import HustleX, Tasks
from hustlex.core.time import FixedClock
from hustlex.errors import Misuse
from hustlex.jobs import Enqueued, Jobs, PayloadError, State, current_job
from hustlex.jobs.define.signals import RevokeTask, SkipRetry
from hustlex.testing import eager
from hustlex.worker import DeadlineExceeded, HandlerNotFound

tasks = Tasks()


class Order(msgspec.Struct):
    id: uuid.UUID
    at: datetime


@tasks.task("double")
async def double(n: int) -> int:
    await current_job().result.write({"doubled": 2 * n})
    return 2 * n


@tasks.task("plain")
def plain(n: int) -> tuple[int, bool]:
    return n + current_job().retried, threading.current_thread() is threading.main_thread()


@tasks.task("typed")
async def typed(order: Order, note: str = "none") -> Order:
    return order


@tasks.task("fails")
async def fails(text: str) -> None:
    await asyncio.sleep(0)
    raise ValueError(text)


@tasks.task("stops")
async def stops(kind: str) -> None:
    raise {"skip": SkipRetry, "revoke": RevokeTask}[kind]("enough")


@tasks.task("slow", timeout=timedelta(seconds=1))
async def slow(own: bool = False) -> None:
    if own:
        raise TimeoutError("the handler's own")
    await asyncio.sleep(60)


@tasks.task("state")
async def state() -> Any:
    return current_job().state


async def test_the_handler_has_run_when_enqueue_returns() -> None:
    async with eager(tasks) as jobs:
        outcome = await jobs.enqueue(double.job(21), queue="low", headers={"a": "b"})
        assert isinstance(outcome, Enqueued) and (outcome.queue, outcome.state) == ("low", State.PENDING)
        (ran,) = jobs.ran
    assert (ran.id, ran.queue, ran.type, ran.arguments) == (outcome.id, "low", "double", {"n": 21})
    assert (ran.returned, ran.result, ran.error) == (42, b'{"doubled":42}', None)


async def test_plain_functions_run_in_a_thread() -> None:
    async with eager(tasks) as jobs:
        await jobs.enqueue(plain.job(1))
        assert jobs.ran[0].returned == (1, False)


async def test_arguments_go_over_the_wire() -> None:
    order = Order(uuid.uuid4(), datetime(2026, 1, 1, tzinfo=UTC))
    async with eager(tasks) as jobs:
        await jobs.enqueue(typed.job(order))
        assert jobs.ran[0].returned == order and jobs.ran[0].returned is not order
        assert jobs.ran[0].arguments == {"order": order}
        await jobs.enqueue("typed", {"order": {"id": str(order.id), "at": "2026-01-01T00:00:00Z"}, "note": "raw"})
        assert jobs.ran[1].arguments == {"order": order, "note": "raw"}
        with pytest.raises(PayloadError):
            await jobs.enqueue("typed", {"order": 7})
        with pytest.raises(PayloadError):
            await jobs.enqueue(double.job("seven"))  # type: ignore[arg-type]
    assert isinstance(jobs.ran[2].error, PayloadError) and len(jobs.ran) == 3


async def test_what_can_never_be_enqueued_is_refused_here_too() -> None:
    async with eager(tasks) as jobs:
        with pytest.raises(Misuse):
            await jobs.enqueue(double.job(1), queue=" ")
        with pytest.raises(Misuse):
            await jobs.enqueue(double.job(1), group="letters")
        with pytest.raises(HandlerNotFound):
            await jobs.enqueue("nobody:knows")
        with pytest.raises(Misuse, match="no server"):
            await jobs.inspector.queues()
        with pytest.raises(Misuse, match="no server"):
            await jobs.cancel("an id")


async def test_an_error_comes_out_of_the_enqueue_or_waits_in_ran() -> None:
    async with eager(tasks) as jobs:
        with pytest.raises(ValueError, match="first"):
            await jobs.enqueue(fails.job("first"))
        with pytest.raises(SkipRetry):
            await jobs.enqueue(stops.job("skip"))
        await jobs.enqueue(stops.job("revoke"))
        with pytest.raises(ExceptionGroup) as group:
            await jobs.enqueue_many([fails.job("a"), double.job(1), fails.job("b")])
    assert [str(error) for error in group.value.exceptions] == ["a", "b"]
    assert [type(ran.error).__name__ for ran in jobs.ran] == [
        "ValueError",
        "SkipRetry",
        "RevokeTask",
        "ValueError",
        "NoneType",
        "ValueError",
    ]
    async with eager(tasks, propagate=False) as quiet:
        outcomes = await quiet.enqueue_many([fails.job("x"), double.job(2)])
    assert all(isinstance(outcome, Enqueued) for outcome in outcomes)
    assert [str(ran.error) for ran in quiet.ran] == ["x", "None"]


async def test_delays_are_not_waited_for() -> None:
    clock = FixedClock()
    now = datetime.fromtimestamp(clock() / 1000, UTC)
    async with eager(tasks, clock=clock) as jobs:
        later = await jobs.enqueue(double.job(1), process_in=timedelta(days=1))
        at = await jobs.enqueue(double.job(2), process_at=now + timedelta(seconds=1))
        past = await jobs.enqueue(double.job(3), process_at=now)
    states = [outcome.state for outcome in (later, at, past) if isinstance(outcome, Enqueued)]
    assert states == [State.SCHEDULED, State.SCHEDULED, State.PENDING]
    assert [ran.returned for ran in jobs.ran] == [2, 4, 6]


async def test_what_a_handler_enqueues_runs_when_the_handler_has_ended() -> None:
    chain = Tasks()
    order: list[str] = []

    @chain.task("parent")
    async def parent(depth: int) -> None:
        order.append(f"begin {depth}")
        if depth:
            await current_job().state.enqueue_many([parent.job(depth - 1), parent.job(0)])
        order.append(f"end {depth}")

    async with eager(chain, state=None) as jobs:
        jobs._state = jobs
        await jobs.enqueue(parent.job(2))
        assert order == [f"{word} {n}" for n in (2, 1, 0, 0, 0) for word in ("begin", "end")]
        order.clear()
        await asyncio.gather(jobs.enqueue(parent.job(1)), jobs.enqueue(parent.job(1)))
        assert len(order) == 12


async def test_an_error_in_a_follow_up_comes_out_of_the_first_enqueue() -> None:
    chain = Tasks()

    @chain.task("parent")
    async def parent() -> None:
        await hx.jobs.enqueue(child.job())

    @chain.task("child")
    async def child() -> None:
        raise ValueError("the child's")

    hx = HustleX("redis://127.0.0.1:1/0")
    async with eager(chain, hx=hx) as jobs:
        with pytest.raises(ValueError, match="the child's"):
            await hx.jobs.enqueue(parent.job())
    assert [(ran.type, ran.error is None) for ran in jobs.ran] == [("parent", True), ("child", False)]


async def test_a_task_that_enqueues_itself_for_ever_is_stopped() -> None:
    endless = Tasks()

    @endless.task("again")
    async def again() -> None:
        await current_job().state["jobs"].enqueue(again.job(), process_in=timedelta(hours=1))

    shared: dict[str, Any] = {}
    async with eager(endless, state=shared) as jobs:
        shared["jobs"] = jobs
        with pytest.raises(Misuse, match="1,000"):
            await jobs.enqueue(again.job())


async def test_a_background_task_that_outlives_its_handler_may_still_enqueue() -> None:
    left: list[asyncio.Task[Any]] = []
    lingering = Tasks()

    @lingering.task("starts")
    async def starts() -> None:
        async def later() -> None:
            await asyncio.sleep(0.001)
            await jobs.enqueue(double.job(1))

        left.append(asyncio.create_task(later()))

    lingering.include(tasks)
    async with eager(lingering) as jobs:
        await jobs.enqueue(starts.job())
        await left[0]
        assert [ran.type for ran in jobs.ran] == ["starts", "double"]


async def test_hx_jobs_is_replaced_inside_and_only_there() -> None:
    async with HustleX("redis://127.0.0.1:1/0") as hx:
        async with eager(tasks, hx=hx) as jobs:
            assert hx.jobs is jobs
            await hx.jobs.enqueue(double.job(1))
        real = hx.jobs
        assert type(real) is Jobs
        with pytest.raises(ZeroDivisionError):
            async with eager(tasks, hx=hx):
                raise ZeroDivisionError
        assert hx.jobs is real
    assert [ran.returned for ran in jobs.ran] == [2]


async def test_the_state_is_the_tests_own_or_the_lifespans() -> None:
    closed: list[bool] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[str]:
        yield "from the lifespan"
        closed.append(True)

    living = Tasks(lifespan=lifespan)
    living.include(tasks)
    async with eager(living, state="a double") as jobs:
        await jobs.enqueue(state.job())
    assert closed == []
    async with eager(living) as others:
        await others.enqueue(state.job())
        assert closed == []
    assert closed == [True]
    assert (jobs.ran[0].returned, others.ran[0].returned) == ("a double", "from the lifespan")


async def test_an_attempt_is_cut_off_at_its_timeout_and_deadline() -> None:
    clock = FixedClock()
    async with eager(tasks, clock=clock) as jobs:
        with pytest.raises(DeadlineExceeded):
            await jobs.enqueue(slow.job())
        with pytest.raises(TimeoutError, match="own"):
            await jobs.enqueue(slow.job(own=True))
        with pytest.raises(DeadlineExceeded):
            await jobs.enqueue(double.job(1), deadline=datetime(2025, 12, 31, tzinfo=UTC))
        with pytest.raises(DeadlineExceeded):
            await jobs.enqueue(
                slow.job(), timeout=timedelta(hours=1), deadline=datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
            )


async def test_a_handler_changes_no_context_variable_of_the_test() -> None:
    name = contextvars.ContextVar("name", default="the test")
    seen: list[str] = []
    own = Tasks()

    @own.task("sets")
    async def sets() -> None:
        seen.append(name.get())
        name.set("the handler")

    name.set("set before")
    async with eager(own) as jobs:
        await jobs.enqueue(sets.job())
        await jobs.enqueue(sets.job())
    assert seen == ["set before"] * 2 and name.get() == "set before"
    with pytest.raises(Misuse):
        current_job()
