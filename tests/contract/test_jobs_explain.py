"""Why a task is where it is, on a real server: one test per answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from hustlex.core.time import FixedClock
from hustlex.jobs import Cause, Job, State, StepName, gather
from hustlex.jobs.inspect import act
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease import finish, heartbeat, maintain
from hustlex.jobs.lease import limited as limit
from hustlex.jobs.lease import ops as lease
from hustlex.jobs.lease.heartbeat import ServerName
from hustlex.jobs.wire import ServerInfo, WorkerInfo, decode_task, encode_server, encode_task, encode_worker
from hustlex.jobs.workflow.flows import advance

Q = queue_keys("default")
DAY = "2026-11-23"
NOW_S = 1_795_425_653
NOW = datetime.fromtimestamp(NOW_S, UTC)


@pytest.fixture(autouse=True)
def fixed(clock: FixedClock) -> None:
    """One moment for scripts and tests."""
    clock.now_ms = NOW_S * 1000


def serve(driver: Any, *queues: str, running: str = "", status: str = "active", name: str = "s") -> None:
    """A worker's sign of life."""
    info = ServerInfo("host", 7, name, 10, dict.fromkeys(queues, 1), False, status, NOW_S * 10**9)
    work = WorkerInfo("host", 7, name, running, "a", b"", "default", NOW_S * 10**9, 0)
    rows = [running, encode_worker(work)] if running else []
    for op in heartbeat.beat(ServerName("host", 7, name), 10, NOW_S, encode_server(info), rows):
        driver.run(op)


def take(driver: Any, queue: str = "default", holder: str = "w:1") -> tuple[bytes, bytes]:
    """Lease the next task."""
    task_id, data = driver.run(lease.cycle(queue_keys(queue), DAY, holder, 1, (), NOW_S * 1000)).leased
    return task_id, data


async def test_nobody_knows_it(hx: Any) -> None:
    await hx.jobs.enqueue("a", task_id="other")
    for queue in (None, "default"):
        seen = await hx.jobs.explain("never", queue=queue)
        assert (seen.queue, seen.state, seen.causes, seen.next_start) == ("", None, (Cause.NO_TRACE,), None)
        assert "deleted" in seen.text


async def test_since_when_it_waits_or_runs(hx: Any, blocking_driver: Any) -> None:
    await hx.jobs.enqueue("a", task_id="x")
    seen = await hx.jobs.explain("x", queue="default")
    assert (seen.pending_since, seen.running_since) == (NOW, None)
    take(blocking_driver)
    serve(blocking_driver, "default", running="x")
    seen = await hx.jobs.explain("x", queue="default")
    assert (seen.pending_since, seen.running_since) == (None, NOW)


async def test_pending_behind_others(hx: Any, blocking_driver: Any) -> None:
    serve(blocking_driver, "default")
    for n in range(3):
        await hx.jobs.enqueue("a", task_id=str(n))
    first, last = await hx.jobs.explain("0"), await hx.jobs.explain("2", queue="default")
    assert (first.causes, first.ahead, first.next_start) == ((Cause.PENDING,), 0, NOW)
    assert (last.causes, last.ahead, last.served_by) == ((Cause.PENDING,), 2, ("host:7",))
    assert last.text == "2 pending tasks of its queue are next before it."


