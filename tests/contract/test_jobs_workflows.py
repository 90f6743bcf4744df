"""Workflows on a real server: each step enqueued once, whoever crashes where, and however many move it on at once."""

from __future__ import annotations

import asyncio
import enum
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from hustlex.core.op import Batch, Flow
from hustlex.core.time import FixedClock
from hustlex.errors import Conflict, Error, NotFound
from hustlex.jobs import (
    RESULT,
    RESULTS,
    Failed,
    FoundSteps,
    Gone,
    Job,
    Jobs,
    NeverRuns,
    NotYet,
    OpenStep,
    Started,
    State,
    StepName,
    Succeeded,
    gather,
)
from hustlex.jobs.enqueue.known import KnownQueues
from hustlex.jobs.inspect import act
from hustlex.jobs.keys import queue_keys, step_record
from hustlex.jobs.lease import finish
from hustlex.jobs.lease import ops as lease
from hustlex.jobs.stream.ops import write_result
from hustlex.jobs.wire import decode_task, encode_task
from hustlex.jobs.workflow import ops
from hustlex.jobs.workflow.flows import Advanced, advance, start
from hustlex.jobs.workflow.ops import OPEN
from hustlex.jobs.workflow.plan import LIFE_S, plant

A, B, C = (Job(name, b"{}") for name in "abc")
DAY = "2026-01-01"
Q = queue_keys("default")
_numbers = count()


def succeed(driver: Any, name: StepName, result: bytes = b"") -> None:
    """What any worker does with the next task of a queue, which must be this one; Go's scripts leave the same keys."""
    queue, holder = queue_keys(name.queue), f"worker:{next(_numbers)}"
    (task_id, data) = driver.run(lease.cycle(queue, DAY, holder, 1, (), 0)).leased
    assert task_id == name.id.encode()
    if result:
        driver.run(write_result(name.queue, name.id, result))
    message = decode_task(data)
    row = (task_id, holder, message.retention, encode_task(message), "")
    assert driver.run(finish.complete(queue, DAY, row, 0)) == b"1"


def fail(driver: Any, name: StepName, error: str) -> None:
    """Archive the next task of a queue."""
    queue, holder = queue_keys(name.queue), f"worker:{next(_numbers)}"
    (task_id, data) = driver.run(lease.cycle(queue, DAY, holder, 1, (), 0)).leased
    row = (task_id, holder, encode_task(replace(decode_task(data), error_msg=error)))
    assert driver.run(finish.archive(queue, DAY, row, 0)) == b"1"


def begin(driver: Any, workflow: Any, workflow_id: str = "w") -> Started:
    started: Started = driver.follow(start(workflow, workflow_id, 0, KnownQueues()))
    return started


def move(driver: Any, *names: StepName) -> Advanced:
    """Look at steps, as a worker does after acknowledging them."""
    advanced: Advanced = driver.follow(advance(names, set(names), 0))
    assert not advanced.errors
    return advanced


def pending(raw: redis.Redis, queue: str = "default") -> list[bytes]:
    """Next to run first."""
    return list(reversed(raw.lrange(queue_keys(queue).pending, 0, -1)))


# -- starting


async def test_only_the_first_steps_are_enqueued_and_tools_see_ordinary_tasks(hx: Any, raw: redis.Redis) -> None:
    started = await hx.jobs.start(gather(A, B, then=C.with_options(queue="late")), workflow_id="w")
    assert started == Started(
        "w", (StepName("default", "w:0"), StepName("default", "w:1"), StepName("late", "w:2")), False
    )
    assert started.last == StepName("late", "w:2")
    assert pending(raw) == [b"w:0", b"w:1"]
    assert set(raw.hgetall(Q.task("w:0"))) == {b"msg", b"state", b"pending_since"}, "nothing private in Asynq's keys"
    assert raw.smembers("asynq:queues") == {b"default", b"late"}
    assert not raw.exists("asynq:{late}:t:w:2", "asynq:{late}:pending")
    assert (await hx.jobs.inspector.task("default", "w:0")).state is State.PENDING
    for key in [*raw.keys("asynq:*:x:*"), OPEN]:
        assert 0 < raw.ttl(key) <= LIFE_S


