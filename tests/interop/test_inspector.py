"""Both inspectors on the same data: they read the same, and each action leaves the same keys or fails alike."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.errors import Conflict, NotFound
from hustlex.jobs import Inspector, Job, Jobs, State, TaskInfo, Tasks
from hustlex.worker import Scheduler
from tests.interop.filled import HOUR, IDS, Dump, fill, restore
from tests.interop.support import (
    GoClient,
    GoError,
    Launch,
    assert_alike,
    decoded,
    enlist,
    runs,
    snapshot,
    spec,
    state,
    stored,
)
from tests.worker.support import until

_filled: dict[str, Dump] = {}


@pytest.fixture(params=["go", "py"])
async def full(request: pytest.FixtureRequest, go: GoClient, jobs: Jobs, launch: Launch, raw: redis.Redis) -> Dump:
    """What ``fill`` makes, stored in the server; filled once per test process."""
    language = request.param
    if language not in _filled:
        await fill(language, go, jobs, launch, raw)
        keys = [key for key in raw.scan_iter("asynq:*") if not key.startswith((b"asynq:servers", b"asynq:workers"))]
        _filled[language] = {key: (raw.dump(key), max(raw.pttl(key), 0)) for key in keys}
    restore(raw, _filled[language])
    return _filled[language]


# -- D1: reading


def as_go(info: TaskInfo) -> dict[str, Any]:
    """Our TaskInfo in the words of go/inspect.go."""

    def unix(moment: datetime | None) -> int:
        return int(moment.timestamp()) if moment else 0

    return {
        "ID": info.id,
        "Queue": info.queue,
        "Type": info.type,
        "State": info.state.value,
        "Group": info.group,
        "LastErr": info.last_error,
        "Payload": info.payload,
        "Result": info.result,
        "Headers": info.headers,
        "MaxRetry": info.max_retry,
        "Retried": info.retried,
        "LastFailedAt": unix(info.last_failed_at),
        "Deadline": unix(info.deadline),
        "NextProcessAt": unix(info.next_process_at),
        "CompletedAt": unix(info.completed_at),
        "Timeout": info.timeout // timedelta(seconds=1),
        "Retention": info.retention // timedelta(seconds=1),
        "IsOrphaned": info.orphaned,
    }


def tidied(theirs: dict[str, Any]) -> dict[str, Any]:
    """The library's answer with bytes as bytes."""
    return theirs | {
        "Payload": decoded(theirs["Payload"]),
        "Result": decoded(theirs["Result"]),
        "Headers": theirs["Headers"] or {},
    }


def assert_same_task(ours: TaskInfo, theirs: dict[str, Any]) -> None:
    mine, other = as_go(ours), tidied(theirs)
    if ours.state is State.PENDING:  # "now", asked one after the other
        assert abs(mine.pop("NextProcessAt") - other.pop("NextProcessAt")) <= 2
    assert mine == other


async def test_a_queue_is_counted_alike(full: Dump, inspector: Inspector, go: GoClient, raw: redis.Redis) -> None:
    assert await inspector.queues() == go("queues") == ["default"]
    ours, theirs = await inspector.queue("default"), go("queue", queue="default")
    counts = ["Pending", "Active", "Scheduled", "Retry", "Archived", "Completed", "Aggregating", "Groups", "Size"]
    assert {name: getattr(ours, name.lower()) for name in counts} == {name: theirs[name] for name in counts}
    assert [ours.processed_today, ours.failed_today] == [theirs["Processed"], theirs["Failed"]] == [6, 4]
    assert [ours.processed, ours.failed] == [theirs["ProcessedTotal"], theirs["FailedTotal"]]
    assert ours.paused is theirs["Paused"] is False
    assert abs(ours.latency.total_seconds() - theirs["Latency"] / 1e9) < 2
    assert ours.memory_bytes == theirs["MemoryUsage"] > 1000
    assert ours.size == len(IDS)


