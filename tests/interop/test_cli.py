"""What each command of the ``asynq`` tool reads and does, on queues that only Python ever touched.

The tool itself cannot be had as a module (docs/decisions/0012), so go/cli.go makes the calls of its commands, with the
real library, and prints what they would. What this leaves open is the tool's own layout of its tables.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.jobs import Inspector, Job, Jobs, State, Tasks
from hustlex.worker import Scheduler
from tests.interop.filled import HOUR, IDS, fill
from tests.interop.support import GoClient, Launch, counted, decoded, enlist, state
from tests.worker.support import until

Cli = Callable[..., Any]


@pytest.fixture
def cli(peer_binary: Path, url: str) -> Cli:
    """``cli("queue", "inspect", "default")``: what the command shows; fails with what it complains about."""

    def run(*words: str) -> Any:
        done = subprocess.run([str(peer_binary), "cli", url, *words], capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return json.loads(done.stdout)

    return run


@pytest.fixture
async def filled(go: GoClient, jobs: Jobs, launch: Launch, raw: redis.Redis) -> None:
    """Tasks in all states, by our client and our worker."""
    await fill("py", go, jobs, launch, raw)


# -- what commands show


async def test_stats_and_queue_commands(cli: Cli, filled: None, jobs: Jobs, raw: redis.Redis) -> None:
    await jobs.enqueue("ok:p", queue="second")
    await jobs.inspector.pause("second")
    states = {"Active": 2, "Pending": 4, "Aggregating": 3, "Scheduled": 2, "Retry": 2, "Archived": 2, "Completed": 2}
    shown = cli("stats")
    assert {name: shown[name] for name in states} == states
    assert (shown["Processed"], shown["Failed"]) == (6, 4)
    assert shown["Sizes"] == {"default": len(IDS), "second": 1}
    assert shown["Paused"] == ["second"]
    facts = raw.info()
    assert shown["Redis"]["redis_version"] == facts["redis_version"]
    assert len(shown["Redis"]) == 5
    assert sorted(cli("queue", "ls")) == ["default", "second"]
    seen = cli("queue", "inspect", "default", "second")
    assert {name: seen["default"][name] for name in states} == states | {"Pending": 3}
    assert (seen["default"]["Size"], seen["default"]["Groups"], seen["default"]["Paused"]) == (len(IDS), 2, False)
    assert (seen["default"]["Processed"], seen["default"]["Failed"]) == (6, 4)
    assert (seen["second"]["Size"], seen["second"]["Paused"]) == (1, True)
    days = cli("queue", "history", "--days=3", "default")["default"]
    assert [(day["Processed"], day["Failed"]) for day in days] == [(6, 4), (0, 0), (0, 0)]
    assert days[0]["Date"][:10] == datetime.now(UTC).date().isoformat()
    assert sorted((group["Group"], group["Size"]) for group in cli("group", "ls", "--queue=default")) == [
        ("G", 2),
        ("H", 1),
    ]


async def test_task_ls_and_inspect(cli: Cli, filled: None) -> None:
    for target in State:
        group = "--group=G" if target is State.AGGREGATING else "--group="
        listed = cli("task", "ls", "--queue=default", f"--state={target.value}", group)
        assert {task["ID"] for task in listed} == {
            name for name in IDS if name.split("-")[0] == target.value and name != "aggregating-3"
        }
        assert {task["State"] for task in listed} == {target.value}
        page = cli("task", "ls", "--queue=default", f"--state={target.value}", group, "--page=2", "--size=1")
        assert [task["ID"] for task in page] == [listed[1]["ID"]]
    done = cli("task", "inspect", "--queue=default", "--id=completed")
    assert (done["Type"], decoded(done["Payload"]), done["Headers"]) == ("result:c", b"x", {"k": "v"})
    assert decoded(done["Result"])
    assert done["CompletedAt"] > 0
    assert done["Retention"] == 3600
    failed = cli("task", "inspect", "--queue=default", "--id=retry")
    assert (failed["MaxRetry"], failed["Retried"], decoded(failed["Payload"])) == (3, 1, b"\xff")
    assert "failed as told" in failed["LastErr"]
    assert failed["NextProcessAt"] > failed["LastFailedAt"] > 0
    with pytest.raises(RuntimeError, match="task not found"):
        cli("task", "inspect", "--queue=default", "--id=no")


async def test_server_and_cron_commands(
    cli: Cli, driver: Driver, go: GoClient, launch: Launch, jobs: Jobs, inspector: Inspector
) -> None:
    assert cli("server", "ls") == cli("cron", "ls") == []
    worker = launch("py", queues={"default": 3, "low": 1}, concurrency=7)
    await enlist(inspector, [worker])
    await jobs.enqueue("slow:x", b"60000", task_id="runs")
    await until(lambda: [len(server["Workers"]) for server in go("servers")] == [1])
    (server,) = cli("server", "ls")
    assert (server["PID"], server["Status"], server["Concurrency"]) == (worker.pid, "active", 7)
    assert server["Queues"] == {"default": 3, "low": 1}
    assert [run["TaskID"] for run in server["Workers"]] == ["runs"]
    tasks = Tasks()
    tasks.cron("tick", "@every 1s", Job("ok:tick", b"t", {"queue": "low", "max_retry": 3}))
    scheduler = Scheduler(driver, tasks)
    running = asyncio.create_task(scheduler.run())
    await until(lambda: any(entry["Prev"] > 0 for entry in go("entries")))
    (entry,) = cli("cron", "ls")
    assert (entry["Spec"], entry["Type"], decoded(entry["Payload"])) == ("@every 1s", "ok:tick", b"t")
    assert entry["Options"] == ['Queue("low")', "MaxRetry(3)"]
    assert entry["Next"] >= entry["Prev"]
    events = cli("cron", "history", "--size=5", entry["ID"])[entry["ID"]]
    assert 0 < len(events) <= 5
    assert all(event["TaskID"] and event["EnqueuedAt"] for event in events)
    scheduler.stop()
    await running
    assert cli("cron", "ls") == []


# -- what commands do


async def test_queue_pause_and_resume_hold_and_release_a_python_worker(
    cli: Cli, jobs: Jobs, launch: Launch, inspector: Inspector, raw: redis.Redis
) -> None:
    await enlist(inspector, [launch("py")])
    await jobs.enqueue("ok:p", task_id="before")
    await until(lambda: counted(raw)["before"] == 1)
    cli("queue", "pause", "default")
    await jobs.enqueue("ok:p", task_id="held")
    await asyncio.sleep(1.5)  # longer than a worker looks at a paused queue
    assert counted(raw) == {"before": 1}
    assert cli("queue", "inspect", "default")["default"]["Pending"] == 1
    with pytest.raises(RuntimeError, match="already paused"):
        cli("queue", "pause", "default")
    cli("queue", "resume", "default")
    await until(lambda: counted(raw)["held"] == 1)


async def test_task_commands_act_on_what_python_made(
    cli: Cli, filled: None, launch: Launch, inspector: Inspector, raw: redis.Redis
) -> None:
    cli("task", "archive", "--queue=default", "--id=scheduled")
    cli("task", "delete", "--queue=default", "--id=completed-2")
    cli("task", "run", "--queue=default", "--id=archived")
    assert [state(raw, name) for name in ("scheduled", "completed-2", "archived")] == ["archived", "", "pending"]
    assert cli("task", "runall", "--queue=default", "--state=aggregating", "--group=G") == 2
    assert cli("task", "archiveall", "--queue=default", "--state=retry") == 2
    assert cli("task", "deleteall", "--queue=default", "--state=archived") == 4
    made = cli("task", "enqueue", "--type=ok:cli", '--payload={"n":1}', "--retry=2", "--retention=1h")
    await enlist(inspector, [launch("py")])
    await until(lambda: state(raw, made["ID"]) == "completed")
    await until(lambda: {"aggregating", "aggregating-2", "archived", "pending"} <= counted(raw).keys())
    with pytest.raises(RuntimeError, match="task not found"):
        cli("task", "run", "--queue=default", "--id=completed-2")


async def test_task_cancel_reaches_a_python_worker(
    cli: Cli, jobs: Jobs, launch: Launch, inspector: Inspector, raw: redis.Redis
) -> None:
    await enlist(inspector, [launch("py")])
    await jobs.enqueue("slow:x", b"60000", task_id="long")
    await until(lambda: state(raw, "long") == "active")
    cli("task", "cancel", "long")
    await until(lambda: state(raw, "long") == "retry")
    assert "context canceled" in cli("task", "inspect", "--queue=default", "--id=long")["LastErr"]


async def test_queue_rm(cli: Cli, jobs: Jobs, inspector: Inspector) -> None:
    await jobs.enqueue("ok:p", queue="full", process_in=HOUR)
    with pytest.raises(RuntimeError, match="not empty"):
        cli("queue", "rm", "full")
    cli("queue", "rm", "--force", "full")
    assert cli("queue", "ls") == await inspector.queues() == []