async def test_a_start_that_is_repeated_has_no_effect(hx: Any, raw: redis.Redis, blocking_driver: Any) -> None:
    flow = A.then(B)
    first = await hx.jobs.start(flow, workflow_id="w")
    again = await hx.jobs.start(flow, workflow_id="w")
    assert (first.repeated, again.repeated, again.steps) == (False, True, first.steps)
    for name in first.steps:
        succeed(blocking_driver, name)
        move(blocking_driver, name)
    assert (await hx.jobs.start(flow, workflow_id="w")).repeated, "also when all is over"
    assert not raw.exists(Q.pending, Q.task("w:0"), step_record(Q, "w:1"))


async def test_ids_that_are_taken_are_refused(hx: Any) -> None:
    await hx.jobs.enqueue("other", task_id="w:0")
    with pytest.raises(Conflict):
        await hx.jobs.start(A.then(B), workflow_id="w")
    random = [await hx.jobs.start(A.then(B)) for _ in range(3)]
    assert len({started.id for started in random}) == 3


async def test_fifty_starts_at_once_are_one(hx: Any, raw: redis.Redis) -> None:
    flow = gather(A, B, then=C)
    answers = await asyncio.gather(*(hx.jobs.start(flow, workflow_id="w") for _ in range(50)))
    assert not all(answer.repeated for answer in answers)
    assert pending(raw) == [b"w:0", b"w:1"]


def test_a_workflow_of_a_thousand_steps(blocking_driver: Any, raw: redis.Redis) -> None:
    started = begin(blocking_driver, gather(*[A] * 998, then=B.then(C)))
    assert raw.llen(Q.pending) == 998
    heads = started.steps[:998]
    for name in heads:
        succeed(blocking_driver, name, b"1")
    for n in range(0, 998, 100):
        move(blocking_driver, *heads[n : n + 100])
    assert pending(raw) == [b"w:998"]


# -- moving on


def test_a_chain_moves_on_step_by_step(blocking_driver: Any, raw: redis.Redis) -> None:
    one, two, three = begin(blocking_driver, A.then(B.taking(RESULT)).then(C)).steps
    assert move(blocking_driver, one).released == [], "it has not even run"
    succeed(blocking_driver, one, b'{"x":1}')
    assert raw.hget(Q.task(one.id), "state") == b"completed", "kept until somebody has seen it"
    assert move(blocking_driver, one).released == [two]
    assert not raw.exists(Q.task(one.id)), "and no longer"
    assert decode_task(raw.hget(Q.task(two.id), "msg")).payload == b'{"x":1}'
    succeed(blocking_driver, two)
    assert move(blocking_driver, two).released == [three]
    succeed_last(blocking_driver, three)
    assert not raw.exists(OPEN) and not raw.exists(Q.completed, Q.active, Q.lease, Q.pending)
    assert raw.keys("*:x:step:*") == [b"asynq:{default}:x:step:w:0"]


def succeed_last(driver: Any, name: StepName) -> None:
    """Nobody waits for it and it is not kept."""
    queue, holder = queue_keys(name.queue), f"worker:{next(_numbers)}"
    (task_id, _) = driver.run(lease.cycle(queue, DAY, holder, 1, (), 0)).leased
    assert driver.run(finish.done(queue, DAY, (task_id, holder, ""), 0)) == b"1"


def test_a_step_keeps_the_retention_that_was_asked_for(blocking_driver: Any, raw: redis.Redis) -> None:
    one, _ = begin(blocking_driver, A.with_options(retention=timedelta(minutes=10)).then(B)).steps
    succeed(blocking_driver, one, b"1")
    move(blocking_driver, one)
    left = raw.zscore(Q.completed, one.id) - raw.time()[0]
    assert 590 <= left <= 600
    assert raw.hget(Q.task(one.id), "result") == b"1"


def test_a_delay_counts_from_when_the_step_could_start(blocking_driver: Any, raw: redis.Redis) -> None:
    one, two = begin(blocking_driver, A.then(B.with_options(process_in=timedelta(hours=1)))).steps
    succeed(blocking_driver, one)
    move(blocking_driver, one)
    assert 3590 <= raw.zscore(Q.scheduled, two.id) - raw.time()[0] <= 3601


