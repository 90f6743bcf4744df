"""A failed attempt leaves a line in the log, with its traceback; and what a module declares, every worker does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse
from hustlex.jobs import Jobs, RevokeTask, SkipRetry, Tasks
from hustlex.worker import Worker
from tests.worker import heavy
from tests.worker.nasty import UNSPEAKABLE, throw
from tests.worker.support import DEFAULT, Running, message, put, until

Start = Callable[..., Awaitable[Running]]
SECRET = "0803-SECRET"


def throw_here(text: str) -> None:
    raise ValueError(text)


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if hasattr(record, "job_outcome")]


async def test_each_failed_attempt_is_logged_with_its_traceback(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hustlex.worker")

    @tasks.task("fails")
    async def fails(how: str, phone: str) -> None:
        match how:
            case "skip":
                raise SkipRetry("no such user")
            case "revoke":
                raise RevokeTask("too late")
            case _:
                raise KeyError(how)

    made = {"retry": 25, "uncounted": 25, "last": 0, "skip": 25, "revoke": 25}
    for how, most in made.items():
        await jobs.enqueue(fails.job(how, phone=SECRET), task_id=how, max_retry=most)
    await start(retry_delay=timedelta(minutes=2), is_failure=lambda error: "uncounted" not in str(error))
    await until(lambda: len(lines(caplog)) == len(made))
    found = {record.job_id: record for record in lines(caplog)}
    assert {name: (record.levelname, record.job_outcome) for name, record in found.items()} == {
        "retry": ("WARNING", "retry"),
        "uncounted": ("INFO", "uncounted"),
        "last": ("ERROR", "archived"),
        "skip": ("ERROR", "archived"),
        "revoke": ("INFO", "revoked"),
    }
    one = found["retry"]
    said = one.getMessage()
    assert said.startswith(
        "task fails failed, next try in 120.0 s: KeyError: 'retry' (id retry, queue default, attempt"
    )
    assert "attempt 1 of 26, after 0." in said
    assert (one.job_type, one.job_queue, one.job_attempt, one.job_next_try_s) == ("fails", "default", 1, 120.0)
    assert 0 <= one.job_duration_s < 10
    assert one.exc_info is not None and one.exc_info[1] is not None
    assert "in fails" in caplog.text and "raise KeyError(how)" in caplog.text
    assert SECRET not in caplog.text and SECRET not in "".join(str(record.__dict__) for record in lines(caplog))


async def test_what_cannot_be_described_is_logged_all_the_same(
    jobs: Jobs, start: Start, tasks: Tasks, caplog: pytest.LogCaptureFixture
) -> None:
    @tasks.task("bad")
    async def bad(kind: str) -> None:
        throw(kind)

    await jobs.enqueue_many([bad.job(kind) for kind in UNSPEAKABLE])
    await start()
    await until(lambda: len(lines(caplog)) == len(UNSPEAKABLE))
    assert caplog.text.count("in throw") >= len(UNSPEAKABLE)
    caplog.text.encode()


@pytest.mark.parametrize("layered", [False, True])
async def test_the_traceback_in_the_log_is_the_applications(
    jobs: Jobs, start: Start, tasks: Tasks, caplog: pytest.LogCaptureFixture, layered: bool
) -> None:
    """However a handler is called, no step of the engine's stands between the lines one looks for."""
    tasks.include(heavy.tasks)

    @tasks.task("async")
    async def waits() -> None:
        await asyncio.sleep(0)
        throw_here("async")

    @tasks.task("at:once")
    async def at_once() -> None:
        throw_here("at:once")

    @tasks.task("plain")
    def plain() -> None:
        throw_here("plain")

    @tasks.task("caused")
    def caused() -> None:
        try:
            throw_here("the cause")
        except ValueError as error:
            raise SystemExit("caused") from error

    async def layer(job: Any, handle: Callable[[], Awaitable[Any]]) -> Any:
        return await handle()

    made = [waits.job(), at_once.job(), plain.job(), caused.job(), heavy.fail.job("plain")]
    await jobs.enqueue_many(made)
    await start(middleware=[layer] * layered)
    await until(lambda: {record.job_type for record in lines(caplog)} == {job.type for job in made})
    for record in lines(caplog):
        assert record.exc_info is not None
        text = logging.Formatter().formatException(record.exc_info)  # type: ignore[arg-type]
        assert "hustlex/worker/" not in text
        if record.job_type == "cpu:fail":
            assert "heavy.py" in text and "in fail" in text
        else:
            assert text.count("in throw_here") == 1 and "test_journal.py" in text
        assert text.count("in layer") == layered


