"""Each sentence of the pages for those who come from another queue is held by a check on the real server."""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
import typer

from hustlex import HustleX, Tasks, sync
from hustlex.cli.main import cli
from hustlex.core.time import FixedClock
from hustlex.errors import Misuse, NotReady, Unsuccessful
from hustlex.jobs import (
    RESULT,
    RESULTS,
    Duplicate,
    Enqueued,
    Failed,
    IdTaken,
    Job,
    NeverRuns,
    Retry,
    RevokeTask,
    SkipRetry,
    Snooze,
    State,
    Stopping,
    Succeeded,
    TaskInfo,
    TooLate,
    current_job,
    gather,
)
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease import maintain
from hustlex.jobs.lease import ops as lease
from hustlex.testing import Drained, drain, eager
from hustlex.worker import Scheduler, Worker
from tests.support.claims import ROOT, Check, Claims, stands, unheld
from tests.worker.support import DAY, DEFAULT, running, until

PAGES = ("README", "celery", "rq", "arq", "taskiq", "asynq")
SECOND, MINUTE, NOW = timedelta(seconds=1), timedelta(minutes=1), timedelta(0)
PATIENCE = timedelta(seconds=5)
claims = Claims()

_RQ = (
    "Different on purpose: arguments are JSON and typed, so a deploy can read what the old code enqueued; a worker "
    "that is killed loses nothing; one worker process runs tens of thousands of small jobs a second "
    "([figures](../benchmarks.md))."
)

_MOVE = (
    "1. Make handlers repeatable. Every queue worth its name runs a job at least once; ours says so and helps: "
    "`task_id`, `unique_for`, a ledger key in your database. 2. Start a hustlex worker beside the old one. It "
    "uses keys of its own (`asynq:*`), so both live on one Redis. 3. Switch producers one task type at a time. "
    "Old jobs drain from the old queue. 4. Stop the old worker when its queue is empty."
)

ELSEWHERE = {
    "One page each: what is called what, what behaves differently, how to move while both run.": (
        "tests/docs/test_pages.py::test_the_index_of_the_guides_or_of_the_inside_knows_every_page"
    ),
    "The programs of these pages find their server by `REDIS_URL`; `HUSTLEX_URL=$REDIS_URL hustlex worker after` is a "
    "worker for the ones that are called `after.py`.": "tests/docs/test_moving.py::test_after_ours_runs_it",
    "rate limits: one step for several, and a worst case that is proven": (
        "tests/docs/test_migrating_limits.py::test_what_the_page_says_is_true"
    ),
    "no broker and no result backend to choose": ("tests/docs/test_migrating.py::test_what_the_pages_say_is_true"),
    "one line on the route, and an outage is decided by each limit": (
        "tests/docs/test_moving.py::test_both_applications_answer_alike"
    ),
    "one computation in all processes, and tags instead of searches through keys": (
        "tests/docs/test_moving.py::test_both_applications_answer_alike"
    ),
    "functions carry their cache; what was invalidated is not stored again": (
        "tests/docs/test_moving.py::test_both_caches_of_functions_compute_twice"
    ),
    "pages by tag, limits that hold in every window": (
        "tests/docs/test_moving.py::test_both_applications_answer_alike"
    ),
    "a logout that works, and refresh tokens that tell of a thief": (
        "tests/docs/test_moving.py::test_both_kinds_of_tokens_end_at_logout"
    ),
    "two lines of the settings, and decorators": (
        "tests/docs/test_moving.py::test_both_backends_of_django_hold_the_contract"
    ),
    "nothing to move: both run on the same queues": (
        "tests/interop/test_fleet.py::test_a_mixed_fleet_runs_each_task_once"
    ),
    "There is nothing to migrate. Keys, fields, scores and messages are Asynq's (v0.26), checked against the real Go "
    "library in `tests/interop`. Go and Python producers, workers and inspectors share queues; move one task type at a "
    "time.": "tests/interop/test_fleet.py::test_a_mixed_fleet_runs_each_task_once",
    "An idle Python worker starts a job as soon as it is pushed, also by Go; Go workers poll once a second.": (
        "tests/worker/test_timing.py::test_an_idle_worker_sends_at_most_a_command_a_second"
    ),
    "nothing to set: a blocked connection wakes the worker": (
        "tests/worker/test_timing.py::test_an_idle_worker_sends_at_most_a_command_a_second"
    ),
    "A scheduled task starts within milliseconds of its time when a Python worker serves the queue.": (
        "tests/worker/test_timing.py::test_scheduled_tasks_run_when_they_are_due"
    ),
    "nothing to set: what a worker leased beyond its free slots goes back at once": (
        "tests/worker/test_idle_slots.py::test_what_was_leased_for_short_tasks_goes_back_when_long_ones_fill_the_slots"
    ),
    "`cpu=True`: in a process that is killed at its timeout": (
        "tests/worker/test_processes.py::test_a_process_is_killed_at_the_timeout"
    ),
    "`hustlex worker --health-port` tells each queue's lag.": (
        "tests/worker/test_health.py::test_the_endpoint_answers_for_the_worker"
    ),
    "`expires_in`, `at_front` after a wait, `cancel` of a running task: [what Go knows of them]"
    "(../guides/jobs.md#cancel-expire-put-off).": (
        "tests/interop/test_outcomes.py::test_a_running_task_is_cancelled_from_the_other_side"
    ),
    "nothing to set: a job is acknowledged when it is done, a killed worker's jobs run again in about 10 s": (
        "tests/worker/test_crash.py::test_tasks_of_a_killed_worker_run_again_within_seconds"
    ),
    "Tasks of a killed Python worker run again after about 10 seconds and keep their retries. Tasks of a killed Go "
    "worker are recovered by Asynq's own rules (lease of 30 s, then a retry).": (
        "tests/interop/test_fleet.py::test_a_task_of_a_killed_worker_is_recovered_by_the_other_in_its_own_time"
    ),
    "Names hold no braces and no control characters, and at most 255 characters; what Go named otherwise is read and "
    "run.": "tests/worker/test_reserved.py::test_a_queue_that_a_peer_named_as_we_would_not_is_served",
    "A producer that shares a queue with Go should keep to options that Go knows.": (
        "tests/interop/test_producer.py::test_both_clients_leave_the_same_keys"
    ),
}