def test_a_step_that_was_archived_stops_what_follows_until_it_succeeds(blocking_driver: Any, raw: redis.Redis) -> None:
    one, two = begin(blocking_driver, A.then(B)).steps
    fail(blocking_driver, one, "ValueError: no money")
    assert move(blocking_driver, one).released == []
    assert raw.zscore(OPEN, b'["default","w:0"]') > raw.time()[0] + 50, "looked at, but not often"
    blocking_driver.run(act.run("default", one.id, 0))
    succeed(blocking_driver, one)
    assert move(blocking_driver, one).released == [two]


def test_a_step_that_is_gone_breaks_those_behind_it(blocking_driver: Any, raw: redis.Redis) -> None:
    one, two, _ = begin(blocking_driver, A.then(B).then(C)).steps
    blocking_driver.run(act.delete("default", one.id))
    assert move(blocking_driver, one).released == []
    assert raw.hget(step_record(Q, two.id), "phase") == b"broken"
    assert not raw.exists(OPEN)


def test_a_result_that_cannot_be_an_argument_breaks_the_step(blocking_driver: Any, raw: redis.Redis) -> None:
    one, two = begin(blocking_driver, A.then(B.taking(RESULT))).steps
    succeed(blocking_driver, one, b"\xffnot json")
    assert move(blocking_driver, one).released == []
    assert raw.hget(step_record(Q, two.id), "why") == b"the result of a step before it is not JSON"
    assert not raw.exists(OPEN) and not raw.exists(Q.pending)


def test_a_task_that_took_the_id_meanwhile_breaks_the_step(blocking_driver: Any, raw: redis.Redis) -> None:
    one, two = begin(blocking_driver, A.then(B)).steps
    raw.hset(Q.task(two.id), mapping={"msg": b"", "state": "pending"})
    succeed(blocking_driver, one)
    assert move(blocking_driver, one).released == []
    assert raw.hget(step_record(Q, two.id), "why") == b"another task has its id"


def test_a_step_that_ran_twice_leads_on_once(blocking_driver: Any, raw: redis.Redis) -> None:
    one, two = begin(blocking_driver, A.with_options(retention=timedelta(hours=1)).then(B)).steps
    succeed(blocking_driver, one, b"1")
    assert move(blocking_driver, one).released == [two]
    succeed_last(blocking_driver, two)
    raw.hset(Q.task(one.id), "state", "archived")  # as an operator's tool that runs completed tasks again
    raw.zrem(Q.completed, one.id)
    raw.zadd(Q.archived, {one.id: 1})
    blocking_driver.run(act.run("default", one.id, 0))
    succeed(blocking_driver, one, b"2")
    assert move(blocking_driver, one).released == []
    assert not raw.exists(Q.pending)


# -- crashes in the seams


def drive(driver: Any, flow: Flow[Any], steps: int) -> bool:
    """Carry out so many steps of a flow and drop it there, as a process that is killed. False: it had fewer."""
    answer: Any = None
    for _ in range(steps):
        try:
            step = flow.send(answer)
        except StopIteration:
            return False
        answer = driver.run_many(step.ops) if isinstance(step, Batch) else driver.run(step)
    try:
        flow.send(answer)
    except StopIteration:
        return False
    flow.close()
    return True


WIDE = gather(A, B.with_options(queue="q2"), then=gather(C, B)).then(C.taking(RESULTS).with_options(queue="q3"))


def finish_all(driver: Any, raw: redis.Redis, started: Started) -> list[bytes]:
    """Run everything there is, moving on after each task; the ids in the order in which they ran."""
    ran: list[bytes] = []
    while queue := next((name for name in ("default", "q2", "q3") if raw.exists(queue_keys(name).pending)), None):
        (task_id,) = pending(raw, queue)[:1]
        name = StepName(queue, task_id.decode())
        (succeed_last if name == started.last else succeed)(driver, name)
        ran.append(task_id)
        move(driver, name)
    return ran


@pytest.mark.parametrize("steps", range(1, 5))
def test_a_start_that_dies_between_two_steps_can_be_repeated(
    blocking_driver: Any, raw: redis.Redis, steps: int
) -> None:
    died = drive(blocking_driver, start(WIDE, "w", 0, KnownQueues()), steps)
    assert died == (steps < 3)
    started = begin(blocking_driver, WIDE)
    assert started.repeated == (not died)
    assert sorted(finish_all(blocking_driver, raw, started)) == [b"w:%d" % n for n in range(5)]


