"""Grouped tasks become one job: when, of which, and each in exactly one."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse
from hustlex.jobs import Aggregate, Enqueued, GroupedTask, Inspector, Job, Jobs, Tasks
from hustlex.jobs.group import ops as aggregation
from hustlex.jobs.wire import TaskMessage, decode_task
from hustlex.worker import Worker
from tests.support.proxy import Proxy
from tests.worker.support import DEFAULT, dump, until

SECOND = timedelta(seconds=1)
GRACE_S, DEADLINE_S = 60, 120


@pytest.fixture
def jobs(driver: Driver, clock: FixedClock) -> Jobs:
    return Jobs(driver, clock=clock)


def worker_of(driver: Driver, tasks: Tasks, clock: FixedClock, **options: Any) -> Worker:
    return Worker(driver, tasks, queues={"default": 1}, clock=clock, **options)


async def aggregate(*workers: Worker) -> None:
    """One look of the watcher, one pass of the aggregator, and all that follows from it."""
    await asyncio.gather(*(worker.parts.poller.tick() for worker in workers))
    await asyncio.gather(*(worker.parts.aggregator.tick() for worker in workers))
    await asyncio.gather(*(worker.parts.aggregator.idle() for worker in workers))


async def grouped(jobs: Jobs, count: int, group: str = "mail", **options: Any) -> list[str]:
    """Ids of new tasks in a group; their payload is their number."""
    made = [Job("one", b"%d" % n, {"group": group, **options}) for n in range(count)]
    return [outcome.id for outcome in await jobs.enqueue_many(made) if isinstance(outcome, Enqueued)]


def made_of(raw: redis.Redis) -> list[TaskMessage]:
    """The pending tasks, oldest first."""
    ids = reversed(raw.lrange(DEFAULT.pending, 0, -1))
    return [decode_task(raw.hget(DEFAULT.task(task_id.decode()), "msg")) for task_id in ids]


def left(raw: redis.Redis) -> set[str]:
    """The queue's keys, but for receipts of enqueue calls."""
    return {key for key in dump(raw) if not key.startswith("x:sent:")}


def numbers(message: TaskMessage) -> list[int]:
    return [int(number) for number in (message.payload or b"").split(b",")]


async def join(group: str, tasks: list[GroupedTask]) -> Job:
    return Job("many", b",".join(task.payload or b"" for task in tasks), {"headers": {"group": group}})


async def test_a_group_becomes_one_task_after_the_grace(
    driver: Driver, jobs: Jobs, raw: redis.Redis, clock: FixedClock
) -> None:
    seen: list[list[GroupedTask]] = []

    async def function(group: str, tasks: list[GroupedTask]) -> Job:
        seen.append(tasks)
        return await join(group, tasks)

    worker = worker_of(driver, Tasks(), clock, aggregator=function)
    ids = await grouped(jobs, 3, headers={"trace": "x"})
    clock.advance((GRACE_S - 1) * SECOND)
    await aggregate(worker)
    assert raw.zcard(DEFAULT.group("mail")) == 3 and not seen
    clock.advance(SECOND)
    await aggregate(worker)
    (message,) = made_of(raw)
    assert (message.type, message.queue, message.headers, message.timeout) == (
        "many",
        "default",
        {"group": "mail"},
        1800,
    )
    ((task, *_),) = seen
    assert sorted(task.id for task in seen[0]) == sorted(ids) and sorted(numbers(message)) == [0, 1, 2]
    assert (task.type, task.headers) == ("one", {"trace": "x"}) and "trace" not in repr(task)
    assert left(raw) == {"pending", f"t:{message.id}"}  # no set, no group, no counter, nothing of the old tasks
    assert await worker.parts.aggregator.tick() == float("inf")


