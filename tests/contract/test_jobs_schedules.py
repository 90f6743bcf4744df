"""Stored periodic entries through the public door, async and blocking."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.errors import BadReply, Conflict, Misuse, NotFound
from hustlex.jobs import CronError, Duplicate, Enqueued, Job, Jobs, State
from hustlex.jobs.schedule import ops as schedules
from hustlex.jobs.schedule.periodic import define, entry_id
from hustlex.jobs.wire import decode_event, decode_task
from tests.conftest import LONG
from tests.support.proxy import Proxy

ENTRIES = "asynq:x:{schedules}:entries"
STATE = "asynq:x:{schedules}:state"
STATIC = "asynq:x:{schedules}:static"
JOB = Job("report", b'{"day":1}', {"queue": "low", "max_retry": 3, "timeout": timedelta(seconds=90)})


async def publish(driver: Driver, clock: FixedClock, name: str) -> None:
    """As a scheduler that has this entry in its code."""
    await driver.run(schedules.publish({name: define(name, "@daily", JOB)}, clock()))


async def test_an_entry_is_stored_shown_and_removed(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.schedules.add(
        "weekly", "0 9 * * 1", JOB, timezone="Africa/Lagos", dst="once", missed="all", max_missed=7
    )
    await hx.jobs.schedules.add("daily", "@daily", Job("t"))
    (daily, weekly) = await hx.jobs.schedules.all()
    assert (weekly.name, weekly.spec, weekly.job) == ("weekly", "CRON_TZ=Africa/Lagos 0 9 * * 1", JOB)
    assert (weekly.dst, weekly.missed, weekly.max_missed) == ("once", "all", 7)
    assert (weekly.paused, weekly.in_code, weekly.id) == (False, False, entry_id("weekly"))
    assert weekly.next_at == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert daily.next_at == datetime(2026, 1, 2, tzinfo=UTC)
    assert await hx.jobs.schedules.get("daily") == daily
    assert b"day" not in repr(weekly).encode()
    assert await hx.jobs.schedules.remove("daily") is True
    assert await hx.jobs.schedules.remove("daily") is False
    with pytest.raises(NotFound):
        await hx.jobs.schedules.get("daily")
    assert {name.decode() for name in raw.hkeys(ENTRIES)} == {"", "weekly"}
    assert {name.decode() for name in raw.hkeys(STATE)} == {"weekly"}


async def test_the_same_entry_may_be_added_again_and_another_may_not(hx: Any, raw: redis.Redis) -> None:
    for _ in range(2):
        await hx.jobs.schedules.add("n", "@daily", JOB)
    version = raw.hget(ENTRIES, "")
    with pytest.raises(Conflict, match="another"):
        await hx.jobs.schedules.add("n", "@hourly", JOB)
    assert raw.hget(ENTRIES, "") == version


@pytest.mark.parametrize(
    ("name", "spec", "job", "options"),
    [
        ("n", "every day", JOB, {}),
        ("n", "@daily", JOB, {"timezone": "Lagos"}),
        ("n", "@daily", JOB, {"dst": "twice"}),
        ("n", "@daily", JOB, {"missed": "maybe"}),
        ("n", "@daily", JOB, {"max_missed": 0}),
        ("", "@daily", JOB, {}),
        (" \t", "@daily", JOB, {}),
        ("n", "@daily", Job(" "), {}),
        ("n", "@daily", Job("t", None, {"process_in": timedelta(hours=1)}), {}),
        ("n", "@daily", Job("t", b"x" * 65_536), {}),
        ("n", "@daily", Job("t", None, {"headers": {"a": "\ud800"}}), {}),
    ],
)
async def test_what_can_never_work_is_refused(
    hx: Any, raw: redis.Redis, name: str, spec: str, job: Job, options: dict[str, Any]
) -> None:
    with pytest.raises(Misuse):
        await hx.jobs.schedules.add(name, spec, job, **options)
    assert raw.keys("*") == []


async def test_parts_of_an_entry_are_changed(hx: Any) -> None:
    await hx.jobs.schedules.add("n", "0 9 * * *", JOB, timezone="Africa/Lagos", missed="once")
    await hx.jobs.schedules.change("n", job=Job("other"), dst="skip")
    entry = await hx.jobs.schedules.get("n")
    assert (entry.spec, entry.job.type, entry.dst, entry.missed) == (
        "CRON_TZ=Africa/Lagos 0 9 * * *",
        "other",
        "skip",
        "once",
    )
    await hx.jobs.schedules.change("n", spec="30 9 * * *", timezone="Europe/Paris", missed="all", max_missed=5)
    entry = await hx.jobs.schedules.get("n")
    assert (entry.spec, entry.missed, entry.max_missed) == ("CRON_TZ=Europe/Paris 30 9 * * *", "all", 5)
    await hx.jobs.schedules.change("n")
    for bad, error in (
        ({"spec": "x"}, CronError),
        ({"timezone": "Africa/Lagos"}, Misuse),
        ({"sepc": "@daily"}, Misuse),
        ({"job": Job("")}, Misuse),
    ):
        with pytest.raises(error):
            await hx.jobs.schedules.change("n", **bad)
    assert await hx.jobs.schedules.get("n") == entry
    with pytest.raises(NotFound):
        await hx.jobs.schedules.change("nobody", spec="@daily")


async def test_a_pause_holds_until_it_is_ended(hx: Any) -> None:
    await hx.jobs.schedules.add("n", "@daily", JOB)
    assert await hx.jobs.schedules.pause("n") is True
    assert await hx.jobs.schedules.pause("n") is False
    await hx.jobs.schedules.change("n", spec="@hourly")
    entry = await hx.jobs.schedules.get("n")
    assert (entry.paused, entry.next_at) == (True, None)
    assert [entry.paused for entry in await hx.jobs.schedules.all()] == [True]
    assert await hx.jobs.schedules.resume("n") is True
    assert await hx.jobs.schedules.resume("n") is False
    assert not (await hx.jobs.schedules.get("n")).paused
    for name in ("nobody", "", " "):
        for act in (hx.jobs.schedules.pause, hx.jobs.schedules.resume, hx.jobs.schedules.get, hx.jobs.schedules.run):
            with pytest.raises(NotFound):
                await act(name)


async def test_a_removed_entry_is_not_paused_when_it_comes_back(hx: Any) -> None:
    await hx.jobs.schedules.add("n", "@daily", JOB)
    await hx.jobs.schedules.pause("n")
    await hx.jobs.schedules.remove("n")
    await hx.jobs.schedules.add("n", "@daily", JOB)
    assert not (await hx.jobs.schedules.get("n")).paused


async def test_an_entry_is_run_now(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    await hx.jobs.schedules.add("n", "@daily", JOB.with_options(unique_for=timedelta(hours=1)))
    await hx.jobs.schedules.pause("n")
    outcome = await hx.jobs.schedules.run("n")
    assert isinstance(outcome, Enqueued) and (outcome.queue, outcome.state) == ("low", State.PENDING)
    assert outcome.id.startswith("n@run-")
    task = decode_task(raw.hget(f"asynq:{{low}}:t:{outcome.id}", "msg"))
    assert (task.type, task.payload, task.retry, task.timeout) == ("report", b'{"day":1}', 3, 90)
    (event,) = (await hx.jobs.inspector.enqueue_events(entry_id("n"))).events
    assert (event.task_id, event.at) == (outcome.id, datetime.fromtimestamp(clock() / 1000, UTC))
    assert await hx.jobs.schedules.run("n") == Duplicate(outcome.id, "low")
    assert raw.smembers("asynq:queues") == {b"low"}
    (raw_event,) = raw.zrange(f"asynq:scheduler_history:{entry_id('n')}", 0, -1)
    assert decode_event(raw_event).task_id == outcome.id


async def test_entries_in_code_are_listed_paused_and_run_not_changed(
    hx: Any, driver: Driver, clock: FixedClock, raw: redis.Redis
) -> None:
    await publish(driver, clock, "coded")
    (entry,) = await hx.jobs.schedules.all()
    assert (entry.name, entry.in_code, entry.job, entry.paused) == ("coded", True, JOB, False)
    assert await hx.jobs.schedules.pause("coded")
    assert (await hx.jobs.schedules.get("coded")).paused
    assert await hx.jobs.schedules.resume("coded")
    assert isinstance(await hx.jobs.schedules.run("coded"), Enqueued)
    for call in (
        hx.jobs.schedules.change("coded", spec="@hourly"),
        hx.jobs.schedules.remove("coded"),
        hx.jobs.schedules.add("coded", "@hourly", JOB),
    ):
        with pytest.raises(Conflict, match="code"):
            await call
    assert 0 < raw.ttl(STATIC) <= 86_400


async def test_code_that_no_scheduler_has_is_forgotten_after_a_minute(
    hx: Any, driver: Driver, clock: FixedClock
) -> None:
    await publish(driver, clock, "old")
    clock.advance(timedelta(seconds=50))
    await publish(driver, clock, "new")
    assert [entry.name for entry in await hx.jobs.schedules.all()] == ["new", "old"]
    clock.advance(timedelta(seconds=20))
    await publish(driver, clock, "new")
    assert [entry.name for entry in await hx.jobs.schedules.all()] == ["new"]


async def test_entries_and_states_are_capped(hx: Any, raw: redis.Redis, driver: Driver, clock: FixedClock) -> None:
    await publish(driver, clock, "coded")
    raw.hset(ENTRIES, mapping={f"e{n}": "{}" for n in range(9_999)} | {"": "1"})
    await hx.jobs.schedules.add("last", "@daily", JOB)
    with pytest.raises(Conflict, match="too many"):
        await hx.jobs.schedules.add("one more", "@daily", JOB)
    await hx.jobs.schedules.change("last", spec="@hourly")
    raw.hset(STATE, mapping={f"s{n}": "1" for n in range(20_000)})
    with pytest.raises(Conflict, match="too many"):
        await hx.jobs.schedules.pause("coded")
    assert await hx.jobs.schedules.pause("last")


async def test_what_cannot_be_read_is_shown_and_not_run(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.schedules.add("good", "@daily", JOB)
    raw.hset(ENTRIES, mapping={"bad": b"\xff\x00", "worse": b'{"spec":"x","type":"t"}', b"\xff": b"[]"})
    told = {entry.name: entry.trouble for entry in await hx.jobs.schedules.all()}
    assert told.keys() == {"good", "bad", "worse", "\ufffd"} and told.pop("good") == "" and all(told.values())
    worse = await hx.jobs.schedules.get("worse")
    assert (worse.spec, worse.job, worse.next_at) == ("x", Job("t"), None)
    with pytest.raises(BadReply):
        await hx.jobs.schedules.run("bad")
    with pytest.raises(CronError):
        await hx.jobs.schedules.run("worse")
    assert await hx.jobs.schedules.remove("bad")


async def test_changes_made_at_once_all_count(driver: Driver, clock: FixedClock) -> None:
    book = Jobs(driver, clock=clock).schedules
    await book.add("n", "@daily", JOB)
    await asyncio.gather(
        book.change("n", spec="@hourly"),
        book.change("n", dst="once"),
        book.change("n", missed="all"),
        book.change("n", max_missed=9),
        book.change("n", job=Job("other")),
    )
    entry = await book.get("n")
    assert (entry.spec, entry.dst, entry.missed, entry.max_missed, entry.job.type) == (
        "@hourly",
        "once",
        "all",
        9,
        "other",
    )


async def test_of_fifty_that_add_one_name_one_wins(driver: Driver, clock: FixedClock) -> None:
    book = Jobs(driver, clock=clock).schedules
    calls = [book.add("n", f"{minute} * * * *", JOB) for minute in range(50)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert outcomes.count(None) == 1 and sum(isinstance(one, Conflict) for one in outcomes) == 49
    assert (await book.get("n")).spec == f"{outcomes.index(None)} * * * *"


async def test_a_version_is_never_used_twice(driver: Driver, raw: redis.Redis, clock: FixedClock) -> None:
    book = Jobs(driver, clock=clock).schedules
    seen = set()
    for step in range(20):
        await book.add(f"n{step}", "@daily", JOB)
        clock.advance(timedelta(milliseconds=-1 if step % 2 else 5))
        seen.add(raw.hget(ENTRIES, ""))
    assert len(seen) == 20


async def test_an_add_whose_reply_is_lost_succeeds(faulty: Proxy, raw: redis.Redis) -> None:
    driver = Driver(faulty.url, timeout=LONG)
    book = Jobs(driver).schedules
    await book.all()
    faulty.lose_reply(containing=b"kept")
    await book.add("kept", "@daily", JOB)
    assert [entry.name for entry in await book.all()] == ["kept"]
    await driver.close()
