"""The real asynqmon 0.7.2 (on asynq v0.24.1), unchanged, over queues that only Python ever touched."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.jobs import Inspector, Job, Jobs, State, Tasks
from hustlex.worker import Scheduler
from tests.interop.filled import HOUR, IDS, fill
from tests.interop.support import GoClient, Launch, counted, enlist, runs, state
from tests.worker.support import until


@pytest.fixture
def ui(asynqmon_binary: Path, url: str) -> Iterator[httpx.Client]:
    """Its HTTP door; every answer that is an error fails the test."""
    process = subprocess.Popen([str(asynqmon_binary), url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    hooks = {"response": [lambda response: response.raise_for_status()]}
    with (
        process,
        httpx.Client(base_url=f"http://127.0.0.1:{int(process.stdout.readline())}", event_hooks=hooks) as door,
    ):
        yield door
        process.kill()


async def test_every_page_shows_what_python_made(
    ui: httpx.Client, go: GoClient, jobs: Jobs, launch: Launch, raw: redis.Redis
) -> None:
    await fill("py", go, jobs, launch, raw)

    def get(path: str, **query: Any) -> Any:
        return ui.get(f"/api/{path}", params=query).json()

    assert "<title>" in ui.get("/").text
    counts = {"active": 2, "pending": 3, "aggregating": 3, "scheduled": 2, "retry": 2, "archived": 2, "completed": 2}
    (queue,) = get("queues")["queues"]
    assert {name: queue[name] for name in counts} == counts
    assert (queue["queue"], queue["size"], queue["groups"], queue["paused"]) == ("default", len(IDS), 2, False)
    assert (queue["processed"], queue["failed"], queue["succeeded"]) == (6, 4, 2)
    assert queue["memory_usage_bytes"] > 1000
    page = get("queues/default")
    assert (page["current"]["size"], page["history"][0]["processed"]) == (len(IDS), 6)
    assert get("queue_stats")["stats"]["default"][0]["failed"] == 4
    for target in set(State) - {State.AGGREGATING}:
        listed = get(f"queues/default/{target.value}_tasks", page=1, size=20)
        assert {task["id"] for task in listed["tasks"]} == {name for name in IDS if name.split("-")[0] == target.value}
        assert listed["stats"]["size"] == len(IDS)
    assert {task["is_orphaned"] for task in get("queues/default/active_tasks")["tasks"]} == {False}
    groups = get("queues/default/groups")["groups"]
    assert sorted((group["group"], group["size"]) for group in groups) == [("G", 2), ("H", 1)]
    members = get("queues/default/groups/G/aggregating_tasks")["tasks"]
    assert {task["id"] for task in members} == {"aggregating", "aggregating-2"}
    done = get("queues/default/tasks/completed")
    assert (done["type"], done["payload"], done["state"], done["ttl_seconds"] > 3500) == (
        "result:c",
        "x",
        "completed",
        True,
    )
    assert done["result"] not in ("", "non-printable bytes")
    for task_id in IDS:
        assert get(f"queues/default/tasks/{task_id}")["state"] == task_id.split("-")[0]
    assert get("redis_info")["info"]["redis_version"] == raw.info()["redis_version"]


async def test_servers_and_schedules_are_shown(
    ui: httpx.Client, driver: Driver, jobs: Jobs, launch: Launch, inspector: Inspector
) -> None:
    worker = launch("py", queues={"default": 3, "low": 1}, concurrency=7)
    await enlist(inspector, [worker])
    await jobs.enqueue("slow:x", b"60000", task_id="runs")
    await until(lambda: ui.get("/api/servers").json()["servers"][0]["active_workers"])
    (server,) = ui.get("/api/servers").json()["servers"]
    assert (server["pid"], server["status"], server["concurrency"]) == (worker.pid, "active", 7)
    assert server["queue_priorities"] == {"default": 3, "low": 1}
    (running,) = server["active_workers"]
    assert (running["task_id"], running["task_payload"]) == ("runs", "60000")
    (active,) = ui.get("/api/queues/default/active_tasks").json()["tasks"]
    assert (active["id"], active["start_time"]) == ("runs", running["start_time"])
    tasks = Tasks()
    tasks.cron("tick", "@every 1s", Job("ok:tick", b"t", {"queue": "low"}))
    tasks.cron("yearly", "0 0 1 1 *", Job("ok:never"))
    scheduler = Scheduler(driver, tasks)
    scheduling = asyncio.create_task(scheduler.run())
    await until(lambda: _entries(ui).get("ok:tick", {}).get("prev_enqueue_at"))
    entries = _entries(ui)
    assert (entries["ok:tick"]["spec"], entries["ok:tick"]["options"]) == ("@every 1s", ['Queue("low")'])
    assert "prev_enqueue_at" not in entries["ok:never"]
    events = ui.get(f"/api/scheduler_entries/{entries['ok:tick']['id']}/enqueue_events").json()["events"]
    assert events
    assert all(event["task_id"] for event in events)
    scheduler.stop()
    await scheduling


def _entries(ui: httpx.Client) -> dict[str, Any]:
    return {entry["task_type"]: entry for entry in ui.get("/api/scheduler_entries").json()["entries"]}


async def test_its_buttons_move_what_python_made(
    ui: httpx.Client, jobs: Jobs, launch: Launch, inspector: Inspector, raw: redis.Redis
) -> None:
    queue = "/api/queues/default"
    await enlist(inspector, [launch("py")])
    await jobs.enqueue("slow:x", b"60000", task_id="long")
    await until(lambda: runs(raw))  # active is earlier: who is cancelled before the handler begins has not run
    ui.post(f"{queue}/active_tasks/long:cancel")
    await until(lambda: state(raw, "long") == "retry")
    ui.post(f"{queue}/retry_tasks/long:archive")
    assert state(raw, "long") == "archived"
    ui.post(f"{queue}:pause")
    await jobs.enqueue_many([Job("ok:p", b"x", {"task_id": f"p{n}"}) for n in range(4)])
    await jobs.enqueue_many([Job("ok:s", b"x", {"task_id": f"s{n}", "process_in": HOUR}) for n in range(3)])
    await asyncio.sleep(1.5)  # longer than a worker looks at a paused queue
    assert "p0" not in counted(raw)
    assert ui.post(f"{queue}/scheduled_tasks:batch_run", json={"task_ids": ["s0", "s1"]}).json() == {
        "pending_ids": ["s0", "s1"],
        "error_ids": [],
    }
    ui.delete(f"{queue}/scheduled_tasks/s2")
    ui.post(f"{queue}/pending_tasks/p3:archive")
    assert ui.delete(f"{queue}/archived_tasks:delete_all").json() == {"deleted": 2}
    ui.post(f"{queue}:resume")
    await until(lambda: counted(raw).keys() == {"long", "p0", "p1", "p2", "s0", "s1"})
    await until(lambda: not raw.exists("asynq:{default}:active"))
    ui.delete(queue)
    assert await inspector.queues() == []


async def test_its_pages_stay_up_while_python_workers_die(
    ui: httpx.Client, jobs: Jobs, launch: Launch, inspector: Inspector, raw: redis.Redis
) -> None:
    """One id without a task would be an error 500 on the first page."""
    workers = [launch("py", concurrency=50) for _ in range(2)]
    await enlist(inspector, workers)
    for round_ in range(3):
        await jobs.enqueue_many([Job("slow:x", b"30", {"retention": HOUR}) for _ in range(600)])
        await jobs.enqueue_many([Job("fail:r", b"x", {"max_retry": 1}) for _ in range(100)])
        for look in range(25):
            for page in ("", "/default", "/default/active_tasks", "/default/pending_tasks", "/default/retry_tasks"):
                ui.get(f"/api/queues{page}")
            if look == 12:
                workers[round_ % 2].kill()
                workers[round_ % 2] = launch("py", concurrency=50)
    await until(lambda: raw.zcard("asynq:{default}:completed") == 1800)
    ui.get("/api/queues/default/completed_tasks", params={"page": 90, "size": 20})