async def test_far_behind_others(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.enqueue("a", task_id="t")
    raw.rpush(Q.pending, *range(1_000))
    assert (await hx.jobs.explain("t")).ahead == -1
    raw.rpop(Q.pending, 1)
    assert (await hx.jobs.explain("t")).ahead == 999


@pytest.mark.parametrize("status", ["", "closed", "stopped"])
async def test_nobody_serves_the_queue(hx: Any, blocking_driver: Any, status: str) -> None:
    serve(blocking_driver, "another", name="x")
    if status:
        serve(blocking_driver, "default", status=status)
    await hx.jobs.enqueue("a", task_id="t")
    seen = await hx.jobs.explain("t")
    assert seen.causes == (Cause.NOBODY_SERVES, Cause.PENDING)
    assert seen.served_by == ()
    assert seen.text.startswith("No living worker takes tasks of queue 'default'. It is the next one")


async def test_a_paused_queue(hx: Any, blocking_driver: Any) -> None:
    serve(blocking_driver, "default")
    await hx.jobs.enqueue("a", task_id="t")
    await hx.jobs.inspector.pause("default")
    assert (await hx.jobs.explain("t")).causes == (Cause.PAUSED, Cause.PENDING)


async def test_scheduled_and_in_which_queue(hx: Any, blocking_driver: Any) -> None:
    serve(blocking_driver, "late")
    await hx.jobs.enqueue("a", task_id="t", queue="late", process_in=timedelta(minutes=1))
    seen = await hx.jobs.explain("t")
    assert (seen.queue, seen.state, seen.causes) == ("late", State.SCHEDULED, (Cause.SCHEDULED,))
    assert seen.next_start == NOW + timedelta(minutes=1)
    assert seen.next_start.isoformat(timespec="seconds") in seen.text


async def test_retried_after_failures(hx: Any, blocking_driver: Any) -> None:
    serve(blocking_driver, "default")
    await hx.jobs.enqueue("a", task_id="t", max_retry=5)
    task_id, data = take(blocking_driver)
    failed = encode_task(replace(decode_task(data), retried=2, error_msg="ValueError: no money"))
    blocking_driver.run(finish.retry(Q, DAY, (task_id, "w:1", 30_000, failed, 1), NOW_S * 1000))
    seen = await hx.jobs.explain("t")
    assert (seen.causes, seen.retried, seen.max_retry) == ((Cause.RETRY,), 2, 5)
    assert seen.last_error == "ValueError: no money"
    assert seen.next_start == NOW + timedelta(seconds=30)
    assert seen.repeats == ("It was repeated 2 times, of at most 5, because it failed.",)
    assert "no money" in seen.text
    assert "no money" not in repr(seen)


async def test_a_type_that_no_worker_knows(hx: Any, blocking_driver: Any) -> None:
    serve(blocking_driver, "default")
    await hx.jobs.enqueue("a", task_id="t")
    task_id, data = take(blocking_driver)
    text = 'handler not found for task "a"'
    failed = encode_task(replace(decode_task(data), retried=1, error_msg=text))
    blocking_driver.run(finish.retry(Q, DAY, (task_id, "w:1", 30_000, failed, 1), NOW_S * 1000))
    assert (await hx.jobs.explain("t")).causes == (Cause.UNKNOWN_TYPE, Cause.RETRY), "as Go's workers leave it"


async def test_a_type_that_is_put_off(hx: Any, blocking_driver: Any, raw: redis.Redis) -> None:
    serve(blocking_driver, "default")
    await hx.jobs.enqueue("a", task_id="t")
    take(blocking_driver)
    blocking_driver.run(limit.put_off(Q, DAY, ("t", "w:1", 30_000), NOW_S * 1000))
    seen = await hx.jobs.explain("t")
    assert seen.causes == (Cause.UNKNOWN_TYPE, Cause.SCHEDULED)
    assert "No worker that took it since 2026-11-23T09:20:53+00:00 has a handler for its type" in seen.text


async def test_archived(hx: Any, blocking_driver: Any) -> None:
    await hx.jobs.enqueue("a", task_id="t")
    task_id, data = take(blocking_driver)
    failed = encode_task(replace(decode_task(data), error_msg="ValueError: never"))
    blocking_driver.run(finish.archive(Q, DAY, (task_id, "w:1", failed), NOW_S * 1000))
    seen = await hx.jobs.explain("t")
    assert (seen.causes, seen.state, seen.next_start) == ((Cause.ARCHIVED,), State.ARCHIVED, None)
    assert "ValueError: never" in seen.text


async def test_running_held_and_left_behind(hx: Any, blocking_driver: Any, clock: FixedClock) -> None:
    await hx.jobs.enqueue("a", task_id="t")
    take(blocking_driver)
    seen = await hx.jobs.explain("t")
    assert (seen.causes, seen.running_on) == ((Cause.HELD,), None)
    serve(blocking_driver, "default", running="t")
    seen = await hx.jobs.explain("t")
    assert (seen.causes, seen.running_on) == ((Cause.RUNNING,), "host:7")
    assert seen.text == "It is running on host:7."
    clock.now_ms += 31_000
    seen = await hx.jobs.explain("t")
    assert seen.causes == (Cause.LEASE_OVER,)


async def test_why_it_ran_twice(hx: Any, blocking_driver: Any) -> None:
    serve(blocking_driver, "default")
    await hx.jobs.enqueue("a", task_id="t")
    take(blocking_driver)
    assert blocking_driver.run(maintain.recover(Q, (NOW_S + 12) * 1000)) == [b"t"]
    seen = await hx.jobs.explain("t")
    assert (seen.causes, seen.crashes) == ((Cause.PENDING,), 1)
    assert seen.repeats == ("It was started again once because a worker died while it had the task.",)
    assert seen.repeats[0] in seen.words
    task_id, data = take(blocking_driver, holder="w:2")
    lost = encode_task(replace(decode_task(data), retried=1, error_msg="asynq: task lease expired"))
    blocking_driver.run(finish.retry(Q, DAY, (task_id, "w:2", 5_000, lost, 1), NOW_S * 1000))
    seen = await hx.jobs.explain("t")
    assert len(seen.repeats) == 3
    assert "did not keep the lease" in seen.text


async def test_a_group(hx: Any, blocking_driver: Any) -> None:
    serve(blocking_driver, "default")
    for n in range(3):
        await hx.jobs.enqueue("a", str(n).encode(), task_id=str(n), group="G")
    seen = await hx.jobs.explain("1")
    assert (seen.causes, seen.group) == ((Cause.GROUP,), "G")
    assert "a group of 3" in seen.text


async def test_who_holds_the_lock(hx: Any, blocking_driver: Any, raw: redis.Redis) -> None:
    serve(blocking_driver, "default")
    await hx.jobs.enqueue("a", task_id="t", unique_for=timedelta(minutes=5))
    duplicate = await hx.jobs.enqueue("a", task_id="u", unique_for=timedelta(minutes=5))
    seen = await hx.jobs.explain(duplicate.of)
    assert (seen.id, seen.lock_holder) == ("t", "t")
    assert timedelta(seconds=290) < seen.lock_left <= timedelta(minutes=5)
    assert "duplicate" in seen.text
    raw.set(raw.hget(Q.task("t"), "unique_key"), "another", ex=60)
    assert "held by task another now" in (await hx.jobs.explain("t")).text
    raw.delete(raw.hget(Q.task("t"), "unique_key"))
    assert (await hx.jobs.explain("t")).lock_holder == ""


async def test_succeeded_and_kept(hx: Any, blocking_driver: Any) -> None:
    await hx.jobs.enqueue("a", task_id="t", retention=timedelta(hours=1))
    task_id, data = take(blocking_driver)
    blocking_driver.run(finish.complete(Q, DAY, (task_id, "w:1", 3600, data, ""), NOW_S * 1000))
    assert (await hx.jobs.explain("t")).causes == (Cause.COMPLETED,)


async def test_set_aside_because_nobody_could_read_it(hx: Any, blocking_driver: Any, raw: redis.Redis) -> None:
    raw.sadd("asynq:queues", "default")
    raw.hset(Q.task("t"), mapping={"msg": b"\xff\xff", "state": "pending"})
    raw.lpush(Q.pending, "t")
    assert (await hx.jobs.explain("t")).causes == (Cause.NOBODY_SERVES, Cause.PENDING), "not decoded yet"
    take(blocking_driver)
    blocking_driver.run(lease.park(Q, b"t", "w:1"))
    assert (await hx.jobs.explain("t")).causes == (Cause.PARKED,)


async def test_steps_that_wait(hx: Any, blocking_driver: Any) -> None:
    serve(blocking_driver, "default", "far")
    flow = gather(Job("a"), Job("b"), then=Job("c").with_options(queue="far")).then(Job("d"))
    one, two, three, four = (await hx.jobs.start(flow, workflow_id="w")).steps
    seen = await hx.jobs.explain(three.id)
    assert (seen.queue, seen.state, seen.causes) == ("far", None, (Cause.WAITS_FOR_STEPS,))
    assert {(step.id, step.cause) for step in seen.waits_for} == {("w:0", Cause.PENDING), ("w:1", Cause.PENDING)}
    seen = await hx.jobs.explain(four.id)
    assert [(step.id, step.cause) for step in seen.waits_for] == [("w:2", Cause.WAITS_FOR_STEPS)]
    complete(blocking_driver, one)
    blocking_driver.follow(advance([one], (), 0))
    seen = await hx.jobs.explain(three.id)
    assert [step.id for step in seen.waits_for] == ["w:1"], "who has succeeded is not waited for"
    task_id, data = take(blocking_driver)
    failed = encode_task(replace(decode_task(data), error_msg="boom"))
    blocking_driver.run(finish.archive(Q, DAY, (task_id, "w:1", failed), NOW_S * 1000))
    seen = await hx.jobs.explain(three.id)
    assert seen.causes == (Cause.STEP_FAILED,)
    assert [(step.id, step.cause, step.error) for step in seen.waits_for] == [(two.id, Cause.ARCHIVED, "boom")]
    assert "w:1 in queue 'default' (archived: boom)" in seen.text
    assert "boom" not in repr(seen.waits_for)
    blocking_driver.run(act.delete("default", two.id))
    blocking_driver.follow(advance([two], (), 0))
    seen = await hx.jobs.explain(three.id)
    assert seen.causes == (Cause.STEP_FAILED,)
    assert "can never start" in seen.text


def complete(driver: Any, name: StepName) -> None:
    task_id, data = take(driver, name.queue)
    assert task_id == name.id.encode()
    driver.run(finish.complete(Q, DAY, (task_id, "w:1", decode_task(data).retention, data, ""), NOW_S * 1000))


async def test_a_step_that_has_started_is_a_task_like_others(hx: Any, blocking_driver: Any) -> None:
    serve(blocking_driver, "default")
    one, two = (await hx.jobs.start(Job("a").then(Job("b")), workflow_id="w")).steps
    assert (await hx.jobs.explain(one.id)).causes == (Cause.PENDING,)
    complete(blocking_driver, one)
    blocking_driver.follow(advance([one], (), 0))
    assert (await hx.jobs.explain(one.id)).causes == (Cause.COMPLETED,), "known for a day"
    seen = await hx.jobs.explain(two.id)
    assert (seen.causes, seen.waits_for) == ((Cause.PENDING,), ())


async def test_many_queues_are_searched(hx: Any, raw: redis.Redis) -> None:
    raw.sadd("asynq:queues", *(f"q{n}" for n in range(250)))
    await hx.jobs.enqueue("a", task_id="t", queue="q249")
    assert (await hx.jobs.explain("t")).queue == "q249"
