"""Whatever escapes from the application's code is a failed attempt: no slot ends, nothing goes unwritten."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.jobs import Job, Jobs, Tasks
from hustlex.jobs.wire import decode_task
from hustlex.worker import Worker
from tests.worker.nasty import ALL, ENDS, throw
from tests.worker.support import DEFAULT, Running, until

Start = Callable[..., Awaitable[Running]]


async def all_fail(start: Start, jobs: Jobs, tasks: Tasks, raw: redis.Redis, *made: Job, **options: Any) -> Running:
    """Run them with two slots: each attempt fails and is written down, and afterwards the slots serve as before."""
    fine: list[int] = []

    @tasks.task("fine")
    async def ok(n: int) -> None:
        await asyncio.sleep(0)
        fine.append(n)

    await jobs.enqueue_many(made)
    run = await start(concurrency=2, **options)
    await until(lambda: int(raw.get(DEFAULT.failed) or 0) == len(made))
    await jobs.enqueue_many([ok.job(n) for n in range(9)])
    await until(lambda: len(fine) == 9 and not run.worker.parts.queues[0].held)
    assert raw.zcard(DEFAULT.retry) == len(made)
    for task_id in raw.zrange(DEFAULT.retry, 0, -1):
        assert decode_task(raw.hget(DEFAULT.task(task_id.decode()), "msg")).error_msg
    assert run.worker.health.ok and not run.worker.parts.executor.broken
    return run


@pytest.mark.parametrize("style", ["at once", "after a wait", "plain", "under a middleware"])
async def test_out_of_a_handler(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, style: str) -> None:
    seen: list[str] = []

    async def watch(_: Any, handle: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await handle()
        except Exception as fault:
            seen.append(type(fault).__qualname__)
            raise

    async def bad(kind: str) -> None:
        if style == "after a wait":
            await asyncio.sleep(0.001)
        throw(kind)

    task = tasks.task("bad")((lambda kind: throw(kind)) if style == "plain" else bad)
    middleware = [watch] if style == "under a middleware" else []
    await all_fail(start, jobs, tasks, raw, *[task.job(kind) for kind in ALL], middleware=middleware)
    assert len(seen) == (len(ALL) if middleware else 0)


@pytest.mark.parametrize("where", ["before", "after"])
async def test_out_of_a_middleware(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, where: str) -> None:
    @tasks.task("good")
    async def good(kind: str) -> None: ...

    async def bad(job: Any, handle: Callable[[], Awaitable[Any]]) -> Any:
        kind = good.arguments(job.payload).get("kind") if job.type == "good" else None
        if where == "after" or not kind:
            await handle()
        if kind:
            throw(kind)

    await all_fail(start, jobs, tasks, raw, *[good.job(kind) for kind in ALL], middleware=[bad])


class Value:
    """What is asked of it raises."""

    def __init__(self, kind: str) -> None:
        object.__setattr__(self, "kind", kind)

    def __getattribute__(self, name: str) -> Any:
        return throw(object.__getattribute__(self, "kind"))


class Row(dict[str, Any]):
    """What is read of it raises."""

    def items(self) -> Any:
        return throw(self["kind"])

    __iter__ = keys = items


@pytest.mark.parametrize("made", [Value, lambda kind: Row(kind=kind)])
@pytest.mark.parametrize("style", ["at once", "after a wait", "plain", "around"])
async def test_out_of_the_value_that_a_handler_returns(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, made: Callable[[str], Any], style: str
) -> None:
    """Looking at a value, and writing it down, runs its own code."""

    async def later(kind: str) -> Any:
        if style == "after a wait":
            await asyncio.sleep(0)
        return made(kind)

    def now(kind: str) -> Any:
        return made(kind)

    async def around(_: Any, handle: Callable[[], Awaitable[Any]]) -> Any:
        return await handle()

    returns = tasks.task("returns")(now if style == "plain" else later)
    middleware = [around] if style == "around" else []
    await all_fail(start, jobs, tasks, raw, *[returns.job(kind) for kind in ENDS], middleware=middleware)


@pytest.mark.parametrize("place", ["error_handler", "retry_delay", "is_failure", "truth"])
async def test_out_of_what_judges_a_failure(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, place: str
) -> None:
    kinds = iter(ALL)

    @tasks.task("fails")
    async def fails() -> None:
        raise ValueError("as usual")

    class Undecided:
        def __bool__(self) -> bool:
            return throw(next(kinds))

    def bad(*_: Any) -> Any:
        return Undecided() if place == "truth" else throw(next(kinds))

    option = "is_failure" if place == "truth" else place
    await all_fail(start, jobs, tasks, raw, *[fails.job()] * len(ALL), **{option: bad})
    assert next(kinds, None) is None


@pytest.mark.parametrize("wait", [timedelta.max, float("nan"), None, "soon", 10**400])
async def test_a_delay_that_is_none(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, wait: Any) -> None:
    @tasks.task("fails")
    async def fails() -> None:
        raise ValueError("as usual")

    await all_fail(start, jobs, tasks, raw, fails.job(), retry_delay=lambda *_: wait)


async def test_out_of_the_key_of_a_limit(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    @tasks.task("keyed", max_concurrency=5, key=lambda kind: throw(kind))
    async def keyed(kind: str) -> None: ...

    await all_fail(start, jobs, tasks, raw, *[keyed.job(kind) for kind in ALL])


class Away(logging.Handler):
    """A log's server that cannot be reached: nothing obliges a handler to keep that to itself."""

    def emit(self, record: logging.LogRecord) -> None:
        raise ConnectionError("the log's server is away")