class House:
    """A front, its tasks, and what they did."""

    def __init__(self, hx: HustleX, clock: FixedClock, raw: redis.Redis, url: str) -> None:
        self.hx, self.clock, self.raw, self.url = hx, clock, raw, url
        self.jobs = hx.jobs
        self.ran: list[Any] = []
        self.tasks = Tasks()

        @self.tasks.task("note")
        async def note(n: int) -> int:
            self.ran.append(n)
            return n

        @self.tasks.task("fails")
        async def fails(how: str = "") -> None:
            self.ran.append(how)
            by_name = {
                "retry": Retry("busy", in_=MINUTE),
                "snooze": Snooze(MINUTE),
                "skip": SkipRetry("no such user"),
                "revoke": RevokeTask(),
            }
            raise by_name.get(how, ValueError("no luck"))

        self.note, self.fails = note, fails

    async def drain(self, **options: Any) -> Drained:
        return await drain(self.hx, self.tasks, **options)

    async def put(self, job: Job[Any], **options: Any) -> Any:
        return (await self.jobs.enqueue(job, **options)).or_raise()

    async def look(self, task_id: str, queue: str = "default") -> TaskInfo:
        return await self.jobs.inspector.task(queue, task_id)

    async def wait_of(self, task_id: str) -> float:
        """Seconds until the next attempt."""
        due = (await self.look(task_id)).next_process_at
        assert due is not None
        return due.timestamp() - self.clock.now_ms / 1000

    @asynccontextmanager
    async def at_work(self, task_id: str) -> AsyncIterator[None]:
        """A running handler that does not end by itself, in a worker of the real clock."""

        @self.tasks.task("long")
        async def long() -> None:
            self.ran.append("began")
            await asyncio.Event().wait()

        async with running(self.hx.driver, self.tasks, shutdown_timeout=NOW):
            await self.jobs.enqueue(long.job(), task_id=task_id)
            await until(lambda: self.ran == ["began"])
            yield


@pytest.fixture
async def house(url: str, raw: redis.Redis, clock: FixedClock) -> AsyncIterator[House]:
    async with HustleX(url, clock=clock, timeout=PATIENCE) as hx:
        yield House(hx, clock, raw, url)


