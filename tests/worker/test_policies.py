"""What a worker does with tasks that kill it, that it does not know, and that fail by rules of their own."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse
from hustlex.jobs import Jobs, State, Tasks
from hustlex.jobs.lease import finish, maintain
from hustlex.jobs.lease import ops as lease
from hustlex.jobs.wire import decode_task, encode_task
from hustlex.worker import Crashed, HandlerNotFound, Worker
from tests.support import forked
from tests.worker.poisoned import innocent, poison
from tests.worker.support import DAY, DEFAULT, NOW_MS, NOW_S, message, put, until

Start = Any
SECOND = timedelta(seconds=1)


def stored(raw: redis.Redis, task_id: str) -> Any:
    """The task's message as Redis has it."""
    return decode_task(raw.hget(DEFAULT.task(task_id), "msg"))


def state(raw: redis.Redis, task_id: str) -> str:
    return (raw.hget(DEFAULT.task(task_id), "state") or b"gone").decode()


def crashes(raw: redis.Redis, *task_ids: str) -> list[int]:
    return [int(raw.hget(DEFAULT.task(task_id), "crashes") or 0) for task_id in task_ids]


# -- crashes


async def die_with(driver: Driver, raw: redis.Redis, number: int, on_trial: Sequence[str] = ()) -> None:
    """A worker leases all that is pending, starts what is named as suspects are started, and dies."""
    holder, now_ms = f"dead{number}:1", NOW_MS + number * 100_000
    await driver.run(lease.cycle(DEFAULT, DAY, holder, 100, (), now_ms))
    for task_id in on_trial:
        assert await driver.run(lease.put_on_trial(DEFAULT, task_id.encode(), holder))
    await driver.run(maintain.recover(DEFAULT, now_ms + 11_000))


async def test_a_crash_counts_for_all_that_were_there_twice_then_for_the_one_on_trial(
    driver: Driver, raw: redis.Redis
) -> None:
    put(raw, message("a"), message("b"))
    await die_with(driver, raw, 1)
    assert crashes(raw, "a", "b") == [1, 1]
    put(raw, message("c"))
    await die_with(driver, raw, 2)
    await die_with(driver, raw, 3, ["a"])
    assert crashes(raw, "a", "b", "c") == [3, 2, 2]
    await die_with(driver, raw, 4)
    assert crashes(raw, "a", "b", "c") == [3, 2, 2]  # nobody was on trial; an old note does not count
    assert raw.lrange(DEFAULT.pending, 0, -1) and not raw.exists(DEFAULT.active, DEFAULT.lease, DEFAULT.failed)


async def test_only_the_holder_can_put_a_task_on_trial(driver: Driver, raw: redis.Redis) -> None:
    put(raw, message("a"))
    await driver.run(lease.cycle(DEFAULT, DAY, "me:1", 1, (), NOW_MS))
    assert not await driver.run(lease.put_on_trial(DEFAULT, b"a", "other:1"))
    assert not await driver.run(lease.put_on_trial(DEFAULT, b"gone", "other:1"))
    assert raw.hget(DEFAULT.task("a"), "trial") is None and not raw.exists(DEFAULT.task("gone"))


@pytest.mark.parametrize(("own", "workers", "limit"), [(None, 3, 3), (None, 1, 1), (5, 3, 5), (1, 0, 1)])
async def test_a_task_is_archived_after_its_last_crash(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, own: int | None, workers: int, limit: int
) -> None:
    ran: list[str] = []
    told: list[Exception] = []

    @tasks.task("kills", max_crashes=own)
    async def kills(name: str) -> None:
        ran.append(name)

    await jobs.enqueue(kills.job("often"), task_id="often", unique_until="done")
    await jobs.enqueue(kills.job("seldom"), task_id="seldom")
    raw.hset(DEFAULT.task("often"), "crashes", limit)
    if limit > 1:
        raw.hset(DEFAULT.task("seldom"), "crashes", limit - 1)
    await start(max_crashes=workers, error_handler=lambda _, error: told.append(error))
    await until(lambda: state(raw, "often") == "archived" and state(raw, "seldom") == "gone")
    assert ran == ["seldom"] and [type(error) for error in told] == [Crashed]
    assert stored(raw, "often").error_msg == f"worker died {limit} times while running it"
    assert stored(raw, "often").retried == 0 and not raw.exists(stored(raw, "often").unique_key)
    assert (await jobs.inspector.task("default", "often")).crashes == limit
    assert (raw.get(DEFAULT.processed), raw.get(DEFAULT.failed)) == (b"2", b"1")


@pytest.mark.parametrize("own", [0, None])
async def test_without_a_limit_a_task_is_run_for_ever(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, own: int | None
) -> None:
    @tasks.task("kills", max_crashes=own)
    async def kills() -> None: ...

    await jobs.enqueue(kills.job(), task_id="a")
    raw.hset(DEFAULT.task("a"), "crashes", 1_000)
    await start(max_crashes=3 if own == 0 else 0)
    await until(lambda: state(raw, "a") == "gone")