async def test_an_error_of_the_engines_own_keeps_its_traceback(
    jobs: Jobs, start: Start, tasks: Tasks, caplog: pytest.LogCaptureFixture
) -> None:
    @tasks.task("t")
    async def t() -> None: ...

    async def forgets(job: Any, handle: Any) -> None: ...

    await jobs.enqueue(t.job())
    await start(middleware=[forgets])
    await until(lambda: lines(caplog))
    assert "in _around" in caplog.text


async def test_own_reasons_have_no_traceback_and_odd_names_stay_on_their_line(
    start: Start, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """What Go enqueues may have any name."""
    put(raw, message("p\x1b1", type="typed\nERROR forged"))
    await start(park_unknown=timedelta(0))
    await until(lambda: lines(caplog))
    (record,) = lines(caplog)
    assert record.exc_info is None and record.levelname == "ERROR"
    assert "\n" not in record.getMessage() and "\x1b" not in record.getMessage()


async def test_a_module_declares_what_every_worker_of_it_does(
    driver: Driver, jobs: Jobs, start: Start, raw: redis.Redis, tasks: Tasks
) -> None:
    """So ``hustlex worker module`` does it, too: nobody constructs that worker."""
    part = Tasks(retry_delay=timedelta(minutes=7), max_retry=3)
    trail: list[str] = []

    @part.on_error
    def tell(message: Any, error: Exception) -> None:
        trail.append(f"{message.type} failed: {error}")

    @part.middleware
    async def outer(job: Any, handle: Callable[[], Awaitable[Any]]) -> Any:
        trail.append("outer")
        return await handle()

    @part.middleware
    async def inner(job: Any, handle: Callable[[], Awaitable[Any]]) -> Any:
        trail.append("inner")
        return await handle()

    @part.task("fails")
    async def fails() -> None:
        raise ValueError("as usual")

    @part.task("own", retry_delay=timedelta(hours=2))
    async def own() -> None:
        raise ValueError("as usual")

    async def first(job: Any, handle: Callable[[], Awaitable[Any]]) -> Any:
        trail.append("given")
        return await handle()

    whole = Tasks(worker={"archive_max_size": 7, "park_unknown": timedelta(hours=1)})
    whole.include(part)
    whole.include(part_of_nothing := Tasks(worker={"max_crashes": 9}))
    assert len(part_of_nothing) == 0
    tasks.include(whole)
    await jobs.enqueue(fails.job())
    await start(middleware=[first])
    await until(lambda: raw.zcard(DEFAULT.retry) == 1)
    assert trail == ["given", "outer", "inner", "fails failed: as usual"]
    ((_, due),) = raw.zrange(DEFAULT.retry, 0, -1, withscores=True)
    assert 400 < due - float(raw.time()[0]) < 440
    assert whole.worker_options == {"archive_max_size": 7, "park_unknown": timedelta(hours=1), "max_crashes": 9}
    assert (fails.rules.retry_delay, own.rules.retry_delay) == (timedelta(minutes=7), timedelta(hours=2))


def test_what_can_never_work_is_refused_where_it_is_declared(driver: Driver) -> None:
    tasks = Tasks()

    async def soon(*_: Any) -> None: ...

    for bad in (soon, 5, None, "x", (lambda: (yield))):
        with pytest.raises(Misuse):
            tasks.on_error(bad)  # type: ignore[type-var]
        for option in ("retry_delay", "is_failure", "health_check", "error_handler"):
            if bad is not None or option not in ("health_check", "error_handler"):
                with pytest.raises(Misuse, match=option):
                    Worker(driver, tasks, **{option: bad})  # type: ignore[arg-type]
    for layer in (lambda job, handle: None, 5, None):
        with pytest.raises(Misuse, match="middleware"):
            tasks.middleware(layer)  # type: ignore[type-var]
    for wait in (5, "5", True, [], [5], timedelta(days=999_999), timedelta(seconds=-1), [timedelta(1), None]):
        with pytest.raises(Misuse, match="retry_delay"):
            Tasks(retry_delay=wait)  # type: ignore[arg-type]
        with pytest.raises(Misuse, match="retry_delay"):
            Worker(driver, tasks, retry_delay=wait)  # type: ignore[arg-type]
        with pytest.raises(Misuse, match="retry_delay"):
            tasks.task("x", retry_delay=wait)  # type: ignore[arg-type]
    with pytest.raises(Misuse, match="colour"):
        Tasks(worker={"colour": 1})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(Misuse, match="colour"):
        Worker(driver, tasks, colour=1)  # type: ignore[call-arg]
    one, other = Tasks(worker={"max_crashes": 1}), Tasks(worker={"max_crashes": 2})
    with pytest.raises(Misuse, match="max_crashes"):
        one.include(other)


@pytest.mark.parametrize(
    ("option", "bad"),
    [
        ("concurrency", 0),
        ("concurrency", True),
        ("concurrency", 2.5),
        ("cpu_processes", -1),
        ("shutdown_timeout", 8),
        ("shutdown_timeout", timedelta(seconds=-1)),
        ("health_check_interval", timedelta(0)),
        ("max_crashes", -1),
        ("park_unknown", 5),
        ("archive_max_size", -1),
        ("archive_max_size", "many"),
        ("archive_max_age", timedelta.max),
        ("recover_crashed", "perhaps"),
        ("durability", "disk"),
        ("strict", 1),
        ("limits", 5),
        ("queues", 5),
        ("queues", {}),
        ("queues", {"a": 0}),
        ("queues", {"a": 1.5}),
        ("queues", {"a": None}),
        ("middleware", 5),
        ("clock", 5),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_name(driver: Driver, option: str, bad: Any) -> None:
    with pytest.raises(Misuse, match=option if option != "queues" else "queue"):
        Worker(driver, Tasks(), **{option: bad})


async def test_a_worker_says_what_it_runs_and_what_it_did(
    driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hustlex.worker")

    @tasks.task("fine")
    async def fine() -> None: ...

    @tasks.task("fails")
    async def fails() -> None:
        raise ValueError("as usual")

    await jobs.enqueue_many([fine.job(), fine.job(), fails.job()])
    async with Worker(driver, tasks, queues={"default": 3, "low": 1}, concurrency=7) as worker:
        assert worker.parts.heartbeat.status == "active"
        await until(lambda: raw.get(DEFAULT.processed) == b"3")
    said = [record.getMessage() for record in caplog.records]
    assert f"worker {worker.id} started: queues default=3, low=1; 7 slots; task types fails, fine" in said
    assert f"worker {worker.id} stopped: 2 attempts succeeded, 1 did not" in said
    with pytest.raises(Misuse, match="runs once"):
        await worker.run()


async def test_a_worker_in_an_application_raises_what_keeps_it_from_starting(driver: Driver) -> None:
    def lifespan() -> Any:
        raise ValueError("no database")

    with pytest.raises(ValueError, match="no database"):
        async with Worker(driver, Tasks(lifespan=lifespan)):
            raise AssertionError
