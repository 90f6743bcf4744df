"""What a client leaves in Redis: ours and the library's side by side, key by key; and each run by the other's worker.

The library's command line tool is not available as a Go module, so its ``task enqueue`` is not run; it is an ordinary
use of the client that ``go`` drives here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from hustlex.jobs import Duplicate, Enqueued, IdTaken, Inspector, Job, Jobs, State
from hustlex.jobs.keys import queue_keys
from tests.interop.support import (
    GoClient,
    GoError,
    Launch,
    assert_alike,
    is_uuid4,
    runs,
    snapshot,
    state,
    stored,
)
from tests.worker.support import until

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
IN_A_DAY = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
AN_HOUR_AGO = IN_A_DAY - timedelta(hours=25)

CASES: dict[str, Job] = {
    "plain": Job("ok:plain", b"x"),
    "nil payload": Job("ok:nil"),
    "empty payload": Job("ok:empty", b""),
    "binary payload": Job("ok:binary", bytes(range(256))),
    "unique": Job("ok:u", b'{"a":123}', {"unique_for": timedelta(seconds=90.5)}),
    "unique nil": Job("ok:u", None, {"unique_for": HOUR}),
    "unique empty": Job("ok:u", b"", {"unique_for": HOUR}),
    "later": Job("ok:s", b"x", {"process_in": 90 * SECOND}),
    "at": Job("ok:s", b"x", {"process_at": IN_A_DAY}),
    "in the past": Job("ok:s", b"x", {"process_at": AN_HOUR_AGO}),
    "later and unique": Job("ok:s", None, {"process_in": 90 * SECOND, "unique_for": MINUTE}),
    "in the past and unique": Job("ok:s", b"x", {"process_at": AN_HOUR_AGO, "unique_for": MINUTE}),
    "group": Job("ok:g", b"x", {"group": "G"}),
    "deadline only": Job("ok:d", b"x", {"deadline": IN_A_DAY}),
    "timeout only": Job("ok:d", b"x", {"timeout": 90 * SECOND}),
    "timeout and deadline": Job("ok:d", b"x", {"timeout": 90 * SECOND, "deadline": IN_A_DAY}),
    "retention": Job("ok:r", b"x", {"retention": timedelta(hours=1, milliseconds=900)}),
    "no retries": Job("ok:n", b"x", {"max_retry": 0}),
    "queue": Job("ok:q", b"x", {"queue": "critical"}),
    "queue with brackets": Job("ok:q", b"x", {"queue": "a[b]c", "unique_for": HOUR}),
    "queue with spaces": Job("ok:q", b"x", {"queue": " low priority ", "process_in": HOUR}),
    "queue in unicode": Job("ok:q", b"x", {"queue": "élan 🚀", "group": "Größe: 1"}),
    "header": Job("ok:h", b"x", {"headers": {"traceparent": "00-abc", "empty": "", "é": "🚀"}}),
    "odd type": Job("ok: (odd)~ :*?[é]", b"x", {"unique_for": HOUR}),
}


@pytest.mark.parametrize("name", CASES)
async def test_both_clients_leave_the_same_keys(jobs: Jobs, go: GoClient, raw: redis.Redis, name: str) -> None:
    """B1 to B5, B9 to B12."""
    job = CASES[name].with_options(task_id="id-1")
    theirs = go.enqueue(job.type, job.payload, **job.options)
    go_keys = snapshot(raw)
    raw.flushall()
    ours = await jobs.enqueue(job)
    assert_alike(snapshot(raw), go_keys)
    assert isinstance(ours, Enqueued)
    assert (ours.id, ours.queue, ours.state.value) == (theirs["ID"], theirs["Queue"], theirs["State"])


async def test_a_unique_grouped_task_is_the_same_but_for_its_lock_field(
    jobs: Jobs, go: GoClient, raw: redis.Redis
) -> None:
    """B6. The library leaves ``unique_key`` off the hash, so that deleting the task keeps the lock; ours has it."""
    job = Job("ok:g", b"x", {"group": "G", "unique_for": HOUR, "task_id": "id-1"})
    go.enqueue(job.type, job.payload, **job.options)
    theirs = snapshot(raw)
    raw.flushall()
    await jobs.enqueue(job)
    ours = snapshot(raw)
    lock = queue_keys("default").unique("ok:g", b"x")
    assert ours["asynq:{default}:t:id-1"][1].pop(b"unique_key") == lock.encode()
    assert ours[lock][1] == b"id-1"
    assert_alike(ours, theirs)


async def test_many_at_once_leave_the_keys_of_one_after_another(jobs: Jobs, go: GoClient, raw: redis.Redis) -> None:
    many = [job.with_options(task_id=f"id-{n}") for n, job in enumerate(CASES.values())]
    go.enqueue_many(many)
    theirs = snapshot(raw)
    raw.flushall()
    await jobs.enqueue_many(many)
    assert_alike(snapshot(raw), theirs)


async def test_ids_are_made_alike(jobs: Jobs, go: GoClient) -> None:
    ours = await jobs.enqueue("ok:x")
    assert is_uuid4(ours.id if isinstance(ours, Enqueued) else "")
    assert is_uuid4(go.enqueue("ok:x")["ID"])


@pytest.mark.parametrize("payload", [None, b"", b"{}", b'{"a":123}', b"\x00\xff", "é".encode() * 1000])
@pytest.mark.parametrize("queue", ["default", "a{b}c"])
def test_locks_have_the_same_names(go: GoClient, raw: redis.Redis, payload: bytes | None, queue: str) -> None:
    """A5."""
    go.enqueue("type:é", payload, task_id="1", queue=queue, unique_for=HOUR)
    names = queue_keys(queue)
    lock = names.unique("type:é", payload)
    assert stored(raw, "1", queue).unique_key == lock
    assert (raw.hget(names.task("1"), "unique_key"), raw.get(lock)) == (lock.encode(), b"1")


# -- B7, B8: the two clients respect each other's ids and locks


async def put_into(target: State, go: GoClient, launch: Launch, raw: redis.Redis) -> None:
    """A task "t" of the library's, in this state, and no worker but an active one's."""
    options: dict[State, tuple[str, bytes, dict[str, Any]]] = {
        State.PENDING: ("ok:t", b"", {}),
        State.SCHEDULED: ("ok:t", b"", {"process_in": HOUR}),
        State.AGGREGATING: ("ok:t", b"", {"group": "G"}),
        State.ACTIVE: ("slow:t", b"60000", {}),
        State.RETRY: ("fail:t", b"", {}),
        State.ARCHIVED: ("skip:t", b"", {}),
        State.COMPLETED: ("ok:t", b"", {"retention": HOUR}),
    }
    task_type, payload, chosen = options[target]
    go.enqueue(task_type, payload, task_id="t", **chosen)
    if target in (State.ACTIVE, State.RETRY, State.ARCHIVED, State.COMPLETED):
        worker = launch("go")
        await until(lambda: state(raw, "t") == target.value)
        worker.kill()
    assert state(raw, "t") == target.value


@pytest.mark.parametrize("target", State)
async def test_an_id_is_taken_in_every_state(
    jobs: Jobs, go: GoClient, launch: Launch, raw: redis.Redis, target: State
) -> None:
    await put_into(target, go, launch, raw)
    before = snapshot(raw)
    for options in ({}, {"process_in": HOUR}, {"group": "H"}):
        assert await jobs.enqueue("ok:other", task_id="t", **options) == IdTaken("t", "default", target)
        with pytest.raises(GoError) as taken:
            go.enqueue("ok:other", task_id="t", **options)
        assert taken.value.kind == "id taken"
    assert_alike(snapshot(raw), before)


@pytest.mark.parametrize("first", [{}, {"process_in": HOUR}, {"group": "G"}], ids=["now", "later", "group"])
@pytest.mark.parametrize("second", [{}, {"process_in": HOUR}, {"group": "G"}], ids=["now", "later", "group"])
async def test_a_lock_of_either_client_stops_the_other(
    jobs: Jobs, go: GoClient, first: dict[str, Any], second: dict[str, Any]
) -> None:
    go.enqueue("ok:a", b"x", task_id="theirs", unique_for=MINUTE, **first)
    assert await jobs.enqueue("ok:a", b"x", unique_for=MINUTE, **second) == Duplicate("theirs", "default")
    await jobs.enqueue("ok:b", b"x", task_id="ours", unique_for=MINUTE, **first)
    with pytest.raises(GoError) as duplicate:
        go.enqueue("ok:b", b"x", unique_for=MINUTE, **second)
    assert duplicate.value.kind == "duplicate"


@pytest.mark.parametrize("worker", ["go", "py"])
async def test_a_lock_is_free_after_success_in_either_language(
    jobs: Jobs, go: GoClient, launch: Launch, raw: redis.Redis, worker: str
) -> None:
    await jobs.enqueue("ok:a", b"x", task_id="ours", unique_for=HOUR)
    go.enqueue("ok:b", b"x", task_id="theirs", unique_for=HOUR, retention=HOUR)
    launch(worker)
    await until(lambda: state(raw, "theirs") == "completed" and not state(raw, "ours"))
    assert raw.keys("asynq:{default}:unique:*") == []
    go.enqueue("ok:a", b"x", unique_for=HOUR)
    assert isinstance(await jobs.enqueue("ok:b", b"x", unique_for=HOUR), Enqueued)


# -- and the other side runs it


def runnable() -> list[Job]:
    """The cases that a worker can run within the test, in queues of plain names, results kept."""
    chosen = [job for job in CASES.values() if not job.options.keys() & {"process_in", "process_at", "group"}]
    return [job.with_options(task_id=f"id-{n}", retention=HOUR) for n, job in enumerate(chosen)]


def queue_of(job: Job) -> str:
    """Where it goes."""
    return job.options.get("queue", "default")


@pytest.mark.parametrize(("producer", "worker"), [("go", "py"), ("py", "go")])
async def test_what_one_enqueues_the_other_runs(
    jobs: Jobs, go: GoClient, launch: Launch, raw: redis.Redis, producer: str, worker: str
) -> None:
    """Type, payload, headers and counters arrive as sent, in queues of any name."""
    many = runnable()
    if producer == "go":
        go.enqueue_many(many)
    else:
        assert all(isinstance(outcome, Enqueued) for outcome in await jobs.enqueue_many(many))
    queues = {queue_of(job) for job in many}
    launch(worker, queues=dict.fromkeys(queues, 1))
    await until(lambda: all(state(raw, job.options["task_id"], queue_of(job)) == "completed" for job in many))
    found = {run["id"]: run for run in runs(raw)}
    assert len(found) == len(runs(raw)) == len(many)
    for job in many:
        run, options = found[job.options["task_id"]], job.options
        assert (run["by"], run["type"], run["payload"]) == (worker, job.type, job.payload or None)
        assert (run["headers"], run["retried"]) == (dict(options.get("headers", {})), 0)


@pytest.mark.parametrize(("producer", "worker"), [("go", "py"), ("py", "go")])
async def test_a_result_of_one_is_read_by_the_other(
    jobs: Jobs, go: GoClient, inspector: Inspector, launch: Launch, raw: redis.Redis, producer: str, worker: str
) -> None:
    """B10."""
    enqueue: Callable[..., Any] = go.enqueue if producer == "go" else jobs.enqueue
    outcome = enqueue("result:r", b"x", task_id="r", retention=MINUTE)
    if producer == "py":
        await outcome
    launch(worker)
    await until(lambda: state(raw, "r") == "completed")
    ours, theirs = await inspector.task("default", "r"), go("task", queue="default", id="r")
    assert ours.result == b'{"done":true}'
    assert theirs["Result"] == "eyJkb25lIjp0cnVlfQ=="
    assert ours.completed_at is not None
    assert int(ours.completed_at.timestamp()) == theirs["CompletedAt"] > 0
    assert 57 <= raw.zscore("asynq:{default}:completed", "r") - theirs["CompletedAt"] <= 61


@pytest.mark.parametrize(("producer", "worker"), [("go", "py"), ("py", "go")])
async def test_a_delayed_task_of_one_is_run_by_the_other_and_not_early(
    jobs: Jobs, go: GoClient, launch: Launch, raw: redis.Redis, producer: str, worker: str
) -> None:
    """B3 and B4, with the forwarder of the other language."""
    if producer == "go":
        go.enqueue("ok:d", b"x", task_id="d", process_in=2 * SECOND, unique_for=MINUTE)
    else:
        await jobs.enqueue("ok:d", b"x", task_id="d", process_in=2 * SECOND, unique_for=MINUTE)
    due = int(raw.zscore("asynq:{default}:scheduled", "d"))
    launch(worker)
    await until(lambda: runs(raw) and raw.get("asynq:{default}:processed") == b"1")
    assert raw.time()[0] >= due
    assert raw.keys("asynq:{default}:unique:*") == []


async def test_groups_of_both_clients_are_aggregated_by_the_library(
    jobs: Jobs, go: GoClient, launch: Launch, raw: redis.Redis
) -> None:
    """B5 and B6: five tasks of each, every one in exactly one batch of at most four, nothing left but the lock."""
    for n in range(5):
        await jobs.enqueue("ok:g", b"py %d" % n, group="G")
        go.enqueue("ok:g", b"go %d" % n, group="G")
    await jobs.enqueue("ok:g", b"unique", group="G", unique_for=HOUR)
    launch("go", group={"grace_ms": 1000, "delay_ms": 0, "size": 4})
    await until(lambda: sum(len(batch(run)) for run in runs(raw)) == 11)
    assert sorted(text for run in runs(raw) for text in batch(run)) == sorted(
        [f"{language} {n}" for language in ("go", "py") for n in range(5)] + ["unique"]
    )
    assert [len(batch(run)) for run in runs(raw)] == [4, 4, 3]
    await until(lambda: raw.get("asynq:{default}:processed") == b"3")
    assert raw.keys("asynq:{default}:[tg]*") == []


def batch(run: dict[str, Any]) -> list[str]:
    """The payloads that the library's aggregator joined."""
    texts: list[str] = json.loads(run["payload"])
    return texts