async def test_size_and_age_make_batches_too(driver: Driver, jobs: Jobs, raw: redis.Redis, clock: FixedClock) -> None:
    tasks = Tasks()
    tasks.aggregate("sized", max_size=3)(join)
    tasks.aggregate("aged", max_delay=timedelta(seconds=90))(join)
    worker = worker_of(driver, tasks, clock)
    await grouped(jobs, 8, "sized")
    await aggregate(worker)
    assert [len(numbers(message)) for message in made_of(raw)] == [3, 3]
    assert raw.zcard(DEFAULT.group("sized")) == 2 and raw.smembers(DEFAULT.groups) == {b"sized"}
    for _ in range(5):
        await grouped(jobs, 1, "aged")
        clock.advance(20 * SECOND)
        await aggregate(worker)
    assert [message.headers["group"] for message in made_of(raw)] == ["sized", "sized", "sized", "aged"]
    assert len(numbers(made_of(raw)[-1])) == 5
    assert raw.smembers(DEFAULT.groups) == set()


@pytest.mark.parametrize(
    ("scores", "rules", "taken", "left_listed"),
    [  # seconds ago, oldest first; (max size, max delay, grace); how many are taken, None = no set; is the group listed
        ([], (0, 0, 60), None, True),
        ([59], (0, 0, 60), None, True),
        ([60], (0, 0, 60), 1, False),
        ([500, 59], (0, 0, 60), None, True),
        ([500, 60], (0, 0, 60), 2, False),
        ([5, 4, 3], (3, 0, 60), 3, False),
        ([5, 4, 3], (2, 0, 60), 2, True),
        ([5, 4, 3], (4, 0, 60), None, True),
        ([500, 60], (3, 0, 60), 2, False),
        ([100, 5], (0, 100, 60), 2, False),
        ([99, 5], (0, 100, 60), None, True),
        ([100, 5, 5], (3, 100, 60), 3, False),
        ([100, 5, 5], (2, 100, 60), 2, True),
        ([100, 5], (9, 100, 60), 2, False),
    ],
)
async def test_the_check_is_that_of_asynq(
    driver: Driver,
    raw: redis.Redis,
    clock: FixedClock,
    scores: list[int],
    rules: tuple[int, int, int],
    taken: int | None,
    left_listed: bool,
) -> None:
    now_s = clock() // 1000
    members = {f"t{n}".encode(): now_s - ago for n, ago in enumerate(scores)}
    if members:
        raw.zadd(DEFAULT.group("a:b"), members)
    raw.sadd(DEFAULT.groups, "a:b")
    given = Aggregate("", join, timedelta(seconds=rules[2]), timedelta(seconds=rules[1]), rules[0])
    for _ in range(2):  # the second is a repeat after a lost reply
        assert await driver.run(aggregation.check(DEFAULT, "a:b", "5e1f", given, clock())) is (taken is not None)
    state, first = dump(raw), dict(list(members.items())[: taken or 0])
    rest = {task_id: score for task_id, score in members.items() if task_id not in first}
    expected: dict[str, Any] = {"g:a:b": rest} if rest else {}
    if left_listed:
        expected["groups"] = {b"a:b"}
    if taken is not None:
        expected["g:a:b:5e1f"] = first
        expected["aggregation_sets"] = {b"asynq:{default}:g:a:b:5e1f": now_s + DEADLINE_S}
    assert state == expected


async def test_the_longest_pattern_that_fits_is_used_and_other_groups_are_left_alone(
    driver: Driver, jobs: Jobs, raw: redis.Redis, clock: FixedClock
) -> None:
    tasks, part = Tasks(), Tasks()

    @part.aggregate("mail:urgent", grace=SECOND)
    def urgent(group: str, tasks: list[GroupedTask]) -> Job:
        return Job("urgent")

    @part.aggregate("mail:")
    def mail(group: str, tasks: list[GroupedTask]) -> Job:
        return Job("mail")

    tasks.include(part)
    for group in ("mail:urgent:7", "mail:x", "other"):
        await grouped(jobs, 2, group)
    clock.advance(GRACE_S * SECOND)
    worker = worker_of(driver, tasks, clock)
    await aggregate(worker)
    assert sorted(message.type for message in made_of(raw)) == ["mail", "urgent"]
    assert raw.smembers(DEFAULT.groups) == {b"other"}
    assert await worker.parts.aggregator.tick() == 1.0
    await aggregate(worker_of(driver, tasks, clock, aggregator=Aggregate("", join)))
    assert made_of(raw)[-1].type == "many"
    with pytest.raises(Misuse):
        tasks.aggregate("mail:")(mail)


