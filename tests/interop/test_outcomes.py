"""What becomes of a task after an attempt: the same in Redis whichever language's worker made it."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from hustlex.jobs import Inspector, Job, Jobs
from hustlex.jobs.wire import decode_task
from tests.interop.support import GoClient, Launch, assert_alike, counted, enlist, runs, snapshot, state, stored
from tests.worker.support import until

P = "asynq:{default}:"
HOUR = timedelta(hours=1)
BOTH_WAYS = pytest.mark.parametrize(("first", "second"), [("go", "py"), ("py", "go")])
EITHER = pytest.mark.parametrize("worker", ["go", "py"])

FATES: dict[str, tuple[Job, str]] = {  # and the state it ends in
    "done": (Job("ok:x", b"x", {"unique_for": HOUR}), ""),
    "kept": (Job("ok:x", b"y", {"unique_for": HOUR, "retention": HOUR}), "completed"),
    "with result": (Job("result:x", b"x", {"retention": HOUR}), "completed"),
    "failed": (Job("fail:x", b"x", {"unique_for": HOUR, "headers": {"k": "v"}}), "retry"),
    "failed for good": (Job("fail:x", b"x", {"max_retry": 0, "unique_for": HOUR, "queue": "default"}), "archived"),
    "skipped": (Job("skip:x", b"x", {"retention": HOUR}), "archived"),
    "revoked": (Job("revoke:x", b"x", {"retention": HOUR, "unique_for": HOUR}), ""),
    "no failure": (Job("soft:x", b"x"), "retry"),
    "no failure and no retry": (Job("soft:x", b"x", {"max_retry": 0}), "archived"),
    "panic": (Job("panic:x", b"x"), "retry"),
    "too long": (Job("slow:x", b"30000", {"timeout": timedelta(seconds=1)}), "retry"),
    "too long and deaf": (Job("deaf:x", b"2500", {"timeout": timedelta(seconds=1)}), "retry"),
    "too long for good": (Job("slow:x", b"30000", {"timeout": timedelta(seconds=1), "max_retry": 0}), "archived"),
}
TEXTS = {  # of the library, and ours where it differs
    "failed": ("failed as told", "ValueError: failed as told"),
    "skipped": ("no use: skip retry for the task", "SkipRetry: no use"),
    "no failure": ("not a failure", "SoftError: not a failure"),
    "panic": ("panic error cause by: panic [serve.go]: all is lost", "RuntimeError: all is lost"),
    "too long": ("context deadline exceeded",) * 2,
    "too long and deaf": ("context deadline exceeded",) * 2,
}


async def outcome(language: str, name: str, go: GoClient, launch: Launch, raw: redis.Redis) -> dict[str, Any]:
    """All keys after one attempt by a worker of this language, which is gone."""
    job, ends = FATES[name]
    go.enqueue(job.type, job.payload, task_id="t", **job.options)
    worker = launch(language, retry_delay_ms=600_000)
    await until(lambda: state(raw, "t") == ends)
    worker.kill()
    keys = snapshot(raw)
    raw.flushall()
    return {key: value for key, value in keys.items() if not key.startswith(("asynq:servers", "asynq:workers"))}


async def test_what_our_worker_does_not_know_it_leaves_unchanged_to_one_that_does(
    go: GoClient, launch: Launch, raw: redis.Redis
) -> None:
    """Unlike Go's, which burns a retry on it."""
    go.enqueue("nobody's", b"x", task_id="t")
    launch("py")
    await until(lambda: state(raw, "t") == "scheduled")
    message = decode_task(raw.hget(P + "t:t", "msg"))
    assert (message.retried, message.error_msg, message.last_failed_at) == (0, "", 0)


async def test_past_its_deadline_a_task_is_archived(go: GoClient, launch: Launch, raw: redis.Redis) -> None:
    """Go's worker retries it 25 times, though no attempt can start any more."""
    go.enqueue("ok:x", b"x", task_id="t", deadline=datetime(2020, 1, 1, tzinfo=UTC))
    launch("py")
    await until(lambda: state(raw, "t") == "archived")
    message = decode_task(raw.hget(P + "t:t", "msg"))
    assert (message.retried, message.error_msg) == (0, "context deadline exceeded")


@pytest.mark.parametrize("name", FATES)
async def test_an_attempt_leaves_the_same_keys(go: GoClient, launch: Launch, raw: redis.Redis, name: str) -> None:
    """C3 to C5: queue, message, counters, locks and results; only the text of an error is the language's own."""
    theirs = await outcome("go", name, go, launch, raw)
    raw.sadd("asynq:queues", "default")  # the client registered it and remembers
    ours = await outcome("py", name, go, launch, raw)
    texts = [keys[P + "t:t"][1][b"msg"].pop("error_msg") if P + "t:t" in keys else "" for keys in (theirs, ours)]
    assert_alike(ours, theirs)
    if name in TEXTS:
        assert [re.sub(r"\[.*:\d+\]", "[serve.go]", text) for text in texts] == [*TEXTS[name]]