def test_every_sentence_is_held_and_nothing_else() -> None:
    assert unheld(PAGES, claims, ELSEWHERE) == (set(), set())
    assert [test for test in ELSEWHERE.values() if not stands(test)] == []


# -- the index


def _in_two_minutes_ms() -> int:
    return int((time.time() + 120) * 1000)


@claims.hold(_MOVE)
async def beside_another_queue(house: House) -> None:
    house.raw.rpush("rq:queue:default", "old")
    kept = {name: house.raw.dump(name) for name in house.raw.scan_iter()}
    outcomes = [await house.jobs.enqueue(house.note.job(1), task_id="charge-1") for _ in range(2)]
    outcomes += [await house.jobs.enqueue(house.note.job(2), unique_for=MINUTE) for _ in range(2)]
    assert isinstance(outcomes[1], IdTaken) and isinstance(outcomes[3], Duplicate)
    await house.jobs.start(house.note.job(3).then(house.note.job(RESULT)))
    await house.jobs.schedules.add("nightly", "@daily", house.note.job(4))
    assert (await house.hx.driver.run(lease.cycle(DEFAULT, DAY, "killed:1", 1, (), 0))).leased[0] == b"charge-1"
    assert await house.hx.driver.run(maintain.recover(DEFAULT, _in_two_minutes_ms())) == [b"charge-1"]
    await house.drain()
    assert 1 in house.ran
    ours = {name for name in house.raw.scan_iter() if name not in kept}
    assert ours and all(name.startswith(b"asynq:") for name in ours)
    assert {name: house.raw.dump(name) for name in kept} == kept


@claims.hold("tasks become typed functions; results are kept on request; no broker or backend URLs")
async def typed_functions_and_results(house: House) -> None:
    for retention in (NOW, MINUTE):
        handle = await house.put(house.note.job(7), retention=retention)
        await house.drain()
        assert await handle.result(timeout=NOW) == 7
        assert house.raw.exists(DEFAULT.task(handle.id)) == (retention == MINUTE)


@claims.hold("no fork per job; arguments are JSON, not pickles")
async def no_fork(house: House) -> None:
    @house.tasks.task("where")
    async def where() -> None:
        house.ran.append(os.getpid())

    handle = await house.put(where.job())
    assert (await house.look(handle.id)).payload == b"{}"
    await house.drain()
    assert house.ran == [os.getpid()]


@claims.hold("the closest in spirit; no `ctx`, no one-second polling, jobs survive a kill -9")
async def closest_in_spirit(house: House) -> None:
    handle = await house.put(house.note.job(7))
    await house.hx.driver.run(lease.cycle(DEFAULT, DAY, "killed:1", 1, (), 0))
    assert await house.hx.driver.run(maintain.recover(DEFAULT, _in_two_minutes_ms())) == [handle.id.encode()]
    async with running(house.hx.driver, house.tasks):
        assert await handle.result(timeout=PATIENCE) == 7


# -- tasks, arguments, names


@claims.hold(
    '`@tasks.task("email:welcome")` on a function, then `welcome.job(user_id=42)`',
    '`@tasks.task("user:f") async def f(user_id: int): ...`; what `ctx` held is `current_job()`',
    'a queue is a name: `@tasks.task("email:welcome", queue="critical")`',
    'Payloads are one JSON object of the function\'s parameters: `{"user_id":42}`. A Go struct with the same tags '
    "reads it.",
)
async def names_and_payloads(house: House) -> None:
    @house.tasks.task("email:welcome", queue="critical")
    async def welcome(user_id: int) -> None:
        house.ran.append((user_id, current_job().id, current_job().type, current_job().retried))

    for n, job in enumerate((welcome.job(user_id=42), welcome.job(42))):
        await house.put(job, task_id=f"t{n}")
        task = await house.look(f"t{n}", "critical")
        assert (task.type, task.payload) == ("email:welcome", b'{"user_id":42}')
    await house.drain()
    assert house.ran == [(42, "t0", "email:welcome", 0), (42, "t1", "email:welcome", 0)]