async def test_aggregators_that_race_put_each_task_into_one_batch(
    driver: Driver, jobs: Jobs, raw: redis.Redis, clock: FixedClock
) -> None:
    rules = Aggregate("", join, max_size=7)
    workers = [worker_of(driver, Tasks(), clock, aggregator=rules) for _ in range(6)]
    total = 0
    for _ in range(15):
        made = [Job("one", b"%d" % (total + n), {"group": f"g{n % 3}"}) for n in range(40)]
        total += 40
        await asyncio.gather(jobs.enqueue_many(made), *(aggregate(worker) for worker in workers))
    clock.advance(GRACE_S * SECOND)
    await aggregate(*workers)
    batches = [numbers(message) for message in made_of(raw)]
    assert Counter(number for batch in batches for number in batch) == Counter(range(total))
    assert max(map(len, batches)) == 7
    assert left(raw) == {"pending", *(f"t:{message.id}" for message in made_of(raw))}


async def test_a_failing_function_leaves_its_tasks_for_later(
    driver: Driver, jobs: Jobs, raw: redis.Redis, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    good = False

    def function(group: str, tasks: list[GroupedTask]) -> Job:
        if not good:
            raise RuntimeError("not today")
        return Job("many", b",".join(task.payload or b"" for task in tasks))

    worker = worker_of(driver, Tasks(), clock, aggregator=function)
    ids = await grouped(jobs, 3)
    scores = raw.zrange(DEFAULT.group("mail"), 0, -1, withscores=True)
    clock.advance(GRACE_S * SECOND)
    await aggregate(worker)
    assert "RuntimeError: not today" in caplog.text
    assert made_of(raw) == [] and raw.zcard(DEFAULT.aggregation_sets) == 1
    assert all(raw.exists(DEFAULT.task(task_id)) for task_id in ids)
    clock.advance((DEADLINE_S - 1) * SECOND)
    await worker.parts.poller.tick()
    await worker.parts.janitor.tick()
    assert raw.zcard(DEFAULT.aggregation_sets) == 1
    clock.advance(SECOND)
    await worker.parts.poller.tick()
    await worker.parts.janitor.tick()
    assert raw.zrange(DEFAULT.group("mail"), 0, -1, withscores=True) == scores
    assert raw.smembers(DEFAULT.groups) == {b"mail"}
    good = True
    await aggregate(worker)
    assert sorted(numbers(made_of(raw)[0])) == [0, 1, 2]


@pytest.mark.parametrize(
    "wrong", [lambda group, tasks: None, lambda group, tasks: "job", lambda group, tasks: Job(" ")]
)
async def test_what_is_no_job_is_a_failure(
    driver: Driver, jobs: Jobs, raw: redis.Redis, clock: FixedClock, wrong: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await grouped(jobs, 1)
    clock.advance(GRACE_S * SECOND)
    await aggregate(worker_of(driver, Tasks(), clock, aggregator=wrong))
    assert "could not be aggregated" in caplog.text
    assert made_of(raw) == [] and raw.zcard(DEFAULT.aggregation_sets) == 1


async def test_the_new_task_keeps_its_own_options_but_for_the_queue(
    driver: Driver, jobs: Jobs, raw: redis.Redis, clock: FixedClock
) -> None:
    made: list[Job] = [
        Job("later", b"1", {"process_in": timedelta(minutes=5), "queue": "elsewhere", "max_retry": 1}),
        Job("again", b"2", {"group": "more", "unique_for": timedelta(hours=1)}),
        Job("named", b"3", {"task_id": "mine", "retention": timedelta(hours=1)}),
    ]

    def function(group: str, tasks: list[GroupedTask]) -> Job:
        return made[int(group)]

    worker = worker_of(driver, Tasks(), clock, aggregator=Aggregate("", function, max_size=1))
    for number in range(3):
        await grouped(jobs, 1, str(number))
    worker.parts.aggregator.plan(worker.parts.queues[0])
    await worker.parts.aggregator.tick()
    await worker.parts.aggregator.idle()
    inspector = Inspector(driver, clock=clock)
    assert await inspector.queues() == ["default"]
    info = await inspector.queue("default")
    assert (info.pending, info.scheduled, info.aggregating, info.processed) == (1, 1, 1, 0)
    assert (await inspector.task("default", "mine")).retention == timedelta(hours=1)
    ((later, _),) = raw.zrange(DEFAULT.scheduled, 0, -1, withscores=True)
    assert (await inspector.task("default", later.decode())).max_retry == 1
    (again,) = raw.zrange(DEFAULT.group("more"), 0, -1)
    assert raw.get(DEFAULT.unique("again", b"2")) == again


@pytest.mark.parametrize("taken", ["id", "lock"])
async def test_a_taken_id_or_lock_leaves_the_tasks_for_later(
    driver: Driver, jobs: Jobs, raw: redis.Redis, clock: FixedClock, taken: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = Job("many", b"x", {"task_id": "mine"} if taken == "id" else {"unique_for": timedelta(hours=1)})
    await jobs.enqueue(job)
    ids = await grouped(jobs, 2)
    clock.advance(GRACE_S * SECOND)
    await aggregate(worker_of(driver, Tasks(), clock, aggregator=lambda group, tasks: job))
    assert f"{taken} of the new" in caplog.text
    assert raw.llen(DEFAULT.pending) == 1 and raw.zcard(DEFAULT.aggregation_sets) == 1
    assert all(raw.exists(DEFAULT.task(task_id)) for task_id in ids)


async def test_a_set_whose_time_was_over_is_not_aggregated_twice(
    driver: Driver, jobs: Jobs, raw: redis.Redis, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that slept through the deadline, while another took the set apart and aggregated its tasks."""
    asleep, wake = asyncio.Event(), asyncio.Event()

    async def slow(group: str, tasks: list[GroupedTask]) -> Job:
        asleep.set()
        await wake.wait()
        return await join(group, tasks)

    sleeper, other = (worker_of(driver, Tasks(), clock, aggregator=function) for function in (slow, join))
    await grouped(jobs, 3)
    clock.advance(GRACE_S * SECOND)
    await sleeper.parts.poller.tick()
    await sleeper.parts.aggregator.tick()
    await asleep.wait()
    clock.advance(DEADLINE_S * SECOND)
    await other.parts.poller.tick()
    await other.parts.janitor.tick()
    await aggregate(other)
    wake.set()
    await sleeper.parts.aggregator.idle()
    assert "its time was over" in caplog.text
    (message,) = made_of(raw)
    assert sorted(numbers(message)) == [0, 1, 2]
    assert left(raw) == {"pending", f"t:{message.id}"}


async def test_a_function_is_cut_off_before_the_deadline(
    driver: Driver, jobs: Jobs, raw: redis.Redis, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def stuck(group: str, tasks: list[GroupedTask]) -> Job:
        await asyncio.Event().wait()
        raise AssertionError

    worker = worker_of(driver, Tasks(), clock, aggregator=stuck)
    await grouped(jobs, 1)
    clock.advance(GRACE_S * SECOND)
    await worker.parts.poller.tick()
    rules = worker.parts.aggregator._rules[0]
    assert await driver.run(aggregation.check(DEFAULT, "mail", "5e1f", rules, clock()))
    clock.advance((DEADLINE_S - 1.1) * SECOND)
    with pytest.raises(TimeoutError):
        await worker.parts.aggregator._made(worker.parts.queues[0], "mail", "5e1f", rules)


async def test_a_lost_reply_makes_no_second_task(
    faulty: Proxy, jobs: Jobs, raw: redis.Redis, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    driver = Driver(faulty.url)
    worker = worker_of(driver, Tasks(), clock, aggregator=join)
    await aggregate(worker)
    await grouped(jobs, 3)
    clock.advance(GRACE_S * SECOND)
    faulty.lose_reply(containing=b"many")
    await aggregate(worker)
    (message,) = made_of(raw)
    assert sorted(numbers(message)) == [0, 1, 2]
    assert left(raw) == {"pending", f"t:{message.id}"}
    await driver.close()


async def test_messages_that_cannot_be_read_are_set_aside_and_ghosts_forgotten(
    driver: Driver, jobs: Jobs, raw: redis.Redis, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    (_, bad, ghost) = await grouped(jobs, 3)
    raw.hset(DEFAULT.task(bad), "msg", b"\xff")
    raw.delete(DEFAULT.task(ghost))
    clock.advance(GRACE_S * SECOND)
    worker = worker_of(driver, Tasks(), clock, aggregator=join)
    await aggregate(worker)
    (message,) = made_of(raw)
    assert numbers(message) == [0]
    assert raw.hgetall(DEFAULT.prefix + "x:parked") == {bad.encode(): b"\xff"}
    assert 0 < raw.ttl(DEFAULT.prefix + "x:parked") <= 30 * 86_400
    assert left(raw) == {"pending", f"t:{message.id}", "x:parked"}
    (alone,) = await grouped(jobs, 1)
    raw.delete(DEFAULT.task(alone))
    clock.advance(GRACE_S * SECOND)
    await aggregate(worker)
    assert left(raw) == {"pending", f"t:{message.id}", "x:parked"}


async def test_a_big_group_is_taken_whole(driver: Driver, jobs: Jobs, raw: redis.Redis, clock: FixedClock) -> None:
    await grouped(jobs, 10_000)
    clock.advance(GRACE_S * SECOND)
    await aggregate(worker_of(driver, Tasks(), clock, aggregator=join))
    assert sorted(numbers(made_of(raw)[0])) == list(range(10_000))
    assert len(left(raw)) == 2


async def test_plain_functions_run_in_threads_and_three_at_once(
    driver: Driver, jobs: Jobs, raw: redis.Redis, clock: FixedClock
) -> None:
    running, most, together = 0, 0, threading.Barrier(3)

    def function(group: str, tasks: list[GroupedTask]) -> Job:
        nonlocal running, most
        assert threading.current_thread() is not threading.main_thread()
        running += 1
        together.wait(60)
        most = max(most, running)
        running -= 1
        return Job("many")

    for number in range(6):
        await grouped(jobs, 1, f"g{number}")
    clock.advance(GRACE_S * SECOND)
    await aggregate(worker_of(driver, Tasks(), clock, aggregator=function))
    assert len(made_of(raw)) == 6 and most <= 3


async def test_a_worker_aggregates_and_runs_what_came_of_it(start: Any, tasks: Tasks, raw: redis.Redis) -> None:
    ran: list[list[int]] = []

    @tasks.task("total")
    async def total(values: list[int]) -> None:
        ran.append(values)

    @tasks.aggregate("sum", max_size=5, grace=SECOND)
    async def add(group: str, members: list[GroupedTask]) -> Job:
        return total.job([int(member.payload or b"0") for member in members])

    running = await start()
    await grouped(Jobs(running.worker._driver), 12, "sum")
    await until(lambda: sum(map(len, ran)) == 12)
    assert sorted(len(values) for values in ran) == [2, 5, 5]
    await until(lambda: raw.get(DEFAULT.processed) == b"3")


async def test_a_stopping_worker_puts_an_unfinished_batch_back(start: Any, raw: redis.Redis) -> None:
    begun = asyncio.Event()

    async def slow(group: str, tasks: list[GroupedTask]) -> Job:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    running = await start(aggregator=Aggregate("", slow, max_size=2))
    await grouped(Jobs(running.worker._driver), 2)
    await begun.wait()
    async with asyncio.timeout(30):
        await running.stop()
    ((_, deadline_s),) = raw.zrange(DEFAULT.aggregation_sets, 0, -1, withscores=True)
    assert deadline_s <= raw.time()[0] + 1  # the next janitor of anybody puts them back
    await start()
    await until(lambda: raw.zcard(DEFAULT.group("mail")) == 2)


async def test_a_worker_without_functions_leaves_groups_alone(
    driver: Driver, jobs: Jobs, raw: redis.Redis, clock: FixedClock
) -> None:
    worker = worker_of(driver, Tasks(), clock)
    await grouped(jobs, 2)
    clock.advance(GRACE_S * SECOND)
    await aggregate(worker)
    assert raw.zcard(DEFAULT.group("mail")) == 2
    assert await worker.parts.aggregator.tick() == float("inf")


@pytest.mark.parametrize(
    "rules",
    [
        {"grace": timedelta(0)},
        {"grace": timedelta(milliseconds=999)},
        {"max_delay": timedelta(milliseconds=1)},
        {"max_size": -1},
    ],
)
def test_rules_that_can_never_work_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        Tasks().aggregate("mail", **rules)(join)