async def test_many_groups_weigh_the_same_to_both(jobs: Jobs, inspector: Inspector, go: GoClient) -> None:
    await jobs.enqueue_many([Job("ok:g", b"x" * 100, {"group": f"G{n % 12}"}) for n in range(500)])
    assert (await inspector.queue("default")).memory_bytes == go("queue", queue="default")["MemoryUsage"] > 50_000


async def test_history_and_groups_are_read_alike(full: Dump, inspector: Inspector, go: GoClient) -> None:
    ours, theirs = await inspector.history("default", 3), go("history", queue="default", days=3)
    assert [(day.day, day.processed, day.failed) for day in ours] == [
        (day["Date"][:10], day["Processed"], day["Failed"]) for day in theirs
    ]
    groups = go("groups", queue="default")
    assert [(group.name, group.size) for group in await inspector.groups("default")] == sorted(
        (group["Group"], group["Size"]) for group in groups
    )


@pytest.mark.parametrize("target", State)
async def test_pages_are_read_alike(
    full: Dump, inspector: Inspector, go: GoClient, raw: redis.Redis, target: State
) -> None:
    raw.zadd("asynq:{default}:lease", {"active-2": raw.time()[0] - 5})
    group = "G" if target is State.AGGREGATING else ""
    for page, size in [(1, 30), (1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (2, 2)]:
        first = await inspector.tasks("default", target, size=page * size, group=group)
        ours = first[size * (page - 1) :]
        theirs = go("tasks", queue="default", state=target.value, page=page, size=size, group=group)
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            assert_same_task(mine, other)


async def test_an_expired_lease_makes_an_orphan_for_both(
    full: Dump, inspector: Inspector, go: GoClient, raw: redis.Redis
) -> None:
    raw.zadd("asynq:{default}:lease", {"active": raw.time()[0] + 60, "active-2": raw.time()[0] - 5})
    ours = await inspector.tasks("default", State.ACTIVE)
    theirs = go("tasks", queue="default", state="active", page=1, size=30)
    assert {task.id: task.orphaned for task in ours} == {"active": False, "active-2": True}
    assert {task["ID"]: task["IsOrphaned"] for task in theirs} == {"active": False, "active-2": True}


@pytest.mark.parametrize("task_id", IDS)
async def test_a_task_is_read_alike(full: Dump, inspector: Inspector, go: GoClient, task_id: str) -> None:
    ours, theirs = await inspector.task("default", task_id), go("task", queue="default", id=task_id)
    later = await inspector.task("default", task_id)
    if later.orphaned != ours.orphaned:  # a lease that ended between the two looks
        theirs["IsOrphaned"] = later.orphaned
    assert_same_task(later, theirs)


async def test_pages_of_a_hundred_tasks_are_cut_alike(jobs: Jobs, inspector: Inspector, go: GoClient) -> None:
    await jobs.enqueue_many([Job("ok:p", b"x", {"task_id": f"p{n}"}) for n in range(100)])
    await jobs.enqueue_many([Job("ok:s", b"x", {"task_id": f"s{n}", "process_in": HOUR * (n + 1)}) for n in range(100)])
    for target in (State.PENDING, State.SCHEDULED):
        for page in range(1, 7):
            first = await inspector.tasks("default", target, size=20 * page)
            ours = [task.id for task in first[20 * (page - 1) :]]
            theirs = go("tasks", queue="default", state=target.value, page=page, size=20)
            assert ours == [task["ID"] for task in theirs]
            assert len(ours) == (20 if page < 6 else 0)


# -- D2: acting


Act = Callable[[], Awaitable[Any]]


async def our_answer(act: Act) -> Any:
    """The result, or the kind of the error in the library's words."""
    try:
        return await act()
    except NotFound:
        return "not found"
    except Conflict:
        return "conflict"


def go_answer(go: GoClient, op: str, **arguments: Any) -> Any:
    try:
        return go(op, **arguments)
    except GoError as error:
        return "not found" if error.kind in ("no queue", "no task") else "conflict"


@pytest.mark.parametrize("action", ["run", "archive", "delete"])
async def test_an_action_on_one_task_leaves_the_same_keys(
    full: Dump, inspector: Inspector, go: GoClient, raw: redis.Redis, action: str
) -> None:
    ours: dict[str, Callable[..., Awaitable[Any]]] = {
        "run": inspector.run,
        "archive": inspector.archive,
        "delete": inspector.delete,
    }
    for task_id in [*IDS, "missing"]:
        restore(raw, full)
        theirs, after = go_answer(go, action, queue="default", id=task_id), snapshot(raw)
        restore(raw, full)
        assert (task_id, await our_answer(lambda: ours[action]("default", task_id))) == (task_id, theirs)  # noqa: B023
        assert_alike(without_latency(snapshot(raw)), without_latency(after))


def without_latency(keys: dict[str, Any]) -> dict[str, Any]:
    """Keys but for the field ``pending_since``.

    The library does not write it when a task is run by hand, so that latency shows 0, and leaves it on archived tasks.
    """
    for kind, value, _ in keys.values():
        if kind == "hash":
            value.pop(b"pending_since", None)
    return keys


ALL_OF = {
    "run all": [State.SCHEDULED, State.RETRY, State.ARCHIVED, State.AGGREGATING],
    "archive all": [State.PENDING, State.SCHEDULED, State.RETRY, State.AGGREGATING],
    "delete all": [
        State.PENDING,
        State.SCHEDULED,
        State.RETRY,
        State.ARCHIVED,
        State.COMPLETED,
        State.AGGREGATING,
    ],
}


@pytest.mark.parametrize(
    ("action", "target"), [(action, target) for action, states in ALL_OF.items() for target in states]
)
async def test_an_action_on_all_tasks_leaves_the_same_keys(
    full: Dump, inspector: Inspector, go: GoClient, raw: redis.Redis, action: str, target: State
) -> None:
    """But for the lock of a pending task, which the library keeps when it deletes all and we give back."""
    group = "G" if target is State.AGGREGATING else ""
    ours: dict[str, Callable[..., Awaitable[int]]] = {
        "run all": inspector.run_all,
        "archive all": inspector.archive_all,
        "delete all": inspector.delete_all,
    }
    lock = stored(raw, "pending-2").unique_key
    theirs, after = go(action, queue="default", state=target.value, group=group), snapshot(raw)
    restore(raw, full)
    assert await ours[action]("default", target, group=group) == theirs > 0
    if (action, target) == ("delete all", State.PENDING):
        del after[lock]
    assert_alike(without_latency(snapshot(raw)), without_latency(after))


async def test_an_unknown_queue_is_not_found_by_both(inspector: Inspector, go: GoClient) -> None:
    """But for groups, of which the library lists none there."""
    requests: list[tuple[str, dict[str, Any]]] = [
        ("queue", {}),
        ("history", {"days": 1}),
        ("tasks", {"state": "pending", "page": 1, "size": 30}),
        ("run", {"id": "t"}),
        ("run all", {"state": "retry"}),
    ]
    for op, arguments in requests:
        with pytest.raises(GoError) as unknown:
            go(op, queue="no", **arguments)
        assert unknown.value.kind == "no queue" or 'queue "no" does not exist' in str(unknown.value), op
    for ours in (
        inspector.queue("no"),
        inspector.history("no", 1),
        inspector.groups("no"),
        inspector.tasks("no", State.PENDING),
        inspector.run("no", "t"),
        inspector.run_all("no", State.RETRY),
    ):
        with pytest.raises(NotFound):
            await ours


async def test_a_pause_of_either_is_seen_and_ended_by_the_other(full: Dump, inspector: Inspector, go: GoClient) -> None:
    assert await inspector.pause("default") is True
    assert go("queue", queue="default")["Paused"] is True
    assert go_answer(go, "pause", queue="default") == "conflict"
    assert go("unpause", queue="default") is None
    assert await inspector.unpause("default") is False
    go("pause", queue="default")
    assert (await inspector.queue("default")).paused
    assert await inspector.pause("default") is False
    assert await inspector.unpause("default") is True
    assert go_answer(go, "unpause", queue="default") == "conflict"


async def test_a_payload_that_the_library_updates_is_read_and_run(
    full: Dump, inspector: Inspector, go: GoClient, launch: Launch, raw: redis.Redis
) -> None:
    go("update payload", queue="default", id="scheduled", payload="bmV3")
    assert (await inspector.task("default", "scheduled")).payload == b"new"
    await inspector.run("default", "scheduled")
    launch("py")
    await until(lambda: any(run["id"] == "scheduled" and run["payload"] == b"new" for run in runs(raw)))


# -- D3: deleting a queue


async def test_a_queue_that_the_library_deletes_is_gone_for_us_and_comes_back(
    inspector: Inspector, go: GoClient, driver: Driver, raw: redis.Redis, launch: Launch
) -> None:
    """The library keeps completed and aggregating tasks and counters; a new queue of that name finds them again."""
    go.enqueue("ok:c", task_id="kept", retention=HOUR)
    worker = launch("py")
    await until(lambda: state(raw, "kept") == "completed")
    worker.stop()
    go.enqueue("ok:g", task_id="grouped", group="G")
    go.enqueue("ok:p", task_id="pending")
    with pytest.raises(GoError) as refused:
        go("delete queue", queue="default")
    assert refused.value.kind == "queue not empty"
    go("delete queue", queue="default", force=True)
    assert await inspector.queues() == []
    with pytest.raises(NotFound):
        await inspector.queue("default")
    await Jobs(driver).enqueue("ok:new")
    info = await inspector.queue("default")
    theirs = go("queue", queue="default")
    assert (info.pending, info.completed, info.aggregating, info.processed) == (1, 1, 1, 1)
    assert (theirs["Pending"], theirs["Completed"], theirs["Aggregating"]) == (1, 1, 1)


async def test_an_empty_queue_is_deleted_without_force(jobs: Jobs, inspector: Inspector, go: GoClient) -> None:
    await jobs.enqueue("ok:p", task_id="t")
    await inspector.delete("default", "t")
    go("delete queue", queue="default")
    assert await inspector.queues() == []


# -- registries: servers, what they run, schedulers


async def test_servers_of_both_languages_are_listed_alike(
    inspector: Inspector, go: GoClient, launch: Launch, raw: redis.Redis
) -> None:
    """With what they run, at most 5 seconds late."""
    theirs = launch("go", queues={"g": 3, "h": 1}, concurrency=7, strict=True)
    ours = launch("py", queues={"p": 5}, concurrency=20)
    await enlist(inspector, [theirs, ours])
    go.enqueue("slow:x", b"60000", task_id="go's", queue="g")
    go.enqueue("slow:x", b"60000", task_id="py's", queue="p")
    await until(lambda: sum(len(server["Workers"]) for server in go("servers")) == 2)
    listed = {server["PID"]: server for server in go("servers")}
    assert {server.pid for server in await inspector.servers()} == set(listed) == {ours.pid, theirs.pid}
    for server in await inspector.servers():
        other = listed[server.pid]
        assert (server.id, server.host, server.status) == (other["ID"], other["Host"], other["Status"])
        assert server.status == "active"
        assert (server.concurrency, server.queues) == (other["Concurrency"], other["Queues"])
        assert server.strict_priority == other["StrictPriority"]
        assert int(server.started_at.timestamp()) == other["Started"]
        (running,), (worker,) = server.running, other["Workers"]
        assert (running.id, running.type, running.queue) == (worker["TaskID"], worker["TaskType"], worker["Queue"])
        assert (running.payload, int(running.started_at.timestamp())) == (b"60000", worker["Started"])
        assert running.deadline is not None
        assert int(running.deadline.timestamp()) == worker["Deadline"]
        assert 1798 <= worker["Deadline"] - worker["Started"] <= 1801
    assert server_counts(await inspector.servers()) == {ours.pid: 1, theirs.pid: 1}
    ours.stop()
    theirs.stop()
    assert await inspector.servers() == go("servers") == []
    assert raw.keys("asynq:servers*") == raw.keys("asynq:workers*") == []


def server_counts(servers: list[Any]) -> dict[int, int]:
    return {server.pid: server.active_worker_count for server in servers}


async def test_the_librarys_scheduler_is_listed_by_both(
    inspector: Inspector, go: GoClient, schedule: Any, raw: redis.Redis
) -> None:
    """With a heartbeat each second."""
    low = Job("ok:cron", b"p", {"queue": "low", "max_retry": 3, "timeout": timedelta(seconds=90)})
    scheduler = schedule(
        [{"spec": "@every 1s", "task": spec(low)}, {"spec": "CRON_TZ=Africa/Lagos 0 9 * * 1", "task": spec(Job("w"))}]
    )
    await until(lambda: any(entry["Prev"] > 0 for entry in go("entries")))
    await settled(lambda: go("entries"))
    ours, theirs = await inspector.scheduler_entries(), sorted(go("entries"), key=lambda entry: entry["Spec"])
    assert [(entry.id, entry.spec, entry.type) for entry in ours] == [
        (entry["ID"], entry["Spec"], entry["Type"]) for entry in theirs
    ]
    assert ours[0].options == tuple(theirs[0]["Options"]) == ('Queue("low")', "MaxRetry(3)", "Timeout(1m30s)")
    assert (ours[0].payload, ours[1].payload, ours[1].previous_at) == (b"p", None, None)
    assert ours[1].next_at is not None
    assert int(ours[1].next_at.timestamp()) == theirs[1]["Next"]
    events = (await inspector.enqueue_events(ours[0].id, size=1000)).events
    listed = go("events", id=ours[0].id, page=1, size=1000)[-len(events) :]
    assert [event.task_id for event in events] == [event["TaskID"] for event in listed]
    assert raw.llen("asynq:{low}:pending") >= len(events) > 0
    scheduler.stop()
    assert await inspector.scheduler_entries() == go("entries") == []


async def settled(read: Callable[[], Any]) -> None:
    """Wait for a heartbeat just written, so that what follows sees no other."""
    before = read()
    await until(lambda: read() != before)


async def test_our_scheduler_is_listed_by_both(
    driver: Driver, inspector: Inspector, go: GoClient, raw: redis.Redis
) -> None:
    tasks = Tasks()
    low = Job("ok:cron", b"p", {"queue": "low", "max_retry": 3, "unique_for": HOUR, "headers": {"a": "b"}})
    tasks.cron("every second", "@every 1s", Job("ok:tick", b"t", {"queue": "ticks"}))
    tasks.cron("weekly", "0 9 * * 1", low, timezone="Africa/Lagos")
    scheduler = Scheduler(driver, tasks)
    running = asyncio.create_task(scheduler.run())
    await until(lambda: len(go("entries")) == 2 and any(entry["Prev"] > 0 for entry in go("entries")))
    theirs = {entry["Type"]: entry for entry in go("entries")}
    weekly, tick = theirs["ok:cron"], theirs["ok:tick"]
    assert weekly["Options"] == ['Queue("low")', "MaxRetry(3)", "Unique(1h0m0s)"]
    assert (weekly["Spec"], decoded(weekly["Payload"]), weekly["Prev"]) == ("CRON_TZ=Africa/Lagos 0 9 * * 1", b"p", 0)
    assert datetime.fromtimestamp(weekly["Next"], UTC).strftime("%a %H:%M:%S") == "Mon 08:00:00"
    await until(lambda: len(go("events", id=tick["ID"], page=1, size=30) or []) >= 2)
    events = go("events", id=tick["ID"], page=1, size=30)
    ours = (await inspector.enqueue_events(tick["ID"])).events
    assert [event.task_id for event in ours][-2:] == [event["TaskID"] for event in events][-2:]
    assert go("task", queue="ticks", id=events[-1]["TaskID"])["State"] == "pending"
    scheduler.stop()
    await running
    assert go("entries") == []