@claims.hold(
    "Arguments are JSON, checked against the function's types before it runs. No pickle.",
    _RQ,
)
async def what_does_not_fit_is_not_run(house: House) -> None:
    @house.tasks.task("grown")
    async def grown(n: int, currency: str = "NGN") -> None:
        house.ran.append((n, currency))

    with pytest.raises(Misuse):
        house.note.job("many")  # type: ignore[arg-type]
    await house.jobs.enqueue("note", {"n": "many"}, task_id="bad")
    await house.jobs.enqueue("grown", {"n": 1})  # as the code before enqueued it
    await house.drain()
    assert house.ran == [(1, "NGN")] and (await house.look("bad")).state is State.ARCHIVED


@claims.hold(
    "Handlers are `async def`, or plain functions that run in threads.",
    "one process, many jobs at once; plain functions run in threads",
)
async def many_at_once(house: House) -> None:
    together, threads = asyncio.Barrier(3), threading.Barrier(3)

    @house.tasks.task("async")
    async def meet() -> None:
        await together.wait()
        house.ran.append(threading.get_ident() == here)

    @house.tasks.task("plain")
    def plain() -> None:
        threads.wait(60)
        house.ran.append(threading.get_ident() != here)

    here = threading.get_ident()
    await house.jobs.enqueue_many([job for job in (meet.job(), plain.job()) for _ in range(3)])
    await house.drain(concurrency=6)
    assert house.ran == [True] * 6


@claims.hold("`Tasks(lifespan=...)`; its value is `current_job().state`")
async def shared_things(house: House) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[str]:
        house.ran.append("opened")
        yield "database"
        house.ran.append("closed")

    tasks = Tasks(lifespan=lifespan)

    @tasks.task("t")
    async def handler() -> None:
        house.ran.append(current_job().state)

    await house.put(handler.job())
    await drain(house.hx, tasks)
    assert house.ran == ["opened", "database", "closed"]


@claims.hold('`@tasks.task("refund:", prefix=True)`; without it a type is exact')
async def prefixes(house: House) -> None:
    @house.tasks.task("refund:", prefix=True)
    async def refund() -> None:
        house.ran.append(current_job().type)

    for name in ("refund:all", "note:all"):
        await house.jobs.enqueue(name, {})
    await house.drain()
    assert house.ran == ["refund:all"]


@claims.hold(
    "Names hold no braces and no control characters, and at most 255 characters; what Go named otherwise is read and "
    "run."
)
async def odd_names(house: House) -> None:
    for name in ("a{b", "a}b", "a\nb", "a" * 256):
        for door in ({"queue": name}, {"task_id": name}, {"group": name}):
            with pytest.raises(Misuse):
                await house.put(house.note.job(1), **door)
    await house.put(house.note.job(1), queue="q" * 255, task_id="t" * 255)
    house.raw.sadd("asynq:queues", "a{b")
    assert "a{b" in await house.jobs.inspector.queues()


# -- when


@claims.hold(
    "`await hx.jobs.enqueue(task.job(42), process_in=timedelta(minutes=1))`",
    "`await hx.jobs.enqueue(f.job(42), process_in=timedelta(minutes=1))`",
    "`await hx.jobs.enqueue(job, process_in=d)`",
    "`process_in=`, `process_at=`",
)
async def later(house: House) -> None:
    await house.put(house.note.job(1), process_in=MINUTE)
    await house.put(house.note.job(2), process_at=moment(house.clock, MINUTE))
    house.clock.advance(MINUTE - timedelta(milliseconds=1))
    assert (await house.drain()).attempts == ()
    house.clock.advance(timedelta(milliseconds=1))
    await house.drain()
    assert sorted(house.ran) == [1, 2]


def moment(clock: FixedClock, after: timedelta) -> datetime:
    return datetime.fromtimestamp(clock.now_ms / 1000, UTC) + after


@claims.hold(
    '`queue="critical"`, `expires_in=timedelta(minutes=1)`: dropped if no worker took it by then',
    "`expires_in=timedelta(minutes=1)`",
    "`at_front=True`, `expires_in=timedelta(minutes=1)`",
)
async def expiry(house: House) -> None:
    for task_id in ("in time", "late"):
        await house.put(house.note.job(1), queue="critical", task_id=task_id, expires_in=MINUTE)
        if task_id == "late":
            house.clock.advance(MINUTE)
        await house.drain()
    info = await house.jobs.inspector.queue("critical")
    assert house.ran == [1] and (info.pending, info.retry, info.archived, info.scheduled) == (0, 0, 0, 0)


