"""Periodic entries: each instant once, whatever schedulers do; missed instants; changes at run time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.errors import Conflict, Error, Misuse
from hustlex.jobs import IdTaken, Job, Jobs, Missed, Tasks
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.schedule import ops as entries
from hustlex.jobs.schedule.periodic import define, entry_id
from hustlex.jobs.wire import NEVER_NS, SchedulerEntry, decode_entry, decode_event, decode_task
from hustlex.worker import Scheduler
from tests.support.proxy import Proxy
from tests.worker.support import DEFAULT, until

START_MS = 1_767_225_600_000 + 1000  # 2026-01-01 00:00:01
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MARK = "asynq:{default}:x:cron:"


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(START_MS)


def pending(raw: redis.Redis, queue: str = "default") -> list[str]:
    """Ids of the tasks, oldest first."""
    return [task_id.decode() for task_id in reversed(raw.lrange(queue_keys(queue).pending, 0, -1))]


def listed(raw: redis.Redis, scheduler: Scheduler) -> dict[str, SchedulerEntry]:
    """What Go's tools see of one scheduler, by task type."""
    raws = raw.lrange(f"asynq:schedulers:{{{scheduler.dispatcher.id}}}", 0, -1)
    return {entry.task_type: entry for entry in map(decode_entry, raws)}


async def test_three_schedulers_fire_each_instant_once(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock
) -> None:
    @tasks.task("report", queue="low", max_retry=3)
    async def report() -> None: ...

    tasks.cron("hourly", "0 * * * *", report.job(), timezone="Africa/Lagos")
    tasks.cron("often", "@every 90s", report.job())
    schedulers = [Scheduler(driver, tasks, clock=clock) for _ in range(3)]
    await asyncio.gather(*(scheduler.dispatcher.tick() for scheduler in schedulers))
    assert pending(raw, "low") == []
    (first, *_) = raw.zrange("asynq:schedulers", 0, -1)
    assert raw.zcard("asynq:schedulers") == 3 and 18 <= raw.ttl(first) <= 20
    _, hourly = [decode_entry(entry) for entry in raw.lrange(first, 0, -1)]
    assert (hourly.spec, hourly.task_type) == ("CRON_TZ=Africa/Lagos 0 * * * *", "report")
    assert hourly.enqueue_options == ('Queue("low")', "MaxRetry(3)")
    assert (hourly.next_enqueue_time_ns, hourly.prev_enqueue_time_ns) == (1_767_229_200 * 10**9, NEVER_NS)
    for _ in range(41):
        clock.advance(timedelta(seconds=90))
        await asyncio.gather(*(scheduler.dispatcher.tick() for scheduler in schedulers))
    ids = [decode_task(raw.hget("asynq:{low}:t:" + task_id, "msg")).id for task_id in pending(raw, "low")]
    assert Counter(task_id.partition("@")[0] for task_id in ids) == {"often": 41, "hourly": 1}
    assert "hourly@20260101T010000Z" in ids
    assert raw.smembers("asynq:queues") == {b"low"}
    history = f"asynq:scheduler_history:{hourly.id}"
    assert [decode_event(event).task_id for event in raw.zrange(history, 0, -1)] == ["hourly@20260101T010000Z"]
    assert 0 < raw.ttl(history) <= 30 * 86400