def test_a_start_repeated_after_half_of_it_has_run_repeats_nothing(blocking_driver: Any, raw: redis.Redis) -> None:
    """The client died between its last two calls: one of two first steps was planted, and has run with what follows."""
    flow = gather(A.then(C), B.with_options(queue="q2"))
    assert drive(blocking_driver, start(flow, "w", 0, KnownQueues()), 2)
    planted = plant(flow, "w")
    blocking_driver.run(ops.plant([planted[0]], LIFE_S, 0, 0))
    succeed(blocking_driver, planted[0].name)
    assert drive(blocking_driver, advance([planted[0].name], set(), 0), 3)  # all but its end
    succeed_last(blocking_driver, planted[1].name)
    assert not begin(blocking_driver, flow).repeated
    later(blocking_driver, raw)
    assert (pending(raw), pending(raw, "q2")) == ([], [b"w:2"])


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("steps", range(1, 8))
def test_whoever_moves_on_may_die_anywhere(blocking_driver: Any, raw: redis.Redis, steps: int, at: int) -> None:
    """For each task of a workflow and each step between two calls: somebody dies there, others find it and go on."""
    started = begin(blocking_driver, WIDE)
    ran: list[bytes] = []
    while queue := next((name for name in ("default", "q2", "q3") if raw.exists(queue_keys(name).pending)), None):
        (task_id,) = pending(raw, queue)[:1]
        name = StepName(queue, task_id.decode())
        (succeed_last if name == started.last else succeed)(blocking_driver, name)
        if len(ran) == at:
            drive(blocking_driver, advance([name], {name}, 0), steps)
            later(blocking_driver, raw)
        else:
            move(blocking_driver, name)
        ran.append(task_id)
    assert sorted(ran) == [b"w:%d" % n for n in range(5)], "each once"
    assert set(ran[:2]) == {b"w:0", b"w:1"} and ran[-1] == b"w:4", "and only after all it waits for"
    later(blocking_driver, raw)  # who died after the very last but one thing leaves an entry for an hour
    assert not raw.exists(OPEN)


def later(driver: Any, raw: redis.Redis) -> None:
    """Time passes, and some worker looks at all that is open."""
    for member, score in raw.zrange(OPEN, 0, -1, withscores=True):
        raw.zadd(OPEN, {member: 1 + score % 1})
    taken = driver.run(ops.take(2, 0))
    assert not driver.follow(advance(taken.steps, taken.missing, 0)).errors


async def test_fifty_that_move_the_same_step_on_enqueue_one(
    hx: Any, driver: Any, blocking_driver: Any, raw: redis.Redis
) -> None:
    started = await hx.jobs.start(gather(A, B, then=C.taking(RESULTS)))
    one, two, last = started.steps
    succeed(blocking_driver, one, b"1")
    succeed(blocking_driver, two, b"2")
    moves = await asyncio.gather(*(driver.follow(advance([one, two], {one, two}, 0)) for _ in range(50)))
    assert [name for move in moves for name in move.released] == [last]
    assert not [error for move in moves for error in move.errors]
    assert pending(raw) == [last.id.encode()]
    assert decode_task(raw.hget(Q.task(last.id), "msg")).payload == b"[1,2]"


def test_who_comes_too_late_to_release_a_step_changes_nothing(blocking_driver: Any, raw: redis.Redis) -> None:
    """Two were told that it can start; the second was stopped until it had run, and was deleted."""
    one, two, _ = begin(blocking_driver, A.then(B).then(C)).steps
    succeed(blocking_driver, one)
    (look,) = blocking_driver.run(ops.look([one]))
    first, second = (blocking_driver.run(ops.deliver(look.then[0], b"")) for _ in range(2))
    assert blocking_driver.run(ops.release(two, first.message, 0)) is ops.Released.NOW
    succeed(blocking_driver, two)
    blocking_driver.run(act.delete("default", two.id))
    assert blocking_driver.run(ops.release(two, second.message, 0)) is ops.Released.BEFORE
    assert not raw.exists(Q.pending)
    assert raw.hget(step_record(Q, two.id), "phase") == b"runs"


def test_a_step_that_succeeds_twice_counts_once(blocking_driver: Any) -> None:
    one, _, three = begin(blocking_driver, gather(A, B, then=C)).steps
    succeed(blocking_driver, one)
    (look,) = blocking_driver.run(ops.look([one]))
    assert [blocking_driver.run(ops.deliver(look.then[0], b"")) for _ in range(3)] == [None] * 3
    assert look.then[0].id == three.id