@claims.hold("a queue per rank; inside one, `at_front=True`", "`at_front=True`, `expires_in=timedelta(minutes=1)`")
async def ranks(house: House) -> None:
    for n, options in enumerate(({}, {}, {"at_front": True}, {"queue": "critical"})):
        await house.put(house.note.job(n), **options)
    ranked = {"critical": 2, "default": 1}
    async with running(house.hx.driver, house.tasks, queues=ranked, strict=True, concurrency=1):
        await until(lambda: len(house.ran) == 4)
    assert house.ran == [3, 2, 0, 1]


@claims.hold(
    '`tasks.cron("name", "0 9 * * *", f.job())`, fires once however many schedulers run',
    "`tasks.cron(...)`; as many schedulers as you like, each instant fires once",
    "`tasks.cron(name, spec, job, timezone=...)`, run by `hustlex scheduler module`",
    "Periodic entries fire once per instant however many Python schedulers run.",
)
async def periodic(house: House) -> None:
    house.tasks.cron("name", "0 9 * * *", house.note.job(1), timezone="Africa/Lagos")
    schedulers = [Scheduler(house.hx.driver, house.tasks, clock=house.clock) for _ in range(3)]
    for days in (1, 2):
        for wait in (NOW, timedelta(hours=24)):
            house.clock.advance(wait)
            await asyncio.gather(*(each.dispatcher.tick() for each in schedulers))
        await house.drain()
        assert house.ran == [1] * days


# -- failing


@claims.hold('`@tasks.task("email:welcome", max_retry=5)`; the name is yours, not the module path')
async def tries(house: House) -> None:
    @house.tasks.task("email:welcome", max_retry=5)
    async def welcome() -> None:
        house.ran.append(1)
        raise ValueError

    await house.put(welcome.job(), task_id="t")
    await house.drain(retry_delay=NOW)
    task = await house.look("t")
    assert (task.type, len(house.ran), task.retried, task.state) == ("email:welcome", 6, 5, State.ARCHIVED)


@claims.hold("every exception retries; `raise SkipRetry` does not", "`raise SkipRetry`, `raise RevokeTask`")
async def ends_of_failures(house: House) -> None:
    for how in ("error", "skip", "revoke"):
        await house.put(house.fails.job(how), task_id=how)
    told = await house.drain()
    assert told.revoked == {"fails": 1} and house.ran == ["error", "skip", "revoke"]
    assert (await house.look("error")).state is State.RETRY and 15 <= await house.wait_of("error") <= 44
    assert (await house.look("skip")).state is State.ARCHIVED
    assert not house.raw.exists(DEFAULT.task("revoke"))


@claims.hold(
    "`raise Retry(in_=timedelta(minutes=1)) from error`; burns one of `max_retry`",
    "`raise Retry(in_=timedelta(seconds=5))`; `raise Snooze(timedelta(seconds=5))` burns no try",
)
async def put_off(house: House) -> None:
    for how in ("retry", "snooze"):
        await house.put(house.fails.job(how), task_id=how)
    await house.drain()
    assert [(await house.look(how)).retried for how in ("retry", "snooze")] == [1, 0]
    assert [await house.wait_of(how) for how in ("retry", "snooze")] == pytest.approx([60, 60], abs=1)


@claims.hold("`max_retry=3`, `retry_delay=[timedelta(seconds=10), timedelta(minutes=1)]` on the task")
async def waits(house: House) -> None:
    @house.tasks.task("t", max_retry=3, retry_delay=[timedelta(seconds=10), MINUTE])
    async def handler() -> None:
        raise ValueError

    await house.put(handler.job(), task_id="t")
    for seconds in (10, 60, 60):
        await house.drain()
        assert await house.wait_of("t") == pytest.approx(seconds, abs=1)
        house.clock.advance(timedelta(seconds=seconds + 1))
    await house.drain()
    assert (await house.look("t")).state is State.ARCHIVED


