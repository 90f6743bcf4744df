"""What Go's workers, producers and inspector make of the options and marks that Asynq does not know."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.jobs import Enqueued, Jobs, NeverRuns, Stopping
from tests.interop.support import GoClient, GoError, Launch, runs, state, stored
from tests.worker.support import until

P = "asynq:{default}:"
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def seen(go: GoClient, task_id: str) -> tuple[Any, ...]:
    """State, error and retries of a task, as Go's inspector tells them."""
    info = go("task", queue="default", id=task_id)
    return info["State"], info["LastErr"], info["Retried"]


def listed(go: GoClient, wanted: str) -> list[str]:
    """The ids of a state, as Go's inspector lists them."""
    return [info["ID"] for info in go("tasks", queue="default", state=wanted, page=1, size=30)]


# -- at_front


async def test_go_lists_and_runs_first_what_was_put_at_the_front(
    jobs: Jobs, go: GoClient, launch: Launch, raw: redis.Redis
) -> None:
    go.enqueue("ok:x", b"1", task_id="theirs")
    await jobs.enqueue("ok:x", b"2", task_id="ours")
    for name in ("front", "before it"):
        await jobs.enqueue("ok:x", b"3", task_id=name, at_front=True)
    order = ["before it", "front", "theirs", "ours"]
    assert sorted(listed(go, "pending")) == sorted(order)
    assert seen(go, "front") == ("pending", "", 0)
    launch("go", concurrency=1)
    await until(lambda: len(runs(raw)) == 4)
    assert [(run["id"], run["by"]) for run in runs(raw)] == [(task_id, "go") for task_id in order]


@pytest.mark.parametrize(("forwarder", "place"), [("go", 0), ("py", -1)])
async def test_after_a_wait_only_our_workers_put_a_task_at_the_front(
    jobs: Jobs, go: GoClient, launch: Launch, raw: redis.Redis, forwarder: str, place: int
) -> None:
    """Behind the others by Go, before them by ours. The queue is paused: nothing is taken, only moved."""
    go.enqueue("ok:x", b"1", task_id="waits")
    go("pause", queue="default")
    await jobs.enqueue("ok:x", b"2", task_id="front", at_front=True, process_in=timedelta(milliseconds=1))
    launch(forwarder)
    await until(lambda: state(raw, "front") == "pending")
    assert raw.lrange(P + "pending", 0, -1)[place] == b"front"  # who leases takes from the tail


# -- cancel, of a running task


async def test_a_cancelled_task_of_a_go_worker_is_cut_off_and_waits_until_ours_archives_it_unstarted(
    jobs: Jobs, go: GoClient, launch: Launch, raw: redis.Redis
) -> None:
    go.enqueue("slow:x", b"60000", task_id="t", unique_for=HOUR)
    worker = launch("go", retry_delay_ms=0)
    await until(lambda: runs(raw) and raw.pubsub_numsub("asynq:cancel")[0][1] == 1)
    go("pause", queue="default")  # nobody takes it before the next look
    answer = await jobs.cancel("t")
    assert isinstance(answer, Stopping)
    assert answer.heard == 1
    await until(lambda: state(raw, "t") in ("retry", "pending"))
    worker.kill()
    assert seen(go, "t")[1:] == ("context canceled", 1)
    launch("py")
    go("unpause", queue="default")
    await until(lambda: state(raw, "t") == "archived")
    assert seen(go, "t") == ("archived", "canceled", 1)
    assert [run["by"] for run in runs(raw)] == ["go"]
    assert not raw.exists(stored(raw, "t").unique_key)


async def test_go_workers_retry_a_cancelled_task_until_it_is_cancelled_while_it_waits(
    jobs: Jobs, go: GoClient, launch: Launch, raw: redis.Redis
) -> None:
    go.enqueue("slow:x", b"60000", task_id="t")
    launch("go", retry_delay_ms=0)
    await until(lambda: runs(raw) and raw.pubsub_numsub("asynq:cancel")[0][1] == 1)
    assert isinstance(await jobs.cancel("t"), Stopping)
    await until(lambda: len(runs(raw)) == 2)
    assert [run["retried"] for run in runs(raw)] == [0, 1]
    go("pause", queue="default")
    await jobs.cancel("t")
    await until(lambda: state(raw, "t") in ("retry", "pending"))
    assert isinstance(await jobs.cancel("t"), NeverRuns)
    assert seen(go, "t") == ("archived", "canceled", 2)


async def test_go_sees_a_running_task_that_ours_stops_archived(
    jobs: Jobs, go: GoClient, launch: Launch, raw: redis.Redis
) -> None:
    go.enqueue("slow:x", b"60000", task_id="t", unique_for=HOUR)
    launch("py")
    await until(lambda: runs(raw) and raw.pubsub_numsub("asynq:cancel")[0][1] == 1)
    assert isinstance(await jobs.cancel("t"), Stopping)
    await until(lambda: state(raw, "t") == "archived")
    assert seen(go, "t")[:2] == ("archived", "context canceled")
    assert listed(go, "archived") == ["t"]
    assert go.enqueue("slow:x", b"60000", unique_for=HOUR)["State"] == "pending"