def test_who_closes_a_step_again_does_not_keep_it_longer(blocking_driver: Any, raw: redis.Redis) -> None:
    one, _ = begin(blocking_driver, A.with_options(retention=timedelta(minutes=10)).then(B)).steps
    succeed(blocking_driver, one)
    move(blocking_driver, one)
    raw.zadd(Q.completed, {one.id: 1})
    blocking_driver.run(ops.close([one], 0))
    assert raw.zscore(Q.completed, one.id) == 1


async def test_fifty_fan_ins_at_once(driver: Any, blocking_driver: Any, raw: redis.Redis) -> None:
    """Fifty workflows of ten parts in three queues; all parts end at the same time, seen one by one."""
    flows = [gather(*(A.with_options(queue=f"p{n % 3}") for n in range(10)), then=C.taking(RESULTS)) for _ in range(50)]
    all_started = await asyncio.gather(
        *(driver.follow(start(flow, f"w{n}", 0, KnownQueues())) for n, flow in enumerate(flows))
    )
    for queue in ("p0", "p1", "p2"):
        while waiting := pending(raw, queue):
            succeed(blocking_driver, StepName(queue, waiting[0].decode()), b'"%s"' % waiting[0])
    parts = [name for started in all_started for name in started.steps[:-1]]
    moves = await asyncio.gather(*(driver.follow(advance([name], {name}, 0)) for name in parts))
    assert sorted(name.id for move in moves for name in move.released) == sorted(f"w{n}:10" for n in range(50))
    assert sorted(pending(raw)) == sorted(b"w%d:10" % n for n in range(50))
    for n in range(50):
        wanted = "[" + ",".join(f'"w{n}:{part}"' for part in range(10)) + "]"
        assert decode_task(raw.hget(Q.task(f"w{n}:10"), "msg")).payload == wanted.encode()
    assert not raw.exists(OPEN)


def test_one_bad_record_holds_up_nobody_else(blocking_driver: Any, raw: redis.Redis) -> None:
    bad = begin(blocking_driver, A.then(B), "bad").steps
    good = begin(blocking_driver, A.then(B), "good").steps
    raw.delete(step_record(Q, bad[1].id))
    raw.set(step_record(Q, bad[1].id), "not a hash")
    succeed(blocking_driver, bad[0])
    succeed(blocking_driver, good[0])
    advanced = blocking_driver.follow(advance([bad[0], good[0]], set(), 0))
    assert advanced.released == [good[1]]
    assert [type(error) for error in advanced.errors]
    assert all(isinstance(error, Error) for error in advanced.errors)
    assert raw.zrange(OPEN, 0, -1) == [b'["default","bad:0"]'], "it is looked at again"


# -- open steps


def test_open_steps_are_taken_by_one_at_a_time(blocking_driver: Any, raw: redis.Redis) -> None:
    names = [StepName("q", str(n)) for n in range(150)]
    blocking_driver.run(ops.note([(name, 0) for name in names[:100]], 0))
    blocking_driver.run(ops.note([(name, 0) for name in names[100:]], 0))
    first, second, third = (blocking_driver.run(ops.take(30, 0)) for _ in range(3))
    assert (len(first.steps), len(second.steps), len(third.steps)) == (100, 50, 0)
    assert set(first.steps) | set(second.steps) == set(names)
    assert first.wait_s == 0
    assert 28 <= second.wait_s <= 30
    blocking_driver.run(ops.note([(name, ops.FORGET_S) for name in names[:100]], 0))
    assert raw.zcard(OPEN) == 50


def test_a_step_that_is_about_to_be_released_is_looked_at_again_soon(blocking_driver: Any, raw: redis.Redis) -> None:
    """Another worker looked between the note and the release; then the one that released and ran it was killed."""
    one, two, _ = begin(blocking_driver, A.then(B).then(C)).steps
    blocking_driver.run(ops.note([(two, 0)], 0))
    taken = blocking_driver.run(ops.take(2, 0))
    assert two in taken.steps
    blocking_driver.follow(advance(taken.steps, taken.missing, 0))
    assert raw.zscore(OPEN, b'["default","w:1"]') - raw.time()[0] <= 10
    succeed(blocking_driver, one, b"1")
    move(blocking_driver, one)
    succeed(blocking_driver, two, b"2")
    later(blocking_driver, raw)
    assert pending(raw) == [b"w:2"]