@claims.hold(
    'archived tasks: `inspector.tasks(queue, "archived")`, `inspector.run(queue, id)`',
    "Different on purpose: arguments are JSON, not pickles; a killed worker's jobs run again after about 10 seconds "
    "instead of `job_timeout`; retries are counted on the task, and what runs out of them is kept in the archive for a "
    "look.",
    "`hx.jobs.inspector`",
)
async def the_archive(house: House) -> None:
    await house.put(house.fails.job(), task_id="t", max_retry=0)
    await house.drain()
    inspector = house.jobs.inspector
    (task,) = await inspector.tasks("default", State("archived"))
    assert (task.id, task.last_error) == ("t", "ValueError: no luck")
    await inspector.run("default", "t")
    assert (await house.look("t")).state is State.PENDING


@claims.hold(
    "nothing to set: a job is acknowledged when it is done, a killed worker's jobs run again in about 10 s",
    "Different on purpose: arguments are JSON, not pickles; a killed worker's jobs run again after about 10 seconds "
    "instead of `job_timeout`; retries are counted on the task, and what runs out of them is kept in the archive for a "
    "look.",
    _RQ,
    "Tasks of a killed Python worker run again after about 10 seconds and keep their retries. Tasks of a killed Go "
    "worker are recovered by Asynq's own rules (lease of 30 s, then a retry).",
)
async def killed_workers(house: House) -> None:
    await house.put(house.note.job(1), task_id="t")
    await house.hx.driver.run(lease.cycle(DEFAULT, DAY, "dead:1", 1, (), house.clock.now_ms))
    for seconds, state in ((9, State.ACTIVE), (2, State.PENDING)):
        house.clock.advance(timedelta(seconds=seconds))
        await house.hx.driver.run(maintain.recover(DEFAULT, house.clock.now_ms))
        task = await house.look("t")
        assert (task.state, task.retried) == (state, 0)
    await house.drain()
    assert house.ran == [1]


@claims.hold("`timeout=timedelta(...)`", "`timeout=timedelta(minutes=3)`", "`timeout`, `retention`")
async def timeouts(house: House) -> None:
    async with house.at_work("t"):
        await house.jobs.enqueue("long", {}, task_id="short", timeout=SECOND, max_retry=0)
        await until(lambda: house.raw.hget(DEFAULT.task("short"), "state") == b"archived")
    assert house.ran == ["began", "began"]


# -- cancelling


@claims.hold(
    "`await hx.jobs.cancel(id)`: never runs, or is stopped and not tried again; the answer says which",
    "`await hx.jobs.cancel(id)`",
    "`await hx.jobs.cancel(id)`: also before it starts; the answer says what it found",
)
async def cancelling(house: House) -> None:
    await house.put(house.note.job(1), task_id="waits")
    await house.put(house.note.job(2), task_id="later", process_in=MINUTE)
    assert await house.jobs.cancel("waits") == NeverRuns("waits", "default", State.PENDING)
    assert await house.jobs.cancel("later") == NeverRuns("later", "default", State.SCHEDULED)
    await house.put(house.note.job(3), task_id="done", process_in=SECOND, retention=MINUTE)
    assert await house.jobs.cancel("nobody") == TooLate("nobody", "", None)
    house.clock.advance(MINUTE)
    await house.drain()
    assert house.ran == [3]
    assert await house.jobs.cancel("done") == TooLate("done", "default", State.COMPLETED)
    house.ran.clear()
    async with house.at_work("runs"):
        assert isinstance(await house.jobs.cancel("runs"), Stopping)
        await until(lambda: house.raw.hget(DEFAULT.task("runs"), "state") != b"active")
    assert ((await house.look("runs")).state, house.ran) == (State.ARCHIVED, ["began"])


@claims.hold("`hx.jobs.inspector.cancel(id)`; `hx.jobs.cancel(id)` also keeps it from being retried")
async def cancelling_as_asynq(house: House) -> None:
    async with house.at_work("runs"):
        assert await house.jobs.inspector.cancel("runs") == 1
        await until(lambda: house.raw.hget(DEFAULT.task("runs"), "state") != b"active")
    assert (await house.look("runs")).state is State.RETRY
    assert isinstance(await house.jobs.cancel("runs"), NeverRuns)


# -- outcomes and results


