"""Commands for jobs and events, and ``top``: what is shown is there, what is done is done, the hidden stays hidden."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import redis
import typer
from rich.console import Console

from hustlex._sync.jobs_bulks import BulkActs
from hustlex.cli import entry
from hustlex.cli.output import confirm, table
from hustlex.cli.progress import progress
from hustlex.cli.top import Snapshot, TopView, frame, look, pressed
from hustlex.cli.values import me
from hustlex.errors import Misuse
from hustlex.idempotency import Response, Scope
from hustlex.jobs import Bulk, BulkVerb, Job, State, Tasks
from hustlex.jobs.keys import queue_keys, stop_channel
from hustlex.jobs.lease import record
from hustlex.jobs.lease.record import FailureCount, FailureKind, QueueMeasure
from hustlex.jobs.wire import TaskMessage, encode_task
from hustlex.people import notes
from hustlex.ratelimit import parse_rule
from hustlex.sync import HustleX
from hustlex.worker import Worker
from tests.cli import seeded
from tests.cli.inside import Typing, hustlex
from tests.worker.support import until

HOUR = timedelta(hours=1)


@pytest.fixture
def hx(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    for name, value in seeded.environment(url).items():
        monkeypatch.setenv(name, value)
    with seeded.opened(url) as front:
        yield front


def answer(*arguments: str, code: int = 0, typed: str = "", terminal: bool = False) -> Any:
    told = hustlex(*arguments, "--json", typed=typed, terminal=terminal)
    assert told.returncode == code, (arguments, told.stdout, told.stderr)
    return json.loads(told.stdout) if told.stdout else None


def text(*arguments: str, code: int = 0) -> str:
    told = hustlex(*arguments)
    assert told.returncode == code, (arguments, told.stdout, told.stderr)
    return told.stdout


def states(hx: HustleX, queue: str = "default") -> dict[str, int]:
    info = hx.jobs.inspector.queue(queue)
    return {state.value: getattr(info, state.value) for state in State if getattr(info, state.value)}


# -- queues


def test_queues_are_listed_paused_limited_and_removed(hx: HustleX) -> None:
    hx.jobs.enqueue("a", queue="mail")
    hx.jobs.enqueue("a", queue="low", process_in=HOUR)
    items = {item["name"]: item for item in answer("queue", "ls")["items"]}
    assert (items["mail"]["pending"], items["mail"]["state"], items["low"]["scheduled"]) == (1, "unserved", 1)
    assert items["mail"]["latency_ms"] >= 0 and items["mail"]["workers"] == 0
    assert answer("queue", "pause", "mail", "low")["changed"] is True
    assert answer("queue", "pause", "mail", "low")["changed"] is False
    assert {each.name for each in hx.jobs.inspector.summaries() if each.paused} == {"mail", "low"}
    assert "paused" in text("queue", "ls")
    assert answer("queue", "resume", "mail")["changed"] is True
    assert answer("queue", "resume", "mail")["changed"] is False
    assert answer("queue", "limit", "mail", "1")["limit"] == 1
    assert type(hx.jobs.enqueue("a", queue="mail")).__name__ == "QueueFull"
    assert answer("queue", "limit", "mail", "none")["limit"] is None
    shown = answer("queue", "show", "mail")
    assert (shown["pending"], shown["state"], len(shown["days"]), shown["limit"]) == (1, "unserved", 7, None)
    assert text("queue", "show", "mail", "--days", "1").count("\n") > 10
    answer("queue", "rm", "mail", code=2)
    answer("queue", "rm", "mail", "--yes", code=5)
    assert answer("queue", "rm", "mail", "--force", "--yes")["changed"] is True
    assert hx.jobs.inspector.queues() == ["low"]


def test_what_cannot_be_undone_is_asked_of_a_terminal(hx: HustleX) -> None:
    hx.jobs.enqueue("a", queue="mail", task_id="m1")
    assert hustlex("queue", "rm", "mail", "--force", typed="amil\n", terminal=True).returncode == 1
    assert hustlex("task", "rm", "m1", typed="n\n", terminal=True).returncode == 1
    assert states(hx, "mail") == {"pending": 1}
    assert hustlex("task", "rm", "m1", typed="y\n", terminal=True).returncode == 0
    assert hustlex("queue", "rm", "mail", typed="mail\n", terminal=True).returncode == 0
    assert hx.jobs.inspector.queues() == []
    with patch("sys.stdin", Typing("", terminal=False)), pytest.raises(Misuse, match="pass --yes"):
        confirm("it goes", yes=False)


def test_the_history_of_a_queue_is_told_by_the_hour(hx: HustleX) -> None:
    hx.jobs.enqueue("a", queue="mail")
    hx.driver.run(record.history([("mail", QueueMeasure(9, 3, 7, 1500))], 0))
    hx.driver.run(record.history([("mail", QueueMeasure(12, 4, 5, 500))], 0))
    [hour] = answer("queue", "history", "mail")["items"]
    assert (hour["unfinished"], hour["waited_ms"], hour["failed"]) == (7, 1500, 1)
    assert answer("queue", "history")["queue"] is None
    assert "longest wait" in text("queue", "history", "mail", "--days", "30")
    answer("queue", "history", "mial", code=4)


# -- what waits aside, and in groups


def test_what_was_set_aside_is_listed_put_back_and_deleted(hx: HustleX) -> None:
    hx.jobs.enqueue("a", queue="mail", process_in=HOUR)
    hx.jobs.enqueue("a", queue="low", process_in=HOUR)
    seeded.aside(hx, "mail", "m1")
    seeded.aside(hx, "mail", "m2", seeded.PHONE)
    seeded.aside(hx, "low", "l1", seeded.TOKEN)
    found = answer("quarantine", "ls")
    told = {each["id"]: (each["queue"], each["readable"], each["type"]) for each in found["items"]}
    assert told == {"m1": ("mail", True, "mail:send"), "m2": ("mail", False, None), "l1": ("low", False, None)}
    assert (found["number"], found["complete"], found["next"]) == (3, True, {})
    assert [each["id"] for each in answer("quarantine", "ls", "--queue", "low")["items"]] == ["l1"]
    assert seeded.PHONE not in text("quarantine", "ls") and seeded.TOKEN not in text("quarantine", "ls")
    answer("quarantine", "put-back", "m2", "--queue", "mail", code=5)
    answer("quarantine", "put-back", "none", "--queue", "mail", code=4)
    assert answer("quarantine", "put-back", "m1", "--queue", "mail")["changed"] is True
    assert states(hx, "mail") == {"pending": 1, "scheduled": 1}
    answer("quarantine", "rm", "m2", "--queue", "mail", code=2)
    assert answer("quarantine", "rm", "m2", "--queue", "mail", "--yes")["changed"] is True
    assert answer("quarantine", "ls", "--queue", "mail")["items"] == []
    answer("quarantine", "ls", "--cursor", "5", code=2)


@pytest.mark.parametrize(
    ("verb", "left"), [("run", {"pending": 2, "aggregating": 1}), ("archive", {"archived": 2, "aggregating": 1}),
                       ("rm", {"aggregating": 1})]
)  # fmt: skip
def test_a_group_is_listed_and_acted_on(hx: HustleX, verb: str, left: dict[str, int]) -> None:
    for name in ("digest", "digest", seeded.PHONE):
        hx.jobs.enqueue("a", queue="mail", group=name)
    found = answer("group", "ls", "--queue", "mail")
    assert sorted(each["size"] for each in found["items"]) == [1, 2] and found["number"] == 2
    assert seeded.PHONE not in text("group", "ls", "--queue", "mail")
    answer("group", verb, "digest", "--queue", "mail", code=2)
    assert answer("group", verb, "digest", "--queue", "mail", "--yes")["tasks"] == 2
    assert states(hx, "mail") == left
    assert answer("group", verb, "digest", "--queue", "mail", "--yes")["tasks"] == 0


def test_a_queue_tells_where_the_rest_of_its_groups_is(hx: HustleX, raw: redis.Redis) -> None:
    hx.jobs.enqueue("a", queue="mail", group="digest")
    assert answer("queue", "show", "mail")["groups_next"] is None
    raw.sadd(queue_keys("mail").groups, *(f"g{n}" for n in range(600)))
    shown = answer("queue", "show", "mail")
    assert len(shown["groups"]) < 600 and answer("group", "ls", "--queue", "mail", "--cursor", shown["groups_next"])


# -- tasks


def test_tasks_are_found_by_what_they_are(hx: HustleX) -> None:
    hx.jobs.enqueue("gig:pay", seeded.PAYLOAD, task_id="g1")
    hx.jobs.enqueue("mail:send", task_id="m1", queue="mail", process_in=HOUR)
    hx.jobs.enqueue("gig:old", task_id="g2")
    hx.jobs.inspector.archive("default", "g2")

    def ids(*options: str) -> list[str]:
        return sorted(item["id"] for item in answer("task", "ls", *options)["items"])

    assert ids() == ["g1", "g2", "m1"]
    assert ids("state:archived") == ["g2"]
    assert ids("--queue", "mail") == ["m1"]
    assert ids("type:gig:* -state:archived") == ["g1"]
    assert ids(f"payload.token={seeded.TOKEN}") == [], "what is hidden would be told digit by digit"
    assert ids(f"payload.token={seeded.TOKEN}", "--reveal") == ["g1"]
    first = answer("task", "ls", "--limit", "2")
    assert (len(first["items"]), first["complete"]) == (2, False)
    rest = answer("task", "ls", "--cursor", first["next"])
    assert (len(rest["items"]), rest["complete"], rest["next"]) == (1, True, None)
    assert "--cursor" in text("task", "ls", "--limit", "2")
    assert "archived" in text("task", "ls", "type:gig:old")


def test_a_task_is_cloned_and_put_off(hx: HustleX) -> None:
    hx.jobs.enqueue("gig:pay", {"a": 1, "token": seeded.TOKEN}, task_id="g1", process_in=HOUR)
    cloned = answer("task", "clone", "g1", "--changes", '{"a": 2}', "--to", "low")
    found = hx.jobs.inspector.task("low", cloned["id"])
    assert json.loads(found.payload or b"") == {"a": 2, "token": seeded.TOKEN} and cloned["outcome"] == "Enqueued"
    answer("task", "clone", "none", code=4)
    answer("task", "clone", "g1", "--changes", "7", code=2)
    answer("task", "reschedule", "g1", code=2)
    answer("task", "reschedule", "g1", "--in", "1h", "--at", "2030-01-01T00:00:00Z", code=2)
    assert answer("task", "reschedule", "g1", "--at", "2030-01-01T00:00:00Z")["done"] == 1
    start = hx.jobs.inspector.task("default", "g1").next_process_at
    assert start is not None and start.year == 2030
    answer("task", "reschedule", cloned["id"], "--in", "1h", code=5)
    several = ("task", "reschedule", "--where", "state:scheduled", "--in", "0s")
    assert answer(*several, "--dry-run")["planned"] == 1
    assert answer(*several, "--yes")["done"] == 1
    start = hx.jobs.inspector.task("default", "g1").next_process_at
    assert start is not None and start < datetime.now(UTC) + HOUR


def test_an_act_on_many_is_held_and_ended_from_here(hx: HustleX) -> None:
    for _ in range(3):
        hx.jobs.enqueue("a", process_in=HOUR)
    bulk = hx.jobs.inspector.bulk.step(hx.jobs.inspector.bulk.plan(BulkVerb.RUN, "state:scheduled").id)
    answer("bulk", "pause", bulk.id, code=5)
    hx.jobs.inspector.bulk.start(bulk.id)
    assert answer("bulk", "pause", bulk.id)["phase"] == "paused"
    assert answer("bulk", "stop", bulk.id)["phase"] == "stopped"
    answer("bulk", "pause", bulk.id, code=5)
    answer("bulk", "pause", "none", code=4)
    assert states(hx) == {"scheduled": 3}


def test_an_entry_is_changed_and_a_spec_says_when_it_fires(hx: HustleX) -> None:
    hx.jobs.schedules.add("report", "0 7 * * 1", Job("a"))
    hx.jobs.schedules.pause("report")
    changed = answer("cron", "edit", "report", "--spec", "0 8 * * 1", "--timezone", "Africa/Lagos", "--missed", "once")
    found = hx.jobs.schedules.get("report")
    assert (found.spec, found.missed, changed["state"]) == ("CRON_TZ=Africa/Lagos 0 8 * * 1", "once", "paused")
    answer("cron", "edit", "report", code=2)
    answer("cron", "edit", "report", "--timezone", "UTC", code=2)
    answer("cron", "edit", "report", "--spec", "61 * * * *", code=2)
    answer("cron", "edit", "repotr", "--missed", "skip", code=4)
    told = answer("cron", "next", "0 7 * * 1", "--timezone", "Africa/Lagos", "--limit", "3")["items"]
    assert len(told) == 3 and all("T06:00:00" in each["at"] and " 07:00:00+01:00" in each["local"] for each in told)
    often = [each["local"] for each in answer("cron", "next", "@every 10s", "--limit", "3")["items"]]
    assert len(set(often)) == 3
    assert "Africa/Lagos" in text("cron", "next", "@daily", "--timezone", "Africa/Lagos")
    answer("cron", "next", "0 0 30 2 *", code=2)
    answer("cron", "next", "@daily", "--timezone", "Nowhere", code=2)


def test_what_a_task_carries_is_hidden_until_it_is_asked_for(hx: HustleX, raw: redis.Redis) -> None:
    hx.jobs.enqueue("gig:pay", seeded.PAYLOAD, task_id="g1", headers={"authorization": "Bearer abcdef123456"})
    hx.jobs.enqueue("gig:raw", b"\xff\xfe" + seeded.PHONE.encode(), task_id="g2")
    for command in (("task", "show", "g1"), ("task", "ls"), ("task", "show", "g2")):
        for shown in (text(*command), text(*command, "--json")):
            assert not [secret for secret in (seeded.PHONE, seeded.TOKEN, "abcdef123456") if secret in shown]
    assert answer("task", "show", "g1")["payload"]["amount"] == 4_500_713
    revealed = answer("task", "show", "g1", "--reveal")
    assert (revealed["payload"], revealed["headers"]["authorization"]) == (seeded.PAYLOAD, "Bearer abcdef123456")
    assert answer("task", "show", "g2", "--reveal")["payload"]["base64"].startswith("//4r")
    assert seeded.PHONE in text("task", "show", "g1", "--reveal")


def test_why_a_task_does_not_run_is_told(hx: HustleX) -> None:
    hx.jobs.enqueue("gig:pay", task_id="g1")
    hx.jobs.inspector.pause("default")
    found = answer("task", "explain", "g1")
    assert "paused" in found["causes"] and found["words"]
    assert "paused" in text("task", "explain", "g1")
    assert answer("task", "explain", "nothing", code=4)["state"] is None


def test_tasks_are_run_archived_cancelled_and_deleted_one_by_one(hx: HustleX) -> None:
    for name in ("a", "b", "c", "d"):
        hx.jobs.enqueue("t", task_id=name, process_in=HOUR)
    assert answer("task", "run", "a")["done"] == 1
    assert states(hx) == {"pending": 1, "scheduled": 3}
    partly = answer("task", "archive", "b", "nothing", code=7)
    assert [(item["id"], item["done"]) for item in partly["items"]] == [("b", True), ("nothing", False)]
    assert hustlex("task", "archive", "b").returncode == 5
    assert hustlex("task", "archive", "nothing").returncode == 4
    assert hustlex("task", "rm", "c").returncode == 2
    assert answer("task", "rm", "c", "--yes")["done"] == 1
    assert answer("task", "cancel", "d", "--yes")["done"] == 1
    assert states(hx) == {"pending": 1, "archived": 2}
    assert hustlex("task", "cancel", "b", "--yes").returncode == 5


def test_what_a_search_finds_is_shown_asked_about_and_done_in_steps(
    hx: HustleX, monkeypatch: pytest.MonkeyPatch
) -> None:
    hx.jobs.enqueue_many([Job("gig:pay") for _ in range(250)])
    hx.jobs.enqueue("mail:send")
    gigs = ("--where", "state:pending type:gig:*")
    assert hustlex("task", "archive", *gigs).returncode == 2
    assert hustlex("task", "archive", *gigs, typed="25\n", terminal=True).returncode == 1
    shown = answer("task", "archive", *gigs, "--dry-run")
    assert (shown["planned"], shown["done"], shown["counts"][0]["type"]) == (250, 0, "gig:pay")
    assert states(hx) == {"pending": 251}
    assert {each["phase"] for each in answer("bulk", "ls")["items"]} == {"stopped"}, "nothing is left to be started"
    monkeypatch.setenv("FORCE_COLOR", "1")
    told = hustlex("task", "archive", *gigs, typed="250\n", terminal=True)
    assert (told.returncode, told.stdout.split(": ")[1]) == (0, "250 of 250 tasks done\n")
    assert "/s" in told.stderr and "250/250" in told.stderr and "gig:pay" in told.stderr
    assert states(hx) == {"pending": 1, "archived": 250}
    act = answer("bulk", "ls")["items"][0]
    assert (act["verb"], act["phase"], act["by"], act["done"]) == ("archive", "done", me(), 250)
    assert answer("bulk", "show", act["id"], "--page", "5")["items"][0]["outcome"] == "done"
    assert "gig:pay" in text("bulk", "show", act["id"])
    assert answer("bulk", "undo", act["id"])["undone"] == 250
    assert states(hx) == {"pending": 251}
    assert answer("bulk", "undo", act["id"], code=5) is None
    assert answer("task", "rm", "-w", "", "--queue", "default", "--yes")["done"] == 251
    assert text("task", "run", "--where", "state:archived") == "there was nothing\n"


def test_an_act_that_was_interrupted_goes_on(hx: HustleX, monkeypatch: pytest.MonkeyPatch) -> None:
    hx.jobs.enqueue_many([Job("gig:pay") for _ in range(250)])
    step, made = BulkActs.step, list[Bulk]()

    def breaks_off(acts: BulkActs, bulk_id: str, **more: Any) -> Any:
        made.append(step(acts, bulk_id, **more))
        if made[-1].done:
            raise KeyboardInterrupt
        return made[-1]

    with monkeypatch.context() as patched:
        patched.setattr(BulkActs, "step", breaks_off)
        told = hustlex("task", "archive", "--where", "type:gig:*", "--yes")
    assert told.returncode == 130
    assert told.stderr.splitlines()[-1].endswith(f"hustlex bulk resume {made[-1].id} goes on")
    assert 0 < states(hx)["archived"] < 250
    assert answer("bulk", "resume", made[-1].id)["done"] == 250
    assert states(hx) == {"archived": 250}
    assert hustlex("bulk", "resume", made[-1].id).returncode == 5


def test_long_work_that_is_interrupted_says_how_far_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, progress("archive") as told:
        told(500, 1_100)
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert "500 of 1,100 done; the same command goes on" in capsys.readouterr().err


def test_tasks_are_enqueued_and_edited(hx: HustleX) -> None:
    made = answer("task", "enqueue", "mail:send", '{"to": 7}', "--queue", "mail", "--in", "1h", "--id", "m1")
    assert (made["outcome"], made["id"], made["state"]) == ("Enqueued", "m1", "scheduled")
    assert answer("task", "enqueue", "mail:send", "--queue", "mail", "--id", "m1", code=5)["outcome"] == "IdTaken"
    answer("task", "edit", "m1", "--payload", "-", "--at", "2031-01-01T09:00:00+01:00", typed='{"to": 8}')
    found = hx.jobs.inspector.task("mail", "m1")
    assert json.loads(found.payload or b"") == {"to": 8}
    assert found.next_process_at == datetime(2031, 1, 1, 8, tzinfo=UTC)
    answer("task", "edit", "m1", "--in", "0s")
    due = hx.jobs.inspector.task("mail", "m1").next_process_at
    assert due is not None
    assert due <= datetime.now(UTC) + timedelta(seconds=1)
    answer("task", "run", "m1")
    answer("task", "edit", "m1", "--payload", "1", code=5)


def test_a_task_is_followed_to_its_end(hx: HustleX) -> None:
    hx.jobs.enqueue("t", task_id="a")
    assert hustlex("task", "follow", "a", "--seconds", "0.05").returncode == 8
    hx.jobs.inspector.archive("default", "a")
    told = hustlex("task", "follow", "a", "--json")
    assert told.returncode == 1
    last = json.loads(told.stdout.splitlines()[-1])
    assert (last["schema"], last["kind"], last["state"]) == ("hustlex.task.item/1", "state", "archived")
    assert "archived" in text("task", "follow", "a", code=1)
    assert hustlex("task", "follow", "nothing").returncode == 4


# -- workers


async def test_a_worker_is_listed_an_attempt_cut_off_and_the_worker_stopped(
    hx: HustleX, driver: Any, raw: redis.Redis
) -> None:
    tasks, began, cut = Tasks(), asyncio.Event(), asyncio.Event()

    @tasks.task("slow", max_retry=3, retry_delay=HOUR)
    async def slow() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cut.set()

    worker = Worker(driver, tasks, queues={"default": 1}, concurrency=3)
    run = asyncio.create_task(worker.run())
    try:
        await asyncio.to_thread(hx.jobs.enqueue, slow.job(), task_id="s1")
        async with asyncio.timeout(50):
            await began.wait()
        worker.parts.heartbeat.wake()  # the start of a task is told with the next beat
        await until(lambda: any(each.running for each in hx.jobs.inspector.servers()))
        await until(lambda: raw.pubsub_numsub(stop_channel(worker.id))[0][1])
        [item] = (await asyncio.to_thread(answer, "worker", "ls"))["items"]
        assert (item["id"], item["concurrency"], item["queues"]) == (worker.id, 3, {"default": 1})
        assert [task["id"] for task in item["running"]] == ["s1"] and "payload" not in item["running"][0]
        assert "s1" in await asyncio.to_thread(text, "workers", "ls", "--tasks")
        assert "running" in (await asyncio.to_thread(answer, "task", "explain", "s1"))["causes"]
        assert (await asyncio.to_thread(hustlex, "worker", "cancel", "s1")).returncode == 2
        assert (await asyncio.to_thread(answer, "worker", "cancel", "s1", "--yes"))["heard"] == 1
        async with asyncio.timeout(50):
            await cut.wait()
        assert (await asyncio.to_thread(hustlex, "worker", "stop", item["worker"])).returncode == 2
        told = await asyncio.to_thread(answer, "worker", "stop", item["worker"], "--yes")
        assert (told["heard"], told["id"]) == (1, worker.id)
        async with asyncio.timeout(50):
            await run
    finally:
        worker.hurry()
        await run
    assert (await asyncio.to_thread(hustlex, "worker", "stop", worker.id, "--yes")).returncode == 4


# -- cron and workflows


def test_entries_are_added_listed_paused_run_and_removed(hx: HustleX) -> None:
    added = answer(
        "cron", "add", "report", "0 7 * * 1", "report:build", '{"pin": "hush-4821"}', "--timezone", "Africa/Lagos"
    )
    assert (added["state"], added["where"], added["queue"]) == ("fires", "stored", "default")
    answer("cron", "add", "report", "0 8 * * 1", "report:build", code=5)
    answer("cron", "add", "odd", "every day", "report:build", code=2)
    assert answer("cron", "pause", "report")["changed"] is True
    [item] = answer("cron", "ls")["items"]
    assert (item["name"], item["state"], item["next_at"]) == ("report", "paused", None)
    assert "paused" in text("cron", "ls")
    fired = answer("cron", "run", "report")
    assert fired["outcome"] == "Enqueued" and states(hx) == {"pending": 1}
    shown = answer("cron", "show", "report")
    assert [each["task_id"] for each in shown["firings"]] == [fired["id"]]
    assert "hush" not in json.dumps(shown) + text("cron", "show", "report")
    assert answer("cron", "show", "report", "--reveal")["payload"] == {"pin": "hush-4821"}
    assert answer("cron", "resume", "report")["changed"] is True
    assert hustlex("cron", "rm", "report").returncode == 2
    assert answer("cron", "rm", "report", "--yes")["changed"] is True
    assert answer("cron", "ls")["items"] == []


def test_open_steps_of_a_workflow_are_told_in_words(hx: HustleX) -> None:
    hx.jobs.start(Job("a").then(Job("b")).then(Job("c")), workflow_id="w1")
    [item] = answer("workflow", "ls")["items"][:1]
    assert (item["workflow"], item["id"], item["state"]) == ("w1", "w1:0", "pending")
    steps = answer("workflow", "show", "w1")["steps"]
    assert [step["id"] for step in steps][:2] == ["w1:0", "w1:1"]
    assert "waits_for_steps" in steps[1]["causes"]
    assert "w1:1" in text("workflow", "show", "w1")


# -- events


async def test_what_is_published_is_heard_in_the_tail(hx: HustleX) -> None:
    tail = asyncio.create_task(asyncio.to_thread(text, "event", "tail", "orders:42", "--count", "1"))
    await until(lambda: hx.events.inspector.listeners("orders:42"))
    hx.events.channel("orders:42", Any).publish({"state": "paid", "to": seeded.PHONE})
    told = await tail
    assert "paid" in told and seeded.PHONE not in told


def test_events_with_history_are_published_and_read_from_the_beginning(hx: HustleX) -> None:
    channel: Any = hx.events.channel("orders:42", Any, kind="replay", size=500)
    channel.publish_many([{"n": n} for n in range(150)])
    sent = answer("event", "publish", "orders:42", '{"n": 150}', "--kind", "replay")
    assert sent["position"].endswith(".151")
    assert len(channel.history(limit=300)) == 151, "nothing was cut that the application keeps"
    told = hustlex("event", "tail", "orders:42", "--kind", "replay", "--since", "-", "--count", "151", "--json")
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert (told.returncode, lines[0]["data"], lines[-1]["data"]) == (0, {"n": 0}, {"n": 150})
    assert answer("event", "publish", "orders:42", "{}")["connections"] == 0
    assert hustlex("event", "tail", "orders:42", "--seconds", "0.01").returncode == 8


# -- top, tables


def test_errors_are_grouped_and_what_they_say_is_hidden(hx: HustleX) -> None:
    hx.jobs.enqueue("pay", task_id="t1")
    kind = FailureKind("pay", "ProviderDown", "provider.post", f"{seeded.PHONE} was refused")
    hx.driver.run(record.failures(queue_keys("default"), [FailureCount("5" * 16, kind, 3, ("t1",))], 0))
    hx.driver.run(record.history([("default", QueueMeasure(9, 3, 1, 1500))], 0))
    [item] = answer("error", "ls")["items"]
    assert (item["type"], item["count"], item["error"]) == ("pay", 3, "ProviderDown")
    shown = text("error", "ls", "--queue", "default")
    assert "ProviderDown" in shown and seeded.PHONE not in shown + json.dumps(item)
    assert "ProviderDown" in _drawn(look(hx), TopView(pane="errors"), 24)


def test_a_group_of_errors_is_shown_run_archived_and_muted(hx: HustleX, raw: redis.Redis) -> None:
    failed = seeded.FAILED
    hx.jobs.enqueue("mail:send", queue="mail")
    seeded.fail(hx)
    shown = answer("error", "show", failed, "--queue", "mail")
    assert (shown["count"], shown["muted"], shown["ids"]) == (3, None, ["mail-7"])
    answer("error", "mute", failed, "--queue", "mail", "--for", "4h")
    assert answer("error", "show", failed, "--queue", "mail")["muted"]["until"]
    answer("error", "mute", failed, "--queue", "mail")
    assert "until it fails again" in text("error", "show", failed, "--queue", "mail")
    answer("error", "unmute", failed, "--queue", "mail")
    assert answer("error", "ls", "--queue", "mail")["items"][0]["muted"] is None
    q = queue_keys("mail")
    for name in ("f1", "f2"):
        message = TaskMessage("mail:send", b"{}", name, "mail", 25, error_msg="ProviderDown: no answer to 7")
        raw.hset(q.task(name), mapping={"msg": encode_task(message), "state": "retry"})
        raw.zadd(q.retry, {name: time.time() + 3600})
    planned = answer("error", "run", failed, "--queue", "mail", "--dry-run")
    assert (planned["planned"], planned["done"]) == (2, 0)
    assert answer("error", "archive", failed, "--queue", "mail", "--yes")["done"] == 2
    assert answer("error", "run", failed, "--queue", "mail", "--yes")["done"] == 2
    assert hx.jobs.inspector.task("mail", "f1").state is State.PENDING
    for act in ("show", "run", "mute"):
        missing = hustlex("error", act, "6f0c2a9d4b7e1836", "--queue", "mail")
        assert (missing.returncode == 4 and "6f0c2a9d4b7e1835" in missing.stderr) or act == "mute", act


def test_top_shows_one_look_without_a_terminal(hx: HustleX) -> None:
    hx.jobs.enqueue("t")
    shown = text("top")
    assert "default" in shown and "unserved" in shown and "busy 0/0" in shown
    assert answer("top")["queues"][0]["state"] == "unserved"


def test_keys_of_top_change_what_is_shown(hx: HustleX) -> None:
    for name in ("one", "two", "three"):
        hx.jobs.enqueue("t", queue=name)
    seen = look(hx)

    def drawn(view: TopView, height: int = 24) -> str:
        return _drawn(seen, view, height)

    view = TopView()
    assert all(name in drawn(view) for name in ("one", "two", "three"))
    assert "and 2 more" in drawn(view, 6)
    view = pressed(view, "s") or view
    assert view.order == "name" and "by name" in drawn(view)
    assert pressed(view, "p") == TopView("queues", "name", paused=True)
    assert "language" in drawn(pressed(view, "2") or view)
    assert "deadline" in drawn(pressed(view, "3") or view)
    assert "signature" in drawn(pressed(view, "4") or view)
    assert pressed(view, "x") == view and pressed(view, "q") is None
    assert "away" in _drawn(Snapshot(datetime.now(UTC), trouble="the server is away"), TopView(), 24)


def _drawn(seen: Snapshot, view: TopView, height: int) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(frame(seen, view, 80, height))
    return console.export_text()


def test_top_lives_in_a_terminal_until_q(hx: HustleX) -> None:
    hx.jobs.enqueue("t", queue="mail")
    ours, theirs = pty.openpty()
    heard: list[bytes] = []

    def listen() -> None:
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:
                return
            heard.append(part)
            if b"mail" in b"".join(heard):
                os.write(ours, b"q")

    reader = threading.Thread(target=listen, daemon=True)
    reader.start()
    with (
        open(theirs, "w", closefd=False) as out,
        open(theirs, closefd=False) as typed,
        patch("sys.argv", ["hustlex", "top", "--every", "0.2"]),
        patch("sys.stdout", out),
        patch("sys.stdin", typed),
        patch.dict(os.environ, {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}),
        pytest.raises(SystemExit) as ended,
    ):
        entry.main()
    os.close(theirs)
    reader.join(timeout=50)
    os.close(ours)
    assert ended.value.code == 0
    assert b"unserved" in b"".join(heard)


def test_a_table_is_cut_to_the_terminal_and_whole_in_a_pipe() -> None:
    rows = [("3f9a01c2-77aa-4b1e-9d6f-0f3c5a4f2b11", "mail", "x" * 500)]

    def drawn(width: int) -> list[str]:
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(table(("id", "queue", "error"), rows, width=width))
        return [line.rstrip() for line in console.export_text().splitlines()]

    assert drawn(10_000)[1].endswith("x" * 500)
    _, row = drawn(80)
    assert len(row) <= 80 and row.startswith(rows[0][0]) and row.endswith("…")
    assert all(len(line) <= 30 for line in drawn(30))


def test_a_user_is_shown_by_phone_with_codes(hx: HustleX) -> None:
    hx.otp.issue(seeded.PHONE)
    found = answer("user", "show", "-", typed=seeded.PHONE + "\n")
    assert found["codes"]["open"][0]["purpose"] == "login"
    assert answer("user", "show", "u7")["codes"] is None
    assert answer("user", "show", "u7", "--phone", seeded.PHONE)["codes"]["lanes"]
    answer("user", "show", "u7", "--phone", "nonsense", code=2)
    assert "anon" in text("user", "show", seeded.PHONE)


def test_a_user_is_shown_with_what_the_console_shows(hx: HustleX) -> None:
    """Limits, keys, tasks, channels and a timeline, and sentences that answer what they call about."""
    rule = "1/minute per user on POST /pay"
    hx.tokens.login("u7", device="Pixel 9")
    note = {"name": "ada", "phase": "done", "verb": "reset_pin", "target": f"user={hx.reference('u7')}"}
    hx.driver.run(notes.note(hx.prefix, note))
    hx.ratelimit.check(parse_rule(rule).policy, "u7", endpoint="POST /pay")
    for key in ("k1", "k2"):
        started: Any = hx.idempotency.begin(key, Scope("u7", "POST", "/pay"))
        hx.idempotency.complete(started, Response(201, b"a secret answer"))
    for who in ("u7", "u8"):
        hx.jobs.enqueue("gig:notify", {"user_id": who, "token": seeded.TOKEN}, task_id=f"of-{who}")
    words = ("user", "show", "u7", "--rule", rule, "--channel", "users:{user}")
    found = answer(*words)
    assert [(each["name"], each["allowed"]) for each in found["limits"]] == [("POST /pay", False)]
    assert [each["id"] for each in found["tasks"]] == ["of-u7"]
    assert found["channels"] == [{"name": "users:u7", "listeners": 0}] and len(found["claims"]["claims"]) == 2
    told = {each["question"]: each["sentences"] for each in found["answers"]}
    assert "succeeded twice" in told["I was charged twice"][0] and "denied" in told["I am refused"][0]
    assert {each["room"] for each in found["timeline"]} == {"Sessions", "Payments", "Limits", "Console"}
    assert "reset_pin: done, by ada" in [each["words"] for each in found["timeline"]]
    shown = text(*words)
    for part in ("I was charged twice:", "POST /pay", "of-u7", "users:u7", "Logged in, and still is: Pixel 9"):
        assert part in shown, part
    assert seeded.TOKEN not in shown + json.dumps(found) and "secret answer" not in json.dumps(found)
    for wrong in (("--place", "nonsense"), ("--channel", "news"), ("--rule", "often")):
        answer("user", "show", "u7", *wrong, code=2)


# -- who may look


def test_a_name_is_signed_out_of_all_consoles(hx: HustleX, raw: redis.Redis) -> None:
    link = text("dashboard", "--token", "--name", "ada", "--level", "read", "--reveal")
    [key] = raw.scan_iter("app:console:*token*")
    kept = json.loads(raw.get(key) or b"")
    assert "/enter#" in link and kept["operator"]["reveal"] is True and kept["mark"] == ""
    assert text("dashboard", "--end", "ada") == "ada is signed out of every console of this server\n"
    text("dashboard", "--token", "--name", "ada")
    marks = {json.loads(raw.get(each) or b"")["mark"] for each in raw.scan_iter("app:console:*token*")}
    assert len(marks) == 2, "who is let in again afterwards stays"