class Mistaken(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return bool(vars(record)["request_id"])


@pytest.mark.parametrize("place", ["handler", "handler of the root", "filter"])
async def test_out_of_the_log(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Failures are written down, and told on standard error that they could not be logged."""

    @tasks.task("fails")
    async def fails() -> None:
        raise ValueError("as usual")

    log, away, mistaken = (
        logging.getLogger("hustlex.worker" if place != "handler of the root" else None),
        Away(),
        Mistaken(),
    )
    if place == "filter":
        log.addFilter(mistaken)
    else:
        log.addHandler(away)
    try:
        run = await all_fail(start, jobs, tasks, raw, *[fails.job()] * 3)
        assert run.worker.health.ok and run.worker.parts.executor.broken == 0
        await run.stop()
    finally:
        log.removeHandler(away)
        log.removeFilter(mistaken)
    assert "--- Logging error ---" in capsys.readouterr().err


async def test_out_of_a_health_check(start: Start) -> None:
    kinds = iter(ENDS)
    left: list[int] = []

    def check(_: Any) -> None:
        kind = next(kinds, None)
        if kind is None:
            left.append(1)
            return
        throw(kind)

    run = await start(health_check=check, health_check_interval=timedelta(seconds=0.001))
    await until(lambda: left)
    assert run.worker.health.ok


@pytest.mark.parametrize("style", ["async", "plain"])
async def test_out_of_an_aggregate_function(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, caplog: pytest.LogCaptureFixture, style: str
) -> None:
    """The group is left as it was, for a later try, and the worker works on."""
    called: list[str] = []

    @tasks.task("part")
    async def part() -> None: ...

    async def soon(group: str, _: Any) -> Any:
        called.append(group)
        await asyncio.sleep(0)
        return throw(group)

    def now(group: str, _: Any) -> Any:
        called.append(group)
        return throw(group)

    tasks.aggregate(grace=timedelta(seconds=1), max_size=1)(soon if style == "async" else now)
    for kind in ALL:
        await jobs.enqueue(part.job(), group=kind)
    run = await start()
    await until(lambda: sum("could not be aggregated" in record.getMessage() for record in caplog.records) == len(ALL))
    assert sorted(called) == sorted(ALL)
    assert raw.zcard(DEFAULT.aggregation_sets) == len(ALL)
    assert not run.task.done() and run.worker.health.ok


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("when", ["start", "end"])
async def test_out_of_a_lifespan(driver: Driver, kind: str, when: str) -> None:
    """The worker's own ``run`` raises it, as an Exception, with everything put away."""

    @asynccontextmanager
    async def lifespan() -> Any:
        if when == "start":
            throw(kind)
        yield 1
        throw(kind)

    worker = Worker(driver, Tasks(lifespan=lifespan), queues={"default": 1})
    worker.stop()
    with pytest.raises(Exception) as caught:
        await worker.run()
    assert isinstance(caught.value, Exception)
    assert worker.parts.heartbeat.status == ("new" if when == "start" else "closed")


async def test_a_runner_that_dies_all_the_same_is_replaced_counted_and_told(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[int] = []

    @tasks.task("fine")
    async def fine(n: int) -> None:
        ran.append(n)

    run = await start(concurrency=2)
    done, dies = run.worker.parts.executor._on_ended, iter([1, 1, 1])

    def broken(job: Any) -> None:
        done(job)
        if next(dies, None):
            raise KeyError("ours")

    run.worker.parts.executor._on_ended = broken
    await jobs.enqueue_many([fine.job(n) for n in range(20)])
    await until(lambda: len(ran) == 20 and not run.worker.parts.queues[0].held)
    assert run.worker.parts.executor.broken == 3
    assert run.worker.health.trouble == {"runners": "3 broke and were replaced, the last one within a minute"}
    assert sum("a runner broke" in record.getMessage() for record in caplog.records) == 3


async def test_tasks_beside_free_slots_that_nobody_takes_are_seen(
    jobs: Jobs, start: Start, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever lost the runners: the watchdog sees what is not taken, says so, and starts others."""
    ran: list[int] = []

    @tasks.task("fine")
    async def fine() -> None:
        ran.append(1)

    run = await start(concurrency=2)
    runners, watchdog = run.worker.parts.executor, run.worker.parts.watchdog
    monkeypatch.setattr("hustlex.worker.execute.executor.STUCK_S", 0.05)
    monkeypatch.setattr("hustlex.worker.health.watchdog.STUCK_S", 0.05)
    with monkeypatch.context() as lost:
        lost.setattr(runners, "_wake_one", lambda: None)
        await jobs.enqueue(fine.job())
        await until(lambda: run.worker.health.trouble)
    assert "wait beside free slots" in run.worker.health.trouble["runners"]
    assert not ran
    watchdog.wake()
    await until(lambda: watchdog.resting)
    watchdog.wake()
    await until(lambda: ran)