def test_a_step_without_a_record_is_looked_at_twice(blocking_driver: Any, raw: redis.Redis) -> None:
    """It may be about to be planted by a client that was stopped for a while."""
    ghost = StepName("default", "ghost")
    blocking_driver.run(ops.note([(ghost, 0)], 0))
    taken = blocking_driver.run(ops.take(2, 0))
    assert taken.missing == frozenset()
    blocking_driver.follow(advance(taken.steps, taken.missing, 0))
    assert 3590 < raw.zscore(OPEN, b'["default","ghost"]') - raw.time()[0] < 3602
    raw.zadd(OPEN, {b'["default","ghost"]': 1.5})
    taken = blocking_driver.run(ops.take(2, 0))
    assert taken.missing == {ghost}
    blocking_driver.follow(advance(taken.steps, taken.missing, 0))
    assert not raw.exists(OPEN)


async def test_operators_see_who_waits_for_whom(hx: Any, blocking_driver: Any) -> None:
    assert await hx.jobs.inspector.open_steps() == FoundSteps((), "")
    one, two, three = (await hx.jobs.start(gather(A, B, then=C), workflow_id="w")).steps
    fail(blocking_driver, one, "boom")
    found = await hx.jobs.inspector.open_steps()
    assert list(found.steps) == [
        OpenStep("default", "w:0", State.ARCHIVED, (three,)),
        OpenStep("default", "w:1", State.PENDING, (three,)),
    ]
    assert two.id == "w:1"


async def test_a_workflow_is_shown_step_by_step(hx: Any, blocking_driver: Any) -> None:
    async def seen(step: str, **more: Any) -> list[tuple[int, str, list[int]]]:
        shown = await hx.jobs.inspector.workflow("default", step, **more)
        positions = {each.name: each.position for each in shown.steps}
        return [(each.position, each.status.value, [positions[name] for name in each.after]) for each in shown.steps]

    flow = gather(A, B.with_options(queue="low"), then=C).then(A)
    one, two, three, four = (await hx.jobs.start(flow, workflow_id="w")).steps
    links = {0: [], 1: [], 2: [0, 1], 3: [2]}
    assert await seen("w:0") == [
        (0, "pending", links[0]),
        (1, "pending", links[1]),
        (2, "waiting", links[2]),
        (3, "waiting", links[3]),
    ]
    assert await seen("w:3", queues=["default"]) == [(0, "pending", []), (2, "waiting", [0]), (3, "waiting", [2])]
    succeed(blocking_driver, two)
    move(blocking_driver, two)
    fail(blocking_driver, one, "boom")
    shown = await hx.jobs.inspector.workflow("default", "w:2")
    assert [each.status.value for each in shown.steps] == ["archived", "completed", "waiting", "waiting"]
    assert (shown.id, shown.steps[0].why, shown.steps[0].type, shown.beyond) == ("w", "boom", "a", ())
    await hx.jobs.inspector.run("default", "w:0")
    succeed(blocking_driver, one)
    move(blocking_driver, one)
    assert [status for _, status, _ in await seen("w:0")] == ["completed", "completed", "pending", "waiting"]
    succeed(blocking_driver, three)
    move(blocking_driver, three)
    assert (3, "pending", []) in [(position, status, []) for position, status, _ in await seen("w:0")]
    assert four.id == "w:3"


async def test_a_workflow_shows_what_is_lost_and_what_can_never_start(hx: Any, blocking_driver: Any) -> None:
    one, _ = (await hx.jobs.start(A.then(B), workflow_id="w")).steps
    await hx.jobs.inspector.delete("default", "w:0")
    shown = await hx.jobs.inspector.workflow("default", "w:1")
    assert [each.status.value for each in shown.steps] == ["lost", "waiting"]
    move(blocking_driver, one)
    shown = await hx.jobs.inspector.workflow("default", "w:1")
    assert [each.status.value for each in shown.steps] == ["ended", "never"]
    assert "gone" in shown.steps[1].why and "gone" not in repr(shown)
    await hx.jobs.enqueue("a", task_id="order:7")
    for step in ("order:7", "w", ":1", "w:x", "other:0"):
        with pytest.raises(NotFound):
            await hx.jobs.inspector.workflow("default", step)