async def test_schedulers_that_come_and_go_at_random_fire_each_instant_once(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock
) -> None:
    """Twelve at a time, each with a clock some seconds off, replaced all the time, some of them slow."""
    tasks.cron("minutely", "* * * * *", Job("t"), missed="all")
    clock.advance(timedelta(seconds=10))

    def fresh(skew: int) -> Scheduler:
        return Scheduler(driver, tasks, clock=lambda: clock() + (skew % 7 - 3) * 1000)

    schedulers = [fresh(n) for n in range(12)]
    for step in range(120):
        schedulers[step % 12] = fresh(step)
        chosen = [one for n, one in enumerate(schedulers) if (step + n) % 3]
        await asyncio.gather(*(scheduler.dispatcher.tick() for scheduler in chosen))
        clock.advance(timedelta(seconds=23))
    await Scheduler(driver, tasks, clock=clock).dispatcher.tick()
    instants = [START_MS // 60_000 + n for n in range(1, 120 * 23 // 60 + 1)]
    wanted = [define("minutely", "* * * * *", Job("t")).at(minute * 60_000).id for minute in instants]
    assert pending(raw) == wanted


@pytest.mark.parametrize(
    ("missed", "most", "made_up"),
    [
        ("skip", 100, ""),
        ("once", 100, "0200"),
        ("all", 100, "0015 0030 0045 0100 0115 0130 0145 0200"),
        ("all", 2, "0145 0200"),
    ],
)
async def test_what_was_due_while_no_scheduler_ran(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock, missed: Missed, most: int, made_up: str
) -> None:
    tasks.cron("quarterly", "*/15 * * * *", Job("t"), missed=missed, max_missed=most)
    await Scheduler(driver, tasks, clock=clock).dispatcher.tick()
    clock.advance(2 * HOUR + 2 * MINUTE)
    after = [Scheduler(driver, tasks, clock=clock) for _ in range(4)]
    await asyncio.gather(*(scheduler.dispatcher.tick() for scheduler in after))
    assert pending(raw) == [f"quarterly@20260101T{time}00Z" for time in made_up.split()]
    clock.advance(13 * MINUTE)
    await asyncio.gather(*(scheduler.dispatcher.tick() for scheduler in after))
    assert pending(raw)[-1] == "quarterly@20260101T021500Z"
    assert len(pending(raw)) == len(made_up.split()) + 1


@pytest.mark.parametrize("missed", ["once", "all"])
@pytest.mark.parametrize("change", [{"spec": "0 * * * *"}, {"timezone": "Africa/Lagos"}, {"dst": "once"}])
async def test_instants_of_a_new_spec_count_from_the_deploy_that_brings_it(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock, missed: Missed, change: dict[str, Any]
) -> None:
    """Those before were never due: nobody missed them."""
    usual: dict[str, Any] = {"spec": "0 */12 * * *", "job": Job("t"), "missed": missed}

    async def run(**options: Any) -> list[str]:
        code = Tasks()
        code.cron("report", **(usual | options))
        await Scheduler(driver, code, clock=clock).dispatcher.tick()
        return pending(raw)

    await run()
    clock.advance(12 * HOUR)
    assert await run() == ["report@20260101T120000Z"]
    clock.advance(11 * HOUR + 30 * MINUTE)
    assert len(await run(**change)) == 1
    clock.advance(30 * MINUTE)
    fired = await run(**change)
    assert fired[1:] == ([] if "timezone" in change else ["report@20260102T000000Z"])
    clock.advance(12 * HOUR)
    assert len(await run(**change)) > len(fired)  # what is missed from then on is made up for
    assert raw.ttl("asynq:{default}:x:timing:" + entry_id("report")) > 400 * 86_400


async def test_a_restart_within_a_minute_loses_no_instant(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock
) -> None:
    tasks.cron("quarterly", "*/15 * * * *", Job("t"))
    tasks.cron("every two hours", "@every 2h", Job("t"))
    await Scheduler(driver, tasks, clock=clock).dispatcher.tick()
    clock.advance(timedelta(minutes=15, seconds=40))
    await Scheduler(driver, tasks, clock=clock).dispatcher.tick()
    assert pending(raw) == ["quarterly@20260101T001500Z"]
    for _ in range(70):
        clock.advance(timedelta(seconds=100))
        await Scheduler(driver, tasks, clock=clock).dispatcher.tick()
    assert "every two hours@20260101T020000Z" in pending(raw)


async def test_a_running_scheduler_fires_the_last_of_the_instants_it_was_late_for(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock
) -> None:
    tasks.cron("quarterly", "*/15 * * * *", Job("t"))
    dispatcher = Scheduler(driver, tasks, clock=clock).dispatcher
    await dispatcher.tick()
    clock.advance(2 * HOUR + 5 * MINUTE)
    await dispatcher.tick()
    await dispatcher.tick()
    assert pending(raw) == ["quarterly@20260101T020000Z"]


async def test_the_memory_of_an_instant_outlives_the_next_one_and_then_ends(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock
) -> None:
    tasks.cron("yearly", "@yearly", Job("t"), missed="once")
    tasks.cron("daily", "@daily", Job("t"))
    await Scheduler(driver, tasks, clock=clock).dispatcher.tick()
    days = {name: raw.ttl(MARK + entry_id(name)) / 86400 for name in ("yearly", "daily")}
    assert days == {"yearly": pytest.approx(425, abs=1), "daily": pytest.approx(61, abs=1)}
    clock.advance(timedelta(days=400, hours=1))
    await Scheduler(driver, tasks, clock=clock).dispatcher.tick()
    assert pending(raw) == ["yearly@20270101T000000Z"]


async def test_a_taken_id_or_lock_uses_the_instant_up(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    tasks.cron("locked", "* * * * *", Job("t", None, {"unique_for": timedelta(hours=1)}))
    dispatcher = Scheduler(driver, tasks, clock=clock).dispatcher
    await dispatcher.tick()
    for _ in range(3):
        clock.advance(MINUTE)
        await dispatcher.tick()
    assert pending(raw) == ["locked@20260101T000100Z"]
    assert caplog.text.count("its id or its lock is taken") == 2
    assert raw.zcard(f"asynq:scheduler_history:{entry_id('locked')}") == 1


async def test_a_broken_queue_stops_no_other_entry(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock
) -> None:
    tasks.cron("bad", "* * * * *", Job("t", None, {"queue": "bad"}))
    tasks.cron("good", "* * * * *", Job("t"))
    dispatcher = Scheduler(driver, tasks, clock=clock).dispatcher
    await dispatcher.tick()
    raw.set("asynq:{bad}:pending", "no list")
    clock.advance(MINUTE)
    with pytest.raises(Error):
        await dispatcher.tick()
    assert pending(raw) == ["good@20260101T000100Z"]
    raw.delete("asynq:{bad}:pending")


async def test_an_instant_whose_reply_is_lost_is_fired_once(
    faulty: Proxy, tasks: Tasks, raw: redis.Redis, clock: FixedClock
) -> None:
    tasks.cron("minutely", "* * * * *", Job("t"), missed="all")
    driver = Driver(faulty.url)
    dispatcher = Scheduler(driver, tasks, clock=clock).dispatcher
    await dispatcher.tick()
    for _ in range(10):
        clock.advance(MINUTE)
        faulty.lose_reply(containing=b"minutely@")
        while True:
            try:
                await dispatcher.tick()
                break
            except Error:
                continue
    await driver.close()
    assert pending(raw) == [f"minutely@20260101T00{minute:02}00Z" for minute in range(1, 11)]


async def test_entries_are_added_changed_and_removed_while_schedulers_run(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock
) -> None:
    schedules = Jobs(driver, clock=clock).schedules
    dispatchers = [Scheduler(driver, tasks, clock=clock).dispatcher for _ in range(3)]

    async def pass_time(by: timedelta = MINUTE) -> list[str]:
        clock.advance(by)
        before = len(pending(raw))
        for dispatcher in dispatchers:
            dispatcher._look_at = float("-inf")  # as after 1.5 s of real time
        await asyncio.gather(*(dispatcher.tick() for dispatcher in dispatchers))
        return pending(raw)[before:]

    await pass_time()
    await schedules.add("n", "* * * * *", Job("t", b"1"))
    await pass_time(timedelta(0))
    assert await pass_time() == ["n@20260101T000200Z"]
    await schedules.change("n", job=Job("t", b"2"))
    assert await pass_time() == ["n@20260101T000300Z"]
    assert decode_task(raw.hget(DEFAULT.task("n@20260101T000300Z"), "msg")).payload == b"2"
    await schedules.change("n", spec="*/5 * * * *")
    assert await pass_time() == []
    assert await pass_time() == ["n@20260101T000500Z"]
    await schedules.remove("n")
    assert await pass_time(10 * MINUTE) == []
    assert all(dispatcher.entries == {} for dispatcher in dispatchers)
    await schedules.add("n", "*/5 * * * *", Job("t", b"1"), missed="all")
    assert await pass_time(5 * MINUTE) == ["n@20260101T002000Z"]


async def test_an_entry_added_just_before_its_instant_is_fired_at_it(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock
) -> None:
    dispatcher = Scheduler(driver, tasks, clock=clock).dispatcher
    await dispatcher.tick()
    clock.advance(timedelta(seconds=58.5))
    await Jobs(driver, clock=clock).schedules.add("n", "* * * * *", Job("t"))
    clock.advance(timedelta(seconds=1))
    dispatcher._look_at = float("-inf")
    await dispatcher.tick()
    assert pending(raw) == ["n@20260101T000100Z"]


async def test_what_was_paused_before_an_instant_is_not_fired_and_not_made_up(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock
) -> None:
    schedules = Jobs(driver, clock=clock).schedules
    tasks.cron("in code", "* * * * *", Job("a"), missed="all")
    await schedules.add("stored", "* * * * *", Job("b"), missed="all")
    running = Scheduler(driver, tasks, clock=clock)
    await running.dispatcher.tick()
    assert await schedules.pause("in code") and await schedules.pause("stored")
    clock.advance(MINUTE)
    await running.dispatcher.tick()  # without waiting for the next look
    assert pending(raw) == []
    assert {entry.next_enqueue_time_ns for entry in listed(raw, running).values()} == {NEVER_NS}
    restarted = Scheduler(driver, tasks, clock=clock)
    clock.advance(5 * MINUTE)
    await restarted.dispatcher.tick()
    assert pending(raw) == []
    assert await schedules.resume("in code") and await schedules.resume("stored")
    clock.advance(2 * MINUTE)
    running.dispatcher._look_at = restarted.dispatcher._look_at = float("-inf")  # as after 1.5 s of real time
    await asyncio.gather(running.dispatcher.tick(), restarted.dispatcher.tick())
    ids = [f"{name}@20260101T000{minute}00Z" for minute in (7, 8) for name in ("in code", "stored")]
    assert sorted(pending(raw)) == sorted(ids)


async def test_an_unreadable_stored_entry_stops_no_other(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    await Jobs(driver, clock=clock).schedules.add("good", "* * * * *", Job("t"))
    raw.hset("asynq:x:{schedules}:entries", mapping={"a": b"\xff", "b": b"{}", "c": b'{"spec":"x","type":"t"}'})
    dispatcher = Scheduler(driver, tasks, clock=clock).dispatcher
    await dispatcher.tick()
    clock.advance(MINUTE)
    await dispatcher.tick()
    assert pending(raw) == ["good@20260101T000100Z"]
    assert caplog.text.count("is passed over") == 3


async def test_a_stored_entry_does_not_hide_one_in_code(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock
) -> None:
    schedules = Jobs(driver, clock=clock).schedules
    await schedules.add("n", "* * * * *", Job("stored"))
    tasks.cron("n", "* * * * *", Job("code"))
    dispatcher = Scheduler(driver, tasks, clock=clock).dispatcher
    await dispatcher.tick()
    assert dispatcher.entries["n"].periodic.job.type == "code"
    await schedules.remove("n")
    with pytest.raises(Conflict):
        await schedules.add("n", "@daily", Job("stored"))


async def test_running_schedulers_follow_changes_within_two_seconds(
    driver: Driver, tasks: Tasks, raw: redis.Redis
) -> None:
    schedules = Jobs(driver).schedules
    schedulers = [Scheduler(driver, tasks) for _ in range(3)]
    running = [asyncio.create_task(scheduler.run()) for scheduler in schedulers]
    await until(lambda: raw.zcard("asynq:schedulers") == 3)
    await schedules.add("n", "@every 1s", Job("t"))
    soon = 8  # where machines are not busy two; without a look of its own each would learn of it by its beat, after ten
    await until(lambda: all("n" in one.dispatcher.entries for one in schedulers), soon)
    await until(lambda: len(pending(raw)) >= 2)
    await schedules.remove("n")
    await until(lambda: not any(one.dispatcher.entries for one in schedulers), soon)
    for scheduler in schedulers:
        scheduler.stop()
    await asyncio.gather(*running)
    assert raw.keys("asynq:schedulers*") == []
    assert len(set(pending(raw))) == len(pending(raw))


async def test_an_idle_scheduler_sends_less_than_a_command_a_second(
    driver: Driver, tasks: Tasks, raw: redis.Redis
) -> None:
    tasks.cron("yearly", "@yearly", Job("t"))
    dispatcher = Scheduler(driver, tasks).dispatcher
    calls = 0
    send: Callable[..., Any] = driver.run_many

    async def count(ops: Any) -> Any:
        nonlocal calls
        calls += len(ops)
        return await send(ops)

    await dispatcher.tick()
    driver.run_many = count  # type: ignore[method-assign]
    wait = 0.0
    for _ in range(20):  # skip from look to look; 30 s
        wait += 1.5
        dispatcher._look_at -= 1.5
        dispatcher._beat_at -= 1.5
        await dispatcher.tick()
    assert calls / wait < 1


async def test_a_scheduler_without_a_server_says_so_and_goes_on_when_it_is_back(
    faulty: Proxy, tasks: Tasks, raw: redis.Redis
) -> None:
    tasks.cron("second", "@every 1s", Job("t"))
    driver = Driver(faulty.url)
    scheduler = Scheduler(driver, tasks)
    running = asyncio.create_task(scheduler.run())
    await until(lambda: pending(raw))
    faulty.refuse = True
    faulty.cut()
    await until(lambda: scheduler.trouble)
    faulty.refuse = False
    count = len(pending(raw))
    await until(lambda: not scheduler.trouble and len(pending(raw)) > count)
    scheduler.stop()
    await running
    await driver.close()


@pytest.mark.parametrize(
    "options",
    [{"process_in": MINUTE}, {"process_at": datetime(2030, 1, 1, tzinfo=UTC)}, {"group": "x"}],
)
def test_a_periodic_job_carries_no_delay_or_group(tasks: Tasks, options: Any) -> None:
    with pytest.raises(Misuse, match="bad"):
        tasks.cron("bad", "@daily", Job("t", None, options))


@pytest.mark.parametrize("change", [{"dst": "x"}, {"missed": "x"}, {"max_missed": 0}, {"max_missed": 1001}])
def test_policies_are_checked_at_definition(tasks: Tasks, change: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        tasks.cron("bad", "@daily", Job("t"), **change)
    with pytest.raises(Misuse, match="blank"):
        tasks.cron(" ", "@daily", Job("t"))


async def test_a_stored_entry_that_never_fires_is_named_in_the_log(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    schedules = Jobs(driver, clock=clock).schedules
    await schedules.add("daily", "@daily", Job("t"))
    raw.hset("asynq:x:{schedules}:entries", "never", b'{"spec":"0 0 30 2 *","type":"t"}')
    dispatcher = Scheduler(driver, tasks, clock=clock).dispatcher
    await dispatcher.tick()
    assert "the stored periodic entry 'never' is passed over" in caplog.text and "never fires" in caplog.text
    assert set(dispatcher.entries) == {"daily"}
    assert "'never'" in dispatcher.ill() and "never fires" in dispatcher.ill()
    never = await schedules.get("never")
    assert (never.spec, never.job.type, never.next_at) == ("0 0 30 2 *", "t", None)
    assert "never fires" in never.trouble
    (shown,) = [entry for entry in await Jobs(driver, clock=clock).inspector.scheduler_entries() if "30" in entry.spec]
    assert (shown.type, shown.next_at) == ("t", None)
    await schedules.remove("never")
    dispatcher._look_at = float("-inf")
    await dispatcher.tick()
    assert dispatcher.ill() == ""


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("ended", ["archived", "completed"])
async def test_an_entry_with_a_fixed_id_replaces_its_finished_task(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock, stored: bool, ended: str
) -> None:
    """It would never run again after its first failure; an unfinished one is left alone, and that is counted."""
    jobs = Jobs(driver, clock=clock)
    job = Job("t", None, {"task_id": "fixed", "retention": timedelta(days=1)})
    if stored:
        await jobs.schedules.add("report", "* * * * *", job)
    else:
        tasks.cron("report", "* * * * *", job)
    dispatcher = Scheduler(driver, tasks, clock=clock).dispatcher
    await dispatcher.tick()

    async def fire() -> None:
        clock.advance(MINUTE)
        dispatcher._look_at = float("-inf")
        await dispatcher.tick()

    await fire()
    assert pending(raw) == ["fixed"]
    await fire()
    refused = await driver.run(entries.refused())
    assert (refused["report"].count, refused["report"].why) == (1, "its id or its lock is taken")
    raw.lrem("asynq:{default}:pending", 0, "fixed")
    raw.hset("asynq:{default}:t:fixed", "state", ended)
    raw.zadd("asynq:{default}:" + ended, {"fixed": clock() // 1000})
    await fire()
    assert pending(raw) == ["fixed"] and raw.zcard("asynq:{default}:" + ended) == 0
    assert (await driver.run(entries.refused()))["report"].count == 1
    assert 0 < raw.ttl("asynq:x:{schedules}:refused") <= 7 * 86_400
    assert isinstance(await jobs.schedules.run("report"), IdTaken)


async def test_an_entry_may_say_that_its_finished_task_blocks_it(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock
) -> None:
    tasks.cron("once", "* * * * *", Job("t", None, {"task_id": "fixed", "if_finished": "refuse"}))
    raw.hset("asynq:{default}:t:fixed", mapping={"state": "archived", "msg": b""})
    raw.zadd("asynq:{default}:archived", {"fixed": clock() // 1000})
    dispatcher = Scheduler(driver, tasks, clock=clock).dispatcher
    await dispatcher.tick()
    clock.advance(MINUTE)
    await dispatcher.tick()
    assert pending(raw) == [] and (await driver.run(entries.refused()))["once"].count == 1