@BOTH_WAYS
async def test_a_failed_attempt_is_repeated_by_the_other(
    jobs: Jobs, inspector: Inspector, go: GoClient, launch: Launch, raw: redis.Redis, first: str, second: str
) -> None:
    """C2, with the default delay of 15 to 44 seconds; run by hand instead of waiting for it."""
    await jobs.enqueue("once:x", b"x", task_id="t", unique_for=HOUR, headers={"k": "v"})
    worker = launch(first)
    await until(lambda: state(raw, "t") == "retry")
    worker.stop()
    failed = stored(raw, "t")
    assert (failed.retried, failed.retry, failed.error_msg.split(": ")[-1]) == (1, 25, "failed as told")
    assert abs(failed.last_failed_at - raw.time()[0]) <= 3
    assert 14 <= raw.zscore(P + "retry", "t") - failed.last_failed_at <= 45
    assert [raw.get(P + "processed"), raw.get(P + "failed")] == [b"1", b"1"]
    assert raw.exists(failed.unique_key)
    await inspector.run("default", "t") if second == "go" else go("run", queue="default", id="t")
    launch(second)
    await until(lambda: raw.get(P + "processed") == b"2")
    assert [(run["by"], run["retried"], run["headers"]) for run in runs(raw)] == [
        (first, 0, {"k": "v"}),
        (second, 1, {"k": "v"}),
    ]
    assert (raw.get(P + "failed"), state(raw, "t"), raw.exists(failed.unique_key)) == (b"1", "", 0)


async def test_a_mixed_fleet_uses_up_the_retries_and_archives(
    inspector: Inspector, go: GoClient, launch: Launch, raw: redis.Redis
) -> None:
    """C3: tasks of two retries each, three attempts each, by both languages."""
    count = 300
    await enlist(inspector, [launch("go", retry_delay_ms=0), launch("py", retry_delay_ms=0, concurrency=1)])
    go.enqueue_many([Job("fail:x", b"%d" % n, {"task_id": f"t{n}", "max_retry": 2}) for n in range(count)])
    await until(lambda: raw.zcard(P + "archived") == count)
    assert counted(raw) == {f"t{n}": 3 for n in range(count)}
    assert Counter(run["retried"] for run in runs(raw)) == {0: count, 1: count, 2: count}
    assert {run["by"] for run in runs(raw)} == {"go", "py"}
    assert [int(raw.get(P + "processed")), int(raw.get(P + "failed"))] == [3 * count, 3 * count]
    assert {stored(raw, f"t{n}").retried for n in range(count)} == {2}


@pytest.mark.parametrize(("canceller", "worker"), [("go", "py"), ("py", "go"), ("py", "py")])
async def test_a_running_task_is_cancelled_from_the_other_side(
    jobs: Jobs, go: GoClient, launch: Launch, raw: redis.Redis, canceller: str, worker: str
) -> None:
    """C6."""
    go.enqueue("slow:x", b"60000", task_id="t")
    launch(worker, retry_delay_ms=600_000)
    await until(lambda: runs(raw) and raw.pubsub_numsub("asynq:cancel")[0][1] == 1)
    if canceller == "go":
        go("cancel", id="t")
    else:
        assert await jobs.inspector.cancel("t") == 1
    await until(lambda: state(raw, "t") == "retry")
    message = stored(raw, "t")
    assert (message.error_msg, message.retried) == ("context canceled", 1)
    assert [raw.get(P + "processed"), raw.get(P + "failed")] == [b"1", b"1"]


@BOTH_WAYS
async def test_tasks_of_a_worker_that_is_told_to_end_run_next_on_the_other(
    go: GoClient, launch: Launch, raw: redis.Redis, first: str, second: str
) -> None:
    """C8: requeued unchanged, before all that waits."""
    go.enqueue_many([Job("slow:x", b"60000", {"task_id": f"t{n}"}) for n in range(6)])
    messages = {f"t{n}": raw.hget(P + f"t:t{n}", "msg") for n in range(6)}
    worker = launch(first, concurrency=2, shutdown_ms=300)
    await until(lambda: len(runs(raw)) == 2)
    began = time.monotonic()
    worker.stop()
    assert time.monotonic() - began < 20  # and not the minute that its tasks take
    assert (raw.llen(P + "active"), raw.zcard(P + "lease"), raw.llen(P + "pending")) == (0, 0, 6)
    assert set(raw.lrange(P + "pending", -2, -1)) == {b"t0", b"t1"}
    assert {f"t{n}": raw.hget(P + f"t:t{n}", "msg") for n in range(6)} == messages
    assert {state(raw, task_id) for task_id in messages} == {"pending"}
    assert not raw.exists(P + "processed", P + "failed", P + "retry")
    launch(second, concurrency=2)
    await until(lambda: len(runs(raw)) == 4)
    assert {run["id"] for run in runs(raw)[2:]} == {"t0", "t1"}
    assert all(run["retried"] == 0 and run["by"] == second for run in runs(raw)[2:])


@EITHER
async def test_counters_are_of_the_utc_day_in_any_zone(
    go: GoClient, launch: Launch, raw: redis.Redis, worker: str
) -> None:
    """C15, in a zone where it is another day."""
    zone = "Etc/GMT-14" if datetime.now(UTC).hour >= 12 else "Etc/GMT+12"
    days = {day()}
    go.enqueue("ok:x", b"x")
    go.enqueue("fail:x", b"x", max_retry=0)
    launch(worker, environment={"TZ": zone})
    await until(lambda: raw.get(P + "processed") == b"2")
    days.add(day())
    dated = {key.decode() for name in ("processed", "failed") for key in raw.scan_iter(f"{P}{name}:*")}
    assert dated <= {f"{P}{counter}:{a_day}" for counter in ("processed", "failed") for a_day in days}
    assert sum(int(raw.get(key)) for key in dated) == 3
    assert all(89 * 86_400 < raw.ttl(key) <= 90 * 86_400 for key in dated)


def day() -> str:
    return datetime.now(UTC).date().isoformat()


async def test_headers_survive_a_retry_of_the_library(go: GoClient, launch: Launch, raw: redis.Redis) -> None:
    go.enqueue("fail:x", b"x", task_id="t", headers={"a": "1", "b": ""})
    launch("go", retry_delay_ms=600_000)
    await until(lambda: state(raw, "t") == "retry")
    assert decode_task(raw.hget(P + "t:t", "msg")).headers == {"a": "1", "b": ""}