async def test_running_it_by_hand_forgives(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    @tasks.task("kills")
    async def kills() -> None: ...

    for name in ("one", "all"):
        await jobs.enqueue(kills.job(), task_id=name)
        raw.hset(DEFAULT.task(name), mapping={"crashes": 3, "parked_at": 1, "trial": "x:1"})
        await jobs.inspector.archive("default", name)
        if name == "one":
            await jobs.inspector.run("default", name)
        else:
            await jobs.inspector.run_all("default", State.ARCHIVED)
        assert raw.hgetall(DEFAULT.task(name)).keys() == {b"msg", b"state", b"pending_since"}
    await start()
    await until(lambda: raw.get(DEFAULT.processed) == b"2")
    assert not raw.exists(DEFAULT.archived)


async def test_suspects_run_one_at_a_time_beside_the_others(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    running: list[str] = []
    most: dict[str, int] = {"suspect": 0, "other": 0}

    @tasks.task("count")
    async def count(kind: str) -> None:
        running.append(kind)
        most[kind] = max(most[kind], running.count(kind))
        await asyncio.sleep(0.03)
        running.remove(kind)

    for n in range(8):
        await jobs.enqueue(count.job("suspect"), task_id=f"s{n}")
        raw.hset(DEFAULT.task(f"s{n}"), "crashes", 2)
        await jobs.enqueue(count.job("other"))
    await start(concurrency=20)
    await until(lambda: raw.get(DEFAULT.processed) == b"16")
    assert most == {"suspect": 1, "other": 8}
    assert not raw.exists(DEFAULT.active, DEFAULT.lease)


async def test_a_suspect_that_waits_is_given_back_at_the_end(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    ran: list[int] = []
    leave = asyncio.Event()

    @tasks.task("long")
    async def long(n: int) -> None:
        ran.append(n)
        await leave.wait()

    for n in range(3):
        await jobs.enqueue(long.job(n), task_id=f"s{n}")
        raw.hset(DEFAULT.task(f"s{n}"), "crashes", 2)
    worker = await start()
    await until(lambda: ran and raw.llen(DEFAULT.active) == 3)
    worker.worker.stop()
    await until(lambda: raw.llen(DEFAULT.pending) == 2)
    leave.set()
    await worker.task
    assert ran == [0] and raw.lrange(DEFAULT.pending, 0, -1) == [b"s2", b"s1"]
    assert crashes(raw, "s1", "s2") == [2, 2] and not raw.exists(DEFAULT.active, DEFAULT.lease)


async def test_a_suspect_can_be_cancelled_before_its_turn(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    @tasks.task("long")
    async def long() -> None:
        await asyncio.sleep(0.2)

    for n in range(2):
        await jobs.enqueue(long.job(), task_id=f"s{n}")
        raw.hset(DEFAULT.task(f"s{n}"), "crashes", 2)
    await start()
    await until(lambda: raw.llen(DEFAULT.active) == 2)
    while state(raw, "s1") == "active":
        await jobs.inspector.cancel("s1")
        await asyncio.sleep(0.01)
    assert stored(raw, "s1").error_msg == "context canceled"


async def live(url: str, done: Callable[[], bool]) -> None:
    """A worker process, from its start until it is killed by a task, or done."""
    process = forked.Popen([sys.executable, "-m", "tests.worker.poisoned", url])
    while process.poll() is None and not done():
        await asyncio.sleep(0.01)
    process.terminate()
    await asyncio.to_thread(process.wait)


@pytest.mark.timeout(450)
async def test_poison_is_found_and_those_beside_it_live(driver: Driver, raw: redis.Redis, url: str) -> None:
    """Real processes: each one the poison kills held all 16 tasks, and only the poison is archived."""
    many = [innocent.job(n).with_options(task_id=f"i{n}") for n in range(15)]
    await Jobs(driver).enqueue_many([*many[:7], poison.job().with_options(task_id="poison"), *many[7:]])
    deaths = 0
    while state(raw, "poison") != "archived" or raw.llen("test:ended") < 15:
        await live(url, lambda: state(raw, "poison") == "archived" and raw.llen("test:ended") == 15)
        deaths += 1
        await driver.run(maintain.recover(DEFAULT, int(time.time() * 1000) + 12_000))
        assert deaths < 6
    assert deaths == 4  # three crashes, and the one that ended at last
    assert stored(raw, "poison").error_msg == "worker died 3 times while running it"
    assert sorted(int(n) for n in raw.lrange("test:ended", 0, -1)) == list(range(15))
    assert raw.zrange(DEFAULT.archived, 0, -1) == [b"poison"]


async def test_a_lost_reply_does_not_hide_a_past(driver: Driver, raw: redis.Redis) -> None:
    put(raw, message("a"), message("b"))
    raw.hset(DEFAULT.task("a"), mapping={"crashes": 2, "parked_at": 7})
    cycle = await driver.run(lease.cycle(DEFAULT, DAY, "me:1", 2, (), NOW_MS))
    held = {task.id: task.past for task in await driver.run(lease.adopt(DEFAULT, "me", NOW_MS))}
    assert cycle.pasts == {b"a": lease.Past(2, 7)} and held == cycle.pasts | {b"b": lease.NO_PAST}


# -- types that nobody knows


async def test_an_unknown_type_is_put_off_untouched_and_taken_by_who_knows_it(
    driver: Driver, start: Start, tasks: Tasks, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Exception] = []
    task = message("u1", type="nobody:knows", retried=3)
    put(raw, task, message("u2", type="nobody:knows"))
    began_s = int(raw.time()[0])
    first = await start(error_handler=lambda _, error: told.append(error))
    await until(lambda: raw.zcard(DEFAULT.scheduled) == 2)
    fields = raw.hgetall(DEFAULT.task("u1"))
    assert (fields[b"msg"], fields[b"state"]) == (encode_task(task), b"scheduled")
    assert began_s <= int(fields[b"parked_at"]) <= began_s + 5
    assert began_s + 1 <= raw.zscore(DEFAULT.scheduled, "u1") <= began_s + 10
    parked = await Jobs(driver).inspector.task("default", "u1")
    assert parked.parked_since is not None and int(parked.parked_since.timestamp()) == int(fields[b"parked_at"])
    await first.stop()
    assert not raw.exists(DEFAULT.processed, DEFAULT.failed, DEFAULT.retry) and told == []
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        'handler not found for task "nobody:knows"; tasks of this type are put off for other workers'
    ]

    @tasks.task("nobody:knows")
    async def now_known() -> None: ...

    await start()
    await until(lambda: raw.get(DEFAULT.processed) == b"2")


@pytest.mark.parametrize(("parked_s", "least", "most"), [(0, 1, 2), (7, 7, 14), (200, 200, 400), (80_000, 300, 600)])
async def test_it_is_looked_at_again_at_growing_distances(
    start: Start, raw: redis.Redis, parked_s: int, least: int, most: int
) -> None:
    put(raw, *(message(f"u{n}", type="nobody:knows") for n in range(30)))
    now_s = int(raw.time()[0])
    for n in range(30) if parked_s else ():
        raw.hset(DEFAULT.task(f"u{n}"), "parked_at", now_s - parked_s)
    run = await start()
    await until(lambda: raw.zcard(DEFAULT.scheduled) == 30)
    await run.stop()
    waits = [score - now_s for _, score in raw.zrange(DEFAULT.scheduled, 0, -1, withscores=True)]
    assert all(least <= wait <= most + 5 for wait in waits)
    assert len(set(waits)) > 1 or most == least + 1  # not all at once again; starts are whole seconds
    if parked_s:
        assert {raw.hget(DEFAULT.task(f"u{n}"), "parked_at") for n in range(30)} == {b"%d" % (now_s - parked_s)}


@pytest.mark.parametrize("limit", [timedelta(days=1), timedelta(0)])
async def test_in_the_end_it_is_archived_with_asynqs_text(start: Start, raw: redis.Redis, limit: timedelta) -> None:
    told: list[Exception] = []
    put(raw, message("u1", type="nobody:knows"))
    if limit:
        raw.hset(DEFAULT.task("u1"), "parked_at", int(raw.time()[0]) - 86_401)
    await start(park_unknown=limit, error_handler=lambda _, error: told.append(error))
    await until(lambda: state(raw, "u1") == "archived")
    assert stored(raw, "u1").error_msg == 'handler not found for task "nobody:knows"'
    assert stored(raw, "u1").retried == 0 and raw.get(DEFAULT.failed) == b"1"
    assert [type(error) for error in told] == [HandlerNotFound]


async def test_a_failure_in_between_ends_the_count_of_days(
    driver: Driver, jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    @tasks.task("fails")
    async def fails() -> None:
        raise ValueError

    await jobs.enqueue(fails.job(), task_id="f")
    raw.hset(DEFAULT.task("f"), "parked_at", 1)
    await start()
    await until(lambda: state(raw, "f") == "retry")
    assert raw.hget(DEFAULT.task("f"), "parked_at") is None


# -- failing by rules of their own


async def test_a_tasks_own_delay_wins(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    rules: dict[str, Any] = {
        "fixed": timedelta(minutes=3),
        "listed": [timedelta(minutes=n) for n in (1, 5, 30)],
        "computed": lambda n, error: timedelta(seconds=n * 100 + len(str(error))),
        "negative": lambda n, error: timedelta(days=-1),
        "broken": lambda n, error: 1 / 0,
    }
    for name, rule in rules.items():

        @tasks.task(name, retry_delay=rule)
        async def fails() -> None:
            raise ValueError("four")

    @tasks.task("as the worker")
    async def as_the_worker() -> None:
        raise ValueError

    expected = {"fixed": 180, "listed": 300, "computed": 104, "negative": 0, "broken": 60, "as the worker": 7}
    put(raw, *(message(name, type=name, retried=1) for name in expected))
    put(raw, message("late", type="listed", retried=9))
    run = await start(retry_delay=[timedelta(days=1), timedelta(seconds=6.5)])
    await until(lambda: raw.get(DEFAULT.failed) and int(raw.get(DEFAULT.failed)) >= 7)
    await run.stop()
    for name, wait in (expected | {"late": 1800}).items():
        if name != "negative":  # was due at once: it may have run again
            late = raw.zscore(DEFAULT.retry, name) - stored(raw, name).last_failed_at - wait
            assert 0 <= late <= 5, name  # on a busy machine the script comes some time after the verdict


async def test_a_task_says_itself_what_is_a_failure(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    @tasks.task("own", is_failure=lambda error: not isinstance(error, ConnectionError))
    async def own() -> None:
        raise ConnectionError

    @tasks.task("as the worker")
    async def as_the_worker() -> None:
        raise ConnectionError

    put(raw, message("own", type="own"), message("other", type="as the worker"))
    await start(is_failure=lambda _: True)
    await until(lambda: raw.zcard(DEFAULT.retry) == 2)
    assert (stored(raw, "own").retried, stored(raw, "other").retried) == (0, 1)
    assert raw.get(DEFAULT.failed) == b"1"


@pytest.mark.parametrize("rules", [{"retry_delay": []}, {"max_crashes": -1}])
async def test_rules_that_cannot_work_are_refused(driver: Driver, tasks: Tasks, rules: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        tasks.task("t", **rules)
    with pytest.raises(Misuse):
        Worker(driver, tasks, **rules)


# -- the archive


def fill_archive(raw: redis.Redis, count: int, age_s: int = 0) -> None:
    raw.zadd(DEFAULT.archived, {f"{age_s}-{n:05}": NOW_S - age_s - n for n in range(count)})
    pipe = raw.pipeline()
    for n in range(count):
        pipe.hset(DEFAULT.task(f"{age_s}-{n:05}"), "state", "archived")
    pipe.execute()


async def give_up(driver: Driver, raw: redis.Redis, task_id: str, **limits: int) -> None:
    put(raw, message(task_id))
    await driver.run(lease.cycle(DEFAULT, DAY, "me:1", 1, (), NOW_MS))
    row = (task_id, "me:1", encode_task(message(task_id)))
    assert await driver.run(finish.archive(DEFAULT, DAY, row, NOW_MS, **limits)) == b"1"


async def test_the_archive_has_the_size_it_is_given(driver: Driver, raw: redis.Redis) -> None:
    fill_archive(raw, 50)
    await give_up(driver, raw, "new", most=10)
    assert raw.zcard(DEFAULT.archived) == 10 and raw.zscore(DEFAULT.archived, "new") == NOW_S
    assert len(raw.keys(DEFAULT.task("*"))) == 10
    await give_up(driver, raw, "gone", most=0)
    assert raw.keys(DEFAULT.task("*")) == [] and not raw.exists(DEFAULT.archived)


async def test_the_archive_has_the_age_it_is_given(driver: Driver, raw: redis.Redis) -> None:
    fill_archive(raw, 5)
    fill_archive(raw, 5, age_s=100)
    await give_up(driver, raw, "new", age_s=50)
    assert raw.zcard(DEFAULT.archived) == 6 == len(raw.keys(DEFAULT.task("*")))


async def test_a_long_archive_shrinks_in_steps(driver: Driver, raw: redis.Redis) -> None:
    fill_archive(raw, 2_500)
    sizes = []
    for n in range(4):
        await give_up(driver, raw, f"new{n}", most=10)
        sizes.append(raw.zcard(DEFAULT.archived))
    assert sizes == [1_501, 502, 10, 10] and len(raw.keys(DEFAULT.task("*"))) == 10


async def test_a_worker_trims_as_it_is_set(start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    @tasks.task("fails")
    async def fails() -> None:
        raise ValueError

    put(raw, *(message(f"f{n}", type="fails", retry=0) for n in range(20)))
    await start(archive_max_size=3, concurrency=1)
    await until(lambda: raw.get(DEFAULT.failed) == b"20")
    assert raw.zcard(DEFAULT.archived) == 3 == len(raw.keys(DEFAULT.task("*")))