# -- waiting for the end


async def test_the_result_of_a_later_step(hx: Any, blocking_driver: Any) -> None:
    now = timedelta(0)
    keep = timedelta(hours=1)
    one, two = (await hx.jobs.start(A.then(B.with_options(retention=keep)), workflow_id="w")).steps
    assert await hx.jobs.result(two.id, timeout=now) == NotYet(None)
    assert await hx.jobs.result(one.id, timeout=now) == NotYet(State.PENDING)
    succeed(blocking_driver, one)
    move(blocking_driver, one)
    succeed(blocking_driver, two, b"7")
    assert await hx.jobs.result(two.id, timeout=now) == Succeeded(b"7")


async def test_the_result_of_a_step_that_can_never_start(hx: Any, blocking_driver: Any) -> None:
    one, two = (await hx.jobs.start(A.then(B), workflow_id="w")).steps
    await hx.jobs.inspector.delete("default", one.id)
    move(blocking_driver, one)
    outcome = await hx.jobs.result(two.id, timeout=timedelta(0))
    assert isinstance(outcome, Failed)
    assert "gone" in outcome.error


@pytest.fixture(autouse=True)
def server_time(clock: FixedClock) -> None:
    """``hx`` tells time by the server, as the flows here do."""
    clock.now_ms = 0


async def test_a_step_that_is_cancelled_while_it_starts_never_runs(
    driver: Any, blocking_driver: Any, raw: redis.Redis
) -> None:
    """Before it starts, or as the task that it has just become."""
    ends = []
    for n in range(20):
        first, second = begin(blocking_driver, A.then(B), f"w{n}").steps
        succeed(blocking_driver, first)
        _, ended = await asyncio.gather(asyncio.to_thread(move, blocking_driver, first), Jobs(driver).cancel(second))
        ends.append(ended)
        assert ended in (NeverRuns(second.id, "default", None), NeverRuns(second.id, "default", State.PENDING))
        assert await Jobs(driver).cancel(second) == ended
        assert pending(raw) == []
    assert ends


def test_a_released_step_keeps_what_was_asked_for_it(blocking_driver: Any, raw: redis.Redis) -> None:
    """Its expiry counts from there."""
    later = B.with_options(at_front=True, expires_in=timedelta(hours=1))
    first, second = begin(blocking_driver, A.then(later)).steps
    succeed(blocking_driver, first)
    raw.rpush(Q.pending, "another")
    move(blocking_driver, first)
    assert raw.lrange(Q.pending, -1, -1) == [second.id.encode()]  # before the other
    expires_ms = int(raw.hget(Q.task(second.id), "expires_at"))
    assert 3_590_000 < expires_ms - 1000 * raw.time()[0] <= 3_601_000


async def test_the_result_of_a_step_that_nobody_retains_is_there_for_half_a_minute(
    hx: Any, raw: redis.Redis, blocking_driver: Any
) -> None:
    one, two = begin(blocking_driver, A.then(B)).steps
    succeed(blocking_driver, one, b"7")
    move(blocking_driver, one)
    succeed(blocking_driver, two)
    move(blocking_driver, two)
    assert not raw.exists(Q.task(one.id))
    assert await hx.jobs.result(one, timeout=timedelta(0)) == Succeeded(b"7")
    note = f"{Q.prefix}x:end:{one.id}"
    assert 0 < raw.ttl(note) <= 30
    raw.delete(note)
    assert await hx.jobs.result(one, timeout=timedelta(0)) == Gone()


class Word(enum.StrEnum):
    FLOW = "flow"
    DEFAULT = "default"


async def test_what_was_named_by_a_number_or_an_enum_comes_back_as_text(hx: Any) -> None:
    started = await hx.jobs.start(A.then(B), workflow_id=Word.FLOW)
    numbered = await hx.jobs.start(A.then(B), workflow_id=7)
    told = await hx.jobs.explain(started.last.id, queue=Word.DEFAULT)
    found = [started.id, numbered.id, told.id, told.queue, (await hx.jobs.explain(7)).id]
    found += [(answer := await hx.jobs.cancel(started.last.id, queue=Word.DEFAULT)).id, answer.queue]
    assert [type(name) for name in found] == [str] * 7
    assert found == ["flow", "7", "flow:1", "default", "7", "flow:1", "default"]
