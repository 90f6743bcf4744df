"""Periodic tasks that a callback names at run time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse
from hustlex.jobs import Job, Jobs, PeriodicConfig, Tasks
from hustlex.worker import Scheduler
from hustlex.worker.periodic.provider import Manager
from tests.worker.nasty import ENDS, throw
from tests.worker.support import DEFAULT, until

MINUTE = timedelta(minutes=1)


class Named:
    """A provider whose answer a test changes."""

    def __init__(self, *answer: Any) -> None:
        self.answer: Any = answer
        self.asked = 0

    def __call__(self) -> Iterable[PeriodicConfig]:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def soon(self) -> Iterable[PeriodicConfig]:
        return self()


def config(spec: str = "* * * * *", task_type: str = "t", **options: Any) -> PeriodicConfig:
    return PeriodicConfig(spec, Job(task_type, b"p", options))  # type: ignore[arg-type]


def manager(scheduler: Scheduler) -> Manager:
    assert scheduler.manager
    return scheduler.manager


def types(scheduler: Scheduler) -> list[str]:
    return sorted(entry.periodic.job.type for entry in scheduler.dispatcher.entries.values())


def test_identities_are_those_of_go() -> None:
    golden = "efc5a8ddcb79e183f6d92cbdbda679fba876d1755f902c507cb3c8ab0721c990"
    assert PeriodicConfig("@every 30s", Job("t", b"p", {"queue": "low", "max_retry": 3})).identity == golden
    assert PeriodicConfig("@every 30s", Job("t", b"p", {"max_retry": 3, "queue": "low"})).identity == golden
    others = [config(), config("0 * * * *"), config(task_type="u"), config(queue="low"), config(headers={"a": "b"})]
    assert len({other.identity for other in others}) == 5
    assert PeriodicConfig("* * * * *", Job("t")).identity == PeriodicConfig("* * * * *", Job("t", b"")).identity


@pytest.mark.parametrize("style", ["plain", "async", "lambda"])
async def test_what_the_provider_names_is_fired_once_by_three(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock, style: str
) -> None:
    named = Named(config(queue="low"), config("0 0 1 1 *", "yearly"))
    provider = {"plain": named, "async": named.soon, "lambda": lambda: named.soon()}[style]
    schedulers = [Scheduler(driver, tasks, provider=provider, clock=clock) for _ in range(3)]
    for _ in range(3):
        await asyncio.gather(*(manager(scheduler).tick() for scheduler in schedulers))
        await asyncio.gather(*(scheduler.dispatcher.tick() for scheduler in schedulers))
        clock.advance(MINUTE)
    await asyncio.gather(*(scheduler.dispatcher.tick() for scheduler in schedulers))
    identity = named.answer[0].identity.encode()
    assert raw.lrange("asynq:{low}:pending", 0, -1) == [identity + b"@20260101T000%d00Z" % n for n in (3, 2, 1)]


async def test_what_stays_keeps_its_time_and_what_goes_is_fired_no_more(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock
) -> None:
    named = Named(config(), config("* * * * *", "gone"))
    scheduler = Scheduler(driver, tasks, provider=named, clock=clock)
    await manager(scheduler).tick()
    await scheduler.dispatcher.tick()
    kept = scheduler.dispatcher.entries[config().identity]
    named.answer = [config(), config(), config("* * * * *", "new")]
    await manager(scheduler).tick()
    assert types(scheduler) == ["new", "t"]
    assert scheduler.dispatcher.entries[config().identity] is kept
    await scheduler.dispatcher.tick()
    clock.advance(MINUTE)
    await scheduler.dispatcher.tick()
    assert raw.llen(DEFAULT.pending) == 2
    named.answer = ()
    await manager(scheduler).tick()
    assert types(scheduler) == []


@pytest.mark.parametrize(
    "bad", [RuntimeError("database away"), None, [config(), None], [config(""), config()], ["* * * * *"]]
)
async def test_a_bad_round_changes_nothing_and_is_told(
    driver: Driver, tasks: Tasks, clock: FixedClock, bad: Any, caplog: pytest.LogCaptureFixture
) -> None:
    named = Named(config())
    scheduler = Scheduler(driver, tasks, provider=named, provider_interval=timedelta(milliseconds=5), clock=clock)
    await manager(scheduler).tick()
    named.answer = bad
    manager(scheduler).start()
    asked = named.asked
    await until(lambda: named.asked > asked + 3)
    assert types(scheduler) == ["t"]
    assert scheduler.trouble and caplog.text.count("periodic tasks:") == 1
    named.answer = [config(task_type="u")]
    await until(lambda: types(scheduler) == ["u"] and not scheduler.trouble)
    await manager(scheduler).stop()


async def test_a_bad_spec_or_job_is_passed_over_each_round(
    driver: Driver, tasks: Tasks, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    named = Named(config("every day", "bad"), config(task_type="good"), config(process_in=MINUTE))
    scheduler = Scheduler(driver, tasks, provider=named, clock=clock)
    for _ in range(2):
        await manager(scheduler).tick()
    assert types(scheduler) == ["good"]
    assert caplog.text.count("passed over") == 4


@pytest.mark.parametrize(
    "bad",
    [{"payload": {"a": 1}}, {"payload": b"x" * 70_000}, {"type": "a}b"}, {"options": None}, {"options": {"x": 1}}],
)
async def test_one_job_that_can_never_work_holds_up_no_other(
    driver: Driver, tasks: Tasks, clock: FixedClock, raw: redis.Redis, bad: dict[str, Any]
) -> None:
    named = Named(PeriodicConfig("* * * * *", Job(**{"type": "bad"} | bad)), config(task_type="good"))
    scheduler = Scheduler(driver, tasks, provider=named, clock=clock)
    await manager(scheduler).tick()
    await scheduler.dispatcher.tick()
    clock.advance(MINUTE)
    await scheduler.dispatcher.tick()
    assert (types(scheduler), raw.llen(DEFAULT.pending), scheduler.trouble) == (["good"], 1, "")


async def test_what_counts_as_text_is_fired_and_listed_as_text(
    driver: Driver, tasks: Tasks, clock: FixedClock, raw: redis.Redis
) -> None:
    job = Job(7, None, {"queue": 5})  # type: ignore[arg-type, typeddict-item]
    scheduler = Scheduler(driver, tasks, provider=Named(PeriodicConfig("* * * * *", job)), clock=clock)
    await manager(scheduler).tick()
    await scheduler.dispatcher.tick()
    clock.advance(MINUTE)
    await scheduler.dispatcher.tick()
    assert raw.llen("asynq:{5}:pending") == 1
    (entry,) = await Jobs(driver, clock=clock).schedules.all()
    assert (entry.job.type, entry.job.options["queue"]) == ("7", "5")


@pytest.mark.parametrize("bad", [RuntimeError("database away"), [None], [config("")]])
async def test_the_first_answer_must_be_good(driver: Driver, tasks: Tasks, bad: Any) -> None:
    named = Named()
    named.answer = bad
    with pytest.raises((RuntimeError, Misuse)):
        await Scheduler(driver, tasks, provider=named).run()


async def test_a_provider_that_hangs_keeps_nobody_from_stopping(driver: Driver, tasks: Tasks, raw: redis.Redis) -> None:
    tasks.cron("second", "@every 1s", Job("t"))
    hangs = asyncio.Event()
    first = True

    async def provider() -> list[PeriodicConfig]:
        nonlocal first
        if first:
            first = False
            return []
        await hangs.wait()
        return []

    scheduler = Scheduler(driver, tasks, provider=provider, provider_interval=timedelta(milliseconds=1))
    running = asyncio.create_task(scheduler.run())
    await until(lambda: raw.llen(DEFAULT.pending) >= 2)
    scheduler.stop()
    async with asyncio.timeout(60):
        await running


@pytest.mark.parametrize("style", ["plain", "async", "deaf"])
async def test_a_provider_that_hangs_from_the_start_holds_up_nothing(
    driver: Driver, tasks: Tasks, raw: redis.Redis, style: str
) -> None:
    """Entries in code are fired, and the scheduler stops when told to."""
    tasks.cron("second", "@every 1s", Job("t"))
    asked, free = threading.Event(), threading.Event()

    async def never() -> None:
        asked.set()
        while not free.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                if style == "async":
                    raise

    def provider() -> Any:
        asked.set()
        free.wait(60)

    scheduler = Scheduler(driver, tasks, provider=never if style != "plain" else provider)  # type: ignore[arg-type]
    running = asyncio.create_task(scheduler.run())
    await until(lambda: raw.llen(DEFAULT.pending) and asked.is_set())
    scheduler.stop()
    try:
        async with asyncio.timeout(60):
            await running
    finally:
        free.set()


@pytest.mark.parametrize("style", ["plain", "async"])
async def test_a_provider_that_hangs_is_told_and_asked_once(
    driver: Driver, tasks: Tasks, clock: FixedClock, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hustlex.worker.periodic.provider.PATIENCE_S", 0.01)
    named, free = Named(config()), threading.Event()

    def slow() -> Any:
        answer = named()
        free.wait(60)
        return answer

    async def slow_too() -> Any:
        answer = named()
        while not free.is_set():
            await asyncio.sleep(0.001)
        return answer

    provider = slow if style == "plain" else slow_too
    scheduler = Scheduler(driver, tasks, provider=provider, provider_interval=timedelta(milliseconds=1), clock=clock)
    manager(scheduler).start()
    try:
        await until(lambda: named.asked and "has not answered" in scheduler.trouble)
        assert named.asked == 1
    finally:
        free.set()
    await until(lambda: types(scheduler) == ["t"] and not scheduler.trouble)
    await manager(scheduler).stop()


@pytest.mark.parametrize("kind", sorted(ENDS))
@pytest.mark.parametrize("style", ["called", "awaited", "read"])
async def test_whatever_escapes_a_provider_is_a_failed_round(
    driver: Driver, tasks: Tasks, clock: FixedClock, style: str, kind: str
) -> None:
    def called() -> Any:
        throw(kind)

    async def awaited() -> Any:
        await asyncio.sleep(0)
        throw(kind)

    def read() -> Any:
        yield config()
        throw(kind)

    provider = {"called": called, "awaited": awaited, "read": lambda: read()}[style]
    scheduler = Scheduler(driver, tasks, provider=provider, provider_interval=timedelta(milliseconds=1), clock=clock)
    manager(scheduler).start()
    await until(lambda: scheduler.trouble)
    assert types(scheduler) == [] and not manager(scheduler).fault()
    await manager(scheduler).stop()


async def test_what_is_provided_can_be_listed_paused_and_run(
    driver: Driver, tasks: Tasks, raw: redis.Redis, clock: FixedClock
) -> None:
    scheduler = Scheduler(driver, tasks, provider=Named(config()), clock=clock)
    await manager(scheduler).tick()
    await scheduler.dispatcher.tick()
    schedules = Jobs(driver, clock=clock).schedules
    (entry,) = await schedules.all()
    assert (entry.name, entry.in_code) == (config().identity, True)
    await schedules.pause(entry.name)
    clock.advance(MINUTE)
    await scheduler.dispatcher.tick()
    assert raw.llen(DEFAULT.pending) == 0
    await schedules.run(entry.name)
    assert raw.llen(DEFAULT.pending) == 1


def test_an_interval_must_be_positive(driver: Driver, tasks: Tasks) -> None:
    with pytest.raises(Misuse):
        Scheduler(driver, tasks, provider=Named(), provider_interval=timedelta(0))
