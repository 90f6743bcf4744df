"""What becomes of a task that somebody cancels, whose time is over, or whose id is wanted again."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest
import redis
from sqlalchemy import MetaData
from sqlalchemy.orm import Session

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.errors import Conflict, Misuse
from hustlex.jobs import (
    Duplicate,
    Enqueued,
    Failed,
    IdTaken,
    Job,
    Jobs,
    NeverRuns,
    State,
    Stopping,
    Tasks,
    TooLate,
    gather,
)
from hustlex.jobs.enqueue.options import Options
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease import finish, maintain
from hustlex.jobs.lease import ops as lease
from hustlex.jobs.wire import decode_task, encode_task
from hustlex.outbox import Outbox
from hustlex.worker import Worker

Q = queue_keys("default")
DAY = "2026-01-01"
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def state(raw: redis.Redis, task_id: str) -> str:
    return (raw.hget(Q.task(task_id), "state") or b"gone").decode()


async def leased(driver: Driver, clock: FixedClock) -> lease.Cycle:
    return await driver.run(lease.cycle(Q, DAY, "me:1", 100, (), clock()))


async def finished(hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock, how: State) -> None:
    """The task x, completed (and kept) or archived, with a result and a lock of its own."""
    await hx.jobs.enqueue("t", b"old", task_id="x", unique_for=HOUR)
    await leased(driver, clock)
    message = raw.hget(Q.task("x"), "msg")
    if how is State.COMPLETED:
        await driver.run(finish.complete(Q, DAY, ("x", "me:1", 3600, message, ""), clock()))
    else:
        await driver.run(finish.archive(Q, DAY, ("x", "me:1", message), clock()))
    raw.hset(Q.task("x"), "result", "old")
    raw.xadd(Q.prefix + "x:stream:x", {"kind": "log", "text": "old"})


# -- an id that is wanted again


@pytest.mark.parametrize("how", [State.COMPLETED, State.ARCHIVED])
async def test_a_finished_task_blocks_its_id_until_it_is_replaced(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock, how: State
) -> None:
    await finished(hx, driver, raw, clock, how)
    assert await hx.jobs.enqueue("t", b"new", task_id="x") == IdTaken("x", "default", how)
    assert await hx.jobs.enqueue("t", b"new", task_id="x", if_finished="refuse") == IdTaken("x", "default", how)
    replaced = await hx.jobs.enqueue("t", b"new", task_id="x", if_finished="replace", unique_key="k", unique_for=HOUR)
    assert replaced == Enqueued("x", "default", State.PENDING)
    assert raw.hgetall(Q.task("x")).keys() == {b"msg", b"state", b"pending_since", b"unique_key"}
    assert decode_task(raw.hget(Q.task("x"), "msg")).payload == b"new"
    assert raw.lrange(Q.pending, 0, -1) == [b"x"] and not raw.exists(Q.archived, Q.completed, Q.prefix + "x:stream:x")
    assert [key for key in raw.keys(Q.prefix + "unique:*") if raw.get(key) == b"x"] == [
        queue_keys("default").unique_named("t", "k").encode()
    ]


async def test_its_own_lock_does_not_keep_its_successor_out(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock
) -> None:
    await finished(hx, driver, raw, clock, State.ARCHIVED)
    again = Job("t", b"old", {"task_id": "x", "unique_for": HOUR})
    assert await hx.jobs.enqueue(again) == Duplicate("x", "default")
    assert isinstance(await hx.jobs.enqueue(again, if_finished="replace"), Enqueued)
    assert await hx.jobs.enqueue("t", b"old", unique_for=HOUR) == Duplicate("x", "default")


@pytest.mark.parametrize("options", [{}, {"process_in": HOUR}, {"group": "g"}])
async def test_what_has_not_ended_is_never_replaced(hx: Any, raw: redis.Redis, options: Any) -> None:
    first = await hx.jobs.enqueue("t", b"old", task_id="x", if_finished="replace", **options)
    assert await hx.jobs.enqueue("t", b"new", task_id="x", if_finished="replace") == IdTaken(
        "x", "default", first.state
    )
    assert decode_task(raw.hget(Q.task("x"), "msg")).payload == b"old"


async def test_of_many_that_replace_at_once_one_does(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock
) -> None:
    await finished(hx, driver, raw, clock, State.ARCHIVED)
    calls = [hx.jobs.enqueue("t", b"%d" % n, task_id="x", if_finished="replace") for n in range(50)]
    outcomes = await asyncio.gather(*calls)
    assert sum(isinstance(outcome, Enqueued) for outcome in outcomes) == 1 == raw.llen(Q.pending)
    assert {outcome.state for outcome in outcomes} == {State.PENDING}


# -- cancelling what waits


@pytest.mark.parametrize(
    ("options", "was"),
    [
        ({}, State.PENDING),
        ({"process_in": HOUR}, State.SCHEDULED),
        ({"group": "g"}, State.AGGREGATING),
    ],
)
async def test_a_waiting_task_never_runs(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock, options: Any, was: State
) -> None:
    await hx.jobs.enqueue("t", b"x", task_id="x", unique_for=HOUR, **options)
    for _ in range(2):  # a repeat says the same
        assert await hx.jobs.cancel("x") == NeverRuns("x", "default", was)
    clock.advance(2 * HOUR)
    await driver.run(maintain.forward(Q, clock()))
    assert (await leased(driver, clock)).leased == []
    task = await hx.jobs.inspector.task("default", "x")
    assert (task.state, task.last_error, task.payload) == (State.ARCHIVED, "canceled", b"x")
    assert raw.keys(Q.prefix + "unique:*") == [] and not raw.exists(Q.pending, Q.scheduled, Q.prefix + "g:g", Q.groups)


async def test_a_task_between_two_attempts_never_runs_again(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock
) -> None:
    await hx.jobs.enqueue("t", task_id="x")
    await leased(driver, clock)
    await driver.run(finish.retry(Q, DAY, ("x", "me:1", 60_000, raw.hget(Q.task("x"), "msg"), 1), clock()))
    assert await hx.jobs.cancel("x", queue="default") == NeverRuns("x", "default", State.RETRY)
    assert not raw.exists(Q.retry) and state(raw, "x") == "archived"


async def test_what_has_ended_or_never_was_cannot_be_cancelled(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock
) -> None:
    assert await hx.jobs.cancel("x") == TooLate("x", "", None)
    await hx.jobs.enqueue("other")
    assert await hx.jobs.cancel("x") == TooLate("x", "", None)
    assert await hx.jobs.cancel("x", queue="low") == TooLate("x", "low", None)
    raw.flushall()
    await finished(hx, driver, raw, clock, State.ARCHIVED)
    assert await hx.jobs.cancel("x", queue="default") == TooLate("x", "default", State.ARCHIVED)


async def test_an_id_of_several_queues_needs_a_queue(hx: Any) -> None:
    for queue in ("low", "high"):
        await hx.jobs.enqueue("t", task_id="x", queue=queue)
    with pytest.raises(Conflict):
        await hx.jobs.cancel("x")
    assert await hx.jobs.cancel("x", queue="low") == NeverRuns("x", "low", State.PENDING)
    assert await hx.jobs.cancel("x") == NeverRuns("x", "high", State.PENDING)


async def test_an_operator_may_run_it_after_all(hx: Any, driver: Driver, clock: FixedClock) -> None:
    await hx.jobs.enqueue("t", task_id="x", expires_in=SECOND)
    await hx.jobs.cancel("x")
    clock.advance(HOUR)
    await hx.jobs.inspector.run("default", "x")
    assert (await leased(driver, clock)).pasts == {}


# -- cancelling what runs


async def test_a_running_task_is_marked_and_never_tried_again(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock
) -> None:
    await hx.jobs.enqueue("t", b"x", task_id="x", unique_for=HOUR)
    await leased(driver, clock)
    for _ in range(2):
        assert await hx.jobs.cancel("x") == Stopping("x", "default", 0)
    failed = encode_task(decode_task(raw.hget(Q.task("x"), "msg")))
    assert await driver.run(finish.retry(Q, DAY, ("x", "me:1", 60_000, failed, 1), clock())) == b"1"
    assert state(raw, "x") == "archived" and not raw.exists(Q.retry, Q.active, Q.lease)
    assert raw.keys(Q.prefix + "unique:*") == [] and raw.get(Q.failed) == b"1"
    assert await hx.jobs.cancel("x") == TooLate("x", "default", State.ARCHIVED)


async def test_a_cancelled_task_without_another_try_gives_its_lock_back(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock
) -> None:
    """As one with tries left does, and one that waits."""
    for task_id in ("x", "fails"):
        await hx.jobs.enqueue("t", task_id.encode(), task_id=task_id, unique_for=HOUR)
        await leased(driver, clock)
    await hx.jobs.cancel("x")
    for task_id in ("x", "fails"):
        row = (task_id, "me:1", raw.hget(Q.task(task_id), "msg"))
        assert await driver.run(finish.archive(Q, DAY, row, clock())) == b"1"
    assert [raw.get(lock) for lock in raw.keys(Q.prefix + "unique:*")] == [b"fails"]


async def test_a_mark_outlives_a_crash_and_a_requeue(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock
) -> None:
    await hx.jobs.enqueue("t", task_id="x")
    await leased(driver, clock)
    await hx.jobs.cancel("x")
    await driver.run(finish.requeue(Q, ("x", "me:1")))
    again = await leased(driver, clock)
    assert again.pasts[b"x"].canceled == 1
    assert (await driver.run(lease.adopt(Q, "me", clock())))[0].past.canceled == 1


# -- expiry


async def test_an_expiry_is_told_to_whoever_leases(hx: Any, driver: Driver, clock: FixedClock) -> None:
    await hx.jobs.enqueue("t", task_id="a", expires_in=SECOND)
    await hx.jobs.enqueue("t", task_id="b", expires_in=2 * SECOND, process_in=SECOND, if_finished="replace")
    await hx.jobs.enqueue("t", task_id="c")
    enqueued_ms = clock.now_ms
    clock.advance(SECOND)
    await driver.run(maintain.forward(Q, clock()))
    pasts = (await leased(driver, clock)).pasts
    assert {task: past.expires_ms for task, past in pasts.items()} == {
        b"a": enqueued_ms + 1000,
        b"b": enqueued_ms + 2000,
    }


@pytest.mark.parametrize(
    "options",
    [
        {"expires_in": SECOND, "process_in": SECOND},
        {"expires_in": timedelta(0)},
        {"expires_in": 5},
        {"if_finished": "delete"},
        {"at_front": 1},
        {"at_front": True, "group": "g"},
    ],
)
async def test_what_can_never_work_is_refused(hx: Any, raw: redis.Redis, options: Any) -> None:
    with pytest.raises(Misuse):
        await hx.jobs.enqueue("t", **options)
    assert raw.keys() == []


# -- the front of a queue


async def test_the_front_is_where_workers_take(hx: Any, driver: Driver, clock: FixedClock) -> None:
    for task_id, options in (("a", {}), ("b", {"at_front": True}), ("c", {"at_front": True, "process_in": SECOND})):
        await hx.jobs.enqueue("t", task_id=task_id, **options)
    await hx.jobs.enqueue_many([Job("t", None, {"task_id": "d"}), Job("t", None, {"task_id": "e", "at_front": True})])
    clock.advance(SECOND)
    await driver.run(maintain.forward(Q, clock()))
    assert (await leased(driver, clock)).leased[::2] == [b"c", b"e", b"b", b"a", b"d"]


# -- queues that nobody serves


async def test_a_queue_that_is_not_declared_is_refused(driver: Driver, raw: redis.Redis) -> None:
    jobs = Jobs(driver, queues=["default", "critical"])
    assert isinstance(await jobs.enqueue("t", queue="critical"), Enqueued)
    raw.flushall()
    with pytest.raises(Misuse, match=r"'defualt' is not declared \(did you mean 'default'\?\)"):
        await jobs.enqueue("t", queue="defualt")
    with pytest.raises(Misuse, match="not declared"):
        await jobs.enqueue_many([Job("t"), Job("t", None, {"queue": "low"})])
    assert raw.keys() == []
    for wrong in ("default", 5, [None], ["a{b}"]):
        with pytest.raises(Misuse):
            Jobs(driver, queues=wrong)


UNDECLARED = pytest.mark.parametrize("options", [{"queue": "defualt"}, {"queue": "Default"}])


@UNDECLARED
async def test_no_door_takes_a_queue_that_is_not_declared(
    driver: Driver, raw: redis.Redis, options: dict[str, Any]
) -> None:
    """Enqueue, workflows, stored entries, limits; whatever the job itself says."""
    jobs, job = Jobs(driver, queues=["default"]), Job("t", None, cast("Options", options))
    doors = [
        lambda: jobs.enqueue(job),
        lambda: jobs.enqueue("t", **options),
        lambda: jobs.enqueue_many([Job("t"), job]),
        lambda: jobs.start(Job("a").then(job)),
        lambda: jobs.start(gather(job, then=Job("a"))),
        lambda: jobs.schedules.add("n", "@daily", job),
        lambda: jobs.limit_queue(options["queue"], max_size=1),
    ]
    for door in doors:
        with pytest.raises(Misuse, match="not declared"):
            await door()
    assert raw.keys() == []
    await Jobs(driver).schedules.add("n", "@daily", job)  # by somebody who declares nothing
    with pytest.raises(Misuse, match="not declared"):
        await jobs.schedules.run("n")
    await Jobs(driver).schedules.change("n", job=Job("t"))
    with pytest.raises(Misuse, match="not declared"):
        await jobs.schedules.change("n", job=job)
    assert isinstance(await jobs.schedules.run("n"), Enqueued)


@UNDECLARED
async def test_tasks_that_declare_their_queues_hold_everywhere(
    driver: Driver, raw: redis.Redis, options: dict[str, Any]
) -> None:
    """Where they are defined, wherever their jobs are enqueued, and in the worker that serves them."""
    tasks = Tasks(queues=["default", "critical"])

    @tasks.task("good", queue="critical")
    async def good() -> None: ...

    wrong = [
        lambda: tasks.task("bad", **options)(lambda: None),
        lambda: tasks.cron("bad", "@daily", good.job().with_options(**options)),
        lambda: tasks.cron("bad", "@daily", Job("t", None, cast("Options", options))),
        lambda: Tasks(queues=["default"]).include(tasks),
        lambda: Worker(driver, tasks, queues={options["queue"]: 1}),
        lambda: Outbox(MetaData()).add(Session(), good.job(), **options),
        lambda: Outbox(MetaData(), queues=["default"]).add(Session(), good.job()),
    ]
    for definition in wrong:
        with pytest.raises(Misuse, match="not declared"):
            definition()
    jobs = Jobs(driver)
    for call in (
        jobs.enqueue(good.job(), **options),
        jobs.enqueue_many([good.job().with_options(**options)]),
        jobs.start(good.job().then(good.job().with_options(**options))),
        jobs.schedules.add("n", "@daily", good.job().with_options(**options)),
    ):
        with pytest.raises(Misuse, match="not declared"):
            await call
    assert raw.keys() == [] and tasks.find("bad") is None and tasks.periodic == ()
    assert isinstance(await jobs.enqueue(good.job()), Enqueued)


# -- steps that have not started


async def test_a_step_that_has_not_started_never_starts_when_cancelled(hx: Any) -> None:
    started = await hx.jobs.start(Job("a").then(Job("b", None, {"queue": "low"})).then(Job("c")))
    _, second, third = started.steps
    assert await hx.jobs.cancel(second) == NeverRuns(second.id, "low", None)
    assert await hx.jobs.cancel(second.id) == NeverRuns(second.id, "low", None)  # again, wherever it is
    assert await hx.jobs.cancel(third.id) == NeverRuns(third.id, "default", None)
    assert await hx.jobs.result(second, timeout=SECOND) == Failed("canceled")
    assert await hx.jobs.cancel(started.steps[0]) == NeverRuns(started.steps[0].id, "default", State.PENDING)
    assert await hx.jobs.cancel("nobody") == TooLate("nobody", "", None)
    assert await hx.jobs.cancel("nobody", queue="low") == TooLate("nobody", "low", None)


async def test_steps_may_expire_and_go_first(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    first = Job("a", None, {"at_front": True, "expires_in": timedelta(hours=1)})
    second = Job("b", None, {"at_front": True, "expires_in": timedelta(hours=2)})
    head, tail = (await hx.jobs.start(first.then(second))).steps
    assert raw.hget(Q.task(head.id), "first") == b"1"
    assert int(raw.hget(Q.task(head.id), "expires_at")) == clock() + 3_600_000
    assert raw.hget(f"{Q.prefix}x:step:{tail.id}", "wishes")
    for option in ({"if_finished": "replace"}, {"task_id": "x"}, {"group": "g"}, {"unique_for": SECOND}):
        with pytest.raises(Misuse, match=f"a step of a workflow cannot have {next(iter(option))}.*may have at_front"):
            await hx.jobs.start(Job("a").then(Job("b", None, option)))


def test_a_task_without_its_type_is_refused_where_it_stands() -> None:
    with pytest.raises(Misuse, match="without its type"):

        @Tasks().task
        def forgotten() -> None: ...