# -- expires_in


async def expired(jobs: Jobs, **options: Any) -> None:
    """A task "t" whose time to start is over before any worker is up."""
    await jobs.enqueue("ok:x", b"x", task_id="t", expires_in=timedelta(milliseconds=1), unique_for=HOUR, **options)


async def test_go_finds_nothing_of_a_task_that_ours_dropped_as_expired(
    jobs: Jobs, go: GoClient, launch: Launch, raw: redis.Redis
) -> None:
    await expired(jobs, retention=HOUR)
    assert seen(go, "t") == ("pending", "", 0)
    launch("py")
    await until(lambda: state(raw, "t") == "")
    with pytest.raises(GoError) as refused:
        go("task", queue="default", id="t")
    assert (refused.value.kind, runs(raw)) == ("no task", [])
    told = go("queue", queue="default")
    assert (told["Size"], told["Archived"], told["Retry"], told["Completed"], told["FailedTotal"]) == (0,) * 5
    assert go.enqueue("ok:x", b"x", unique_for=HOUR)["State"] == "pending"


async def test_a_go_worker_runs_an_expired_task(jobs: Jobs, launch: Launch, raw: redis.Redis) -> None:
    await expired(jobs)
    launch("go")
    await until(lambda: state(raw, "t") == "")
    assert [(run["id"], run["by"]) for run in runs(raw)] == [("t", "go")]


# -- cancel, of a task that waits


@pytest.mark.parametrize(
    ("was", "options"),
    [("pending", {}), ("scheduled", {"process_in": HOUR}), ("pending", {"at_front": True})],
    ids=["pending", "scheduled", "at the front"],
)
async def test_a_cancelled_waiting_task_is_archived_for_go_and_its_lock_is_free(
    jobs: Jobs, go: GoClient, launch: Launch, raw: redis.Redis, was: str, options: dict[str, Any]
) -> None:
    await jobs.enqueue("ok:x", b"x", task_id="t", unique_for=HOUR, **options)
    with pytest.raises(GoError, match="already exists"):
        go.enqueue("ok:x", b"x", unique_for=HOUR)
    cancelled = await jobs.cancel("t")
    assert isinstance(cancelled, NeverRuns)
    assert cancelled.was == was
    assert (seen(go, "t"), listed(go, "archived"), listed(go, was)) == (("archived", "canceled", 0), ["t"], [])
    with pytest.raises(GoError) as taken:
        go.enqueue("ok:x", b"x", task_id="t")
    assert taken.value.kind == "id taken"
    go.enqueue("ok:x", b"x", task_id="next", unique_for=HOUR)
    go("delete", queue="default", id="t")  # must leave the next one's lock alone
    with pytest.raises(GoError) as refused:
        go.enqueue("ok:x", b"x", unique_for=HOUR)
    assert refused.value.kind == "duplicate"
    launch("go")
    await until(lambda: raw.get(P + "processed") == b"1")
    assert [run["id"] for run in runs(raw)] == ["next"]


async def test_what_go_runs_out_of_the_archive_ours_still_holds_for_cancelled(
    jobs: Jobs, go: GoClient, launch: Launch, raw: redis.Redis
) -> None:
    """Go's inspector leaves the mark where it is; ours takes it away."""
    assert isinstance(await jobs.enqueue("ok:x", b"x", task_id="t"), Enqueued)
    await jobs.cancel("t")
    go("run", queue="default", id="t")
    assert seen(go, "t") == ("pending", "canceled", 0)
    launch("py")
    await until(lambda: state(raw, "t") == "archived")
    assert runs(raw) == []
    await jobs.inspector.run("default", "t")
    await until(lambda: len(runs(raw)) == 1)


# -- the trace


async def test_go_reads_the_trace_and_hands_it_back_after_a_retry(
    url: str, go: GoClient, launch: Launch, raw: redis.Redis
) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    from hustlex.app import HustleX
    from hustlex.jobs.wire import decode_task
    from hustlex.otel import OpenTelemetry

    tracing = TracerProvider()
    async with HustleX(url, hook=OpenTelemetry(tracer_provider=tracing)) as hx:
        with tracing.get_tracer("test").start_as_current_span("request") as request:
            await hx.jobs.enqueue("fail:x", b"1", task_id="t")
    trace_id = f"{request.get_span_context().trace_id:032x}"
    launch("go")
    await until(lambda: state(raw, "t") == "retry")
    assert runs(raw)[0]["headers"]["traceparent"].split("-")[1] == trace_id
    assert decode_task(raw.hget(P + "t:t", "msg")).headers["traceparent"].split("-")[1] == trace_id
    tracing.shutdown()