@claims.hold(
    "`unique_for=ttl`", '`task_id="x"`', 'the same (`IdTaken`), unless `if_finished="replace"`',
    "the values `Duplicate(of)` and `IdTaken(state=...)`",
)  # fmt: skip
async def twins(house: House) -> None:
    first = await house.put(house.note.job(1), unique_for=MINUTE)
    assert await house.jobs.enqueue(house.note.job(1), unique_for=MINUTE) == Duplicate(first.id, "default")
    await house.put(house.note.job(2), task_id="x", retention=MINUTE)
    assert await house.jobs.enqueue(house.note.job(3), task_id="x") == IdTaken("x", "default", State.PENDING)
    await house.drain()
    assert await house.jobs.enqueue(house.note.job(3), task_id="x") == IdTaken("x", "default", State.COMPLETED)
    await house.put(house.note.job(3), task_id="x", if_finished="replace")
    await house.put(house.note.job(1), unique_for=MINUTE)  # it ended: its lock is free


@claims.hold("`await hx.jobs.enqueue_many([job, ...])`, an outcome per job")
async def many(house: House) -> None:
    named = Job("note", b'{"n":1}', {"task_id": "x"})
    first, second, third = await house.jobs.enqueue_many([named, named, house.note.job(2)])
    assert isinstance(first, Enqueued) and isinstance(second, IdTaken) and isinstance(third, Enqueued)


@claims.hold("`await hx.jobs.enqueue(send_welcome.job(42))`; blocking: `hustlex.sync.HustleX`")
async def blocking(house: House) -> None:
    def enqueue() -> None:
        with sync.HustleX(house.url, timeout=PATIENCE) as hx:
            hx.jobs.enqueue(house.note.job(42)).or_raise()

    await asyncio.to_thread(enqueue)
    await house.put(house.note.job(43))
    await house.drain()
    assert house.ran == [42, 43]


_GET = (
    "`await handle.result(timeout=...)`; with a `retention` later too, by id: `await hx.jobs.result(id, timeout=...)`"
)


@claims.hold(
    _GET,
    _GET + "; without waiting `hx.jobs.inspector.task(queue, id)`",
    "`retention=timedelta(seconds=500)`, then `await handle.result(timeout=...)`, or by id `await hx.jobs.result(id, "
    "timeout=...)`",
    "`hx = HustleX(url)`; one URL, results are on the task itself",
    "`timeout`, `retention`",
)
async def results(house: House) -> None:
    handle = await house.put(house.note.job(7), retention=timedelta(seconds=500))
    with pytest.raises(NotReady):
        await handle.result(timeout=NOW)
    await house.drain()
    assert await handle.result(timeout=NOW) == 7
    assert await house.jobs.result(handle.id, timeout=NOW) == Succeeded(b"7")
    assert (await house.look(handle.id)).result == house.raw.hget(DEFAULT.task(handle.id), "result") == b"7"
    ends = house.raw.zscore("asynq:{default}:completed", handle.id)
    assert ends == pytest.approx(house.clock.now_ms / 1000 + 500, abs=1)
    bad = await house.put(house.fails.job("skip"))
    await house.drain()
    with pytest.raises(Unsuccessful) as failure:
        await bad.result(timeout=NOW)
    assert isinstance(failure.value.outcome, Failed)


@claims.hold(
    "What a task returns is kept for half a minute, or as long as you ask (`retention`). Most jobs' results are their "
    "effects.",
    "There is no remote control bus, no events stream to enable, no result backend to clean.",
)
async def results_end_by_themselves(house: House) -> None:
    handle = await house.put(house.note.job(7))
    await house.drain()
    assert await handle.result(timeout=NOW) == 7
    kept = {key.decode(): house.raw.ttl(key) for key in house.raw.scan_iter(f"*{handle.id}*")}
    assert 25 <= kept[f"asynq:{{default}}:x:end:{handle.id}"] <= 30 and min(kept.values()) > 0


@claims.hold("`return value`, or `await current_job().result.write(...)`")
async def written_results(house: House) -> None:
    @house.tasks.task("writes", retention=MINUTE)
    async def writes() -> int:
        await current_job().result.write(1)
        return 2

    handle = await house.put(writes.job())
    await house.drain()
    assert await handle.result(timeout=NOW) == 1  # what was written wins


@claims.hold(
    "`one.then(two)`, `gather(*parts, then=...)`, started by `hx.jobs.start`: [workflows](../guides/workflows.md)",
    "`one.then(two)`, started by `hx.jobs.start`: [workflows](../guides/workflows.md)",
)
async def workflows(house: House) -> None:
    @house.tasks.task("sum", retention=MINUTE)
    async def total(parts: list[int]) -> None:
        house.ran.append(sum(parts))

    await house.jobs.start(house.note.job(1).then(house.note.job(RESULT)))
    await house.jobs.start(gather(house.note.job(2), house.note.job(3), then=total.job(RESULTS)))
    await house.drain()
    assert sorted(house.ran) == [1, 1, 2, 3, 5]


@claims.hold("`hustlex.testing.eager`, or `drain`: [testing](../guides/testing.md)")
async def in_tests(house: House) -> None:
    async with eager(house.tasks, hx=house.hx) as jobs:
        await jobs.enqueue(house.note.job(1))
        assert house.ran == [1]
    await house.put(house.note.job(2))
    assert (await house.drain()).done == {"note": 1} and house.ran == [1, 2]


@claims.hold(_RQ)
async def throughput(_: House) -> None:
    """The figure is measured by ``make bench``; here only that the pages agree."""
    rows = (ROOT / "docs/benchmarks.md").read_text("utf-8")
    told = re.search(r"drain of jobs that do nothing, one worker, .*?\| ([\d,]+)/s", rows)
    assert told and int(told[1].replace(",", "")) >= 20_000


# -- options, workers, the command line


@claims.hold("`max_retry=5`, `queue`, `timeout`, `deadline`, `retention`, `group`, `task_id`", "`timeout`, `retention`")
async def options_as_asynq(house: House) -> None:
    until_then = moment(house.clock, MINUTE).replace(microsecond=0)
    given: dict[str, Any] = {"max_retry": 5, "timeout": 2 * SECOND, "deadline": until_then, "retention": MINUTE}
    await house.put(house.note.job(1), queue="low", task_id="t", group="g", **given)
    task = await house.look("t", "low")
    assert {name: getattr(task, name) for name in given} == given
    assert (task.group, task.state) == ("g", State.AGGREGATING)


@claims.hold(
    "`group` together with a later start is refused; Go accepts it and loses the group.",
    "Timeouts and retentions under one second are refused; Go truncates them.",
)
async def refusals(house: House) -> None:
    short = timedelta(milliseconds=999)
    for options in ({"group": "g", "process_in": MINUTE}, {"timeout": short}, {"retention": short}):
        with pytest.raises(Misuse):
            await house.put(house.note.job(1), **options)
    assert house.raw.dbsize() == 0


@claims.hold(
    "`Worker(driver, tasks, queues=...)`, or `hustlex worker module`",
    "`queue=...`; one worker serves several, by weight",
)
async def one_worker(house: House) -> None:
    for n, queue in enumerate(("low", "critical")):
        await house.put(house.note.job(n), queue=queue)
    async with Worker(house.hx.driver, house.tasks, queues={"critical": 6, "low": 1}):
        await until(lambda: sorted(house.ran) == [0, 1])
    assert not house.raw.exists(queue_keys("low").pending, queue_keys("critical").pending)


@claims.hold(
    "`hustlex worker proj --queue critical=6 --queue default=3 --concurrency 100`",
    "`hustlex worker module`, `hustlex scheduler module`",
    "`tasks.cron(name, spec, job, timezone=...)`, run by `hustlex scheduler module`",
    "`Worker(driver, tasks, queues=...)`, or `hustlex worker module`",
    "a module with `tasks`; `--concurrency`",
)
async def the_command_line(house: House) -> None:
    read: Any = typer.main.get_command(cli)
    workers = read.commands["worker"].commands["start"]
    given = workers.make_context(
        "start", ["proj", "--queue", "critical=6", "--queue", "default=3", "--concurrency", "100"]
    ).params
    assert (given["module"], given["concurrency"]) == (["proj"], 100)
    assert read.commands["scheduler"].make_context("scheduler", ["module"]).params["module"] == ["module"]


@pytest.mark.parametrize("check", claims.each, ids=lambda check: check.__name__)
async def test_what_the_pages_say_is_true(check: Check, house: House) -> None:
    await check(house)
