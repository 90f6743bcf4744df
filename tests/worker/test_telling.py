"""What handlers tell while they run, and who hears it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from hustlex.core.lua import load
from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse
from hustlex.jobs import Item, Jobs, Log, Progress, Result, SkipRetry, State, StateChange, Tasks, current_job
from hustlex.jobs.keys import stream
from tests.support.proxy import Proxy
from tests.worker.support import DEFAULT, running, until

Start = Any


def heard(items: list[Item]) -> list[Any]:
    """The essence of each item."""
    essence: list[Any] = []
    for item in items:
        match item:
            case Progress():
                essence.append((item.fraction, item.text))
            case Log():
                essence.append(item.text)
            case Result():
                essence.append(item.data)
            case StateChange():
                essence.append(item.state)
    return essence


async def collect(items: AsyncIterator[Item]) -> list[Item]:
    return [item async for item in items]


async def test_a_job_is_followed_from_its_enqueueing_to_its_end(jobs: Jobs, start: Start, tasks: Tasks) -> None:
    @tasks.task("bake")
    async def bake() -> None:
        job = current_job()
        assert await job.progress(0.5, "half")
        assert await job.log("smells good")
        assert await job.result.write({"cake": 1})
        assert await job.progress(1)

    await jobs.enqueue(bake.job(), task_id="t")
    following = asyncio.ensure_future(collect(jobs.follow("t")))
    await asyncio.sleep(0.05)
    await start()
    items = await asyncio.wait_for(following, 60)
    told = [what for what in heard(items) if what not in (State.PENDING, State.ACTIVE)]
    assert told == [(0.5, "half"), "smells good", b'{"cake":1}', (1.0, ""), State.COMPLETED]


async def test_the_end_is_heard_at_once_and_not_by_looking(jobs: Jobs, start: Start, tasks: Tasks) -> None:
    loop = asyncio.get_running_loop()
    ended: list[float] = []
    late: list[float] = []

    @tasks.task("once")
    async def once() -> None:
        await current_job().log("hello")
        await asyncio.sleep(0.05)
        ended.append(loop.time())

    await start()
    for n in range(5):
        await jobs.enqueue(once.job(), task_id=str(n))
        items = await collect(jobs.follow(str(n)))
        assert heard(items)[-1] is State.COMPLETED
        late.append(loop.time() - ended[-1])
    assert min(late) < 0.3


async def test_each_attempt_says_how_it_ended(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    @tasks.task("shaky", max_retry=1)
    async def shaky() -> None:
        await current_job().log(f"attempt {current_job().retried}")
        raise ValueError("no luck")

    await start()
    await jobs.enqueue(shaky.job(), task_id="t")
    items: list[Item] = []

    async def listen() -> None:
        async for item in jobs.follow("t"):
            items.append(item)  # noqa: PERF401 - seen while they come

    following = asyncio.create_task(listen())
    await until(lambda: State.RETRY in heard(items))
    await jobs.inspector.run("default", "t")
    await asyncio.wait_for(following, 60)
    ends = [(item.state, item.error) for item in items if isinstance(item, StateChange) and item.error]
    assert ends == [(State.RETRY, "ValueError: no luck"), (State.ARCHIVED, "ValueError: no luck")]
    assert [item.text for item in items if isinstance(item, Log)] == ["attempt 0", "attempt 1"]


async def test_a_job_that_gives_up_is_archived_in_the_stream_too(jobs: Jobs, start: Start, tasks: Tasks) -> None:
    @tasks.task("never")
    async def never() -> None:
        await current_job().log("trying")
        raise SkipRetry("no")

    await start()
    await jobs.enqueue(never.job(), task_id="t")
    items = await asyncio.wait_for(collect(jobs.follow("t")), 60)
    assert heard(items)[-1] is State.ARCHIVED


async def test_jobs_that_tell_nothing_cost_nothing(jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    @tasks.task("quiet")
    async def quiet() -> None:
        await asyncio.sleep(0)

    run = await start()
    raw.config_resetstat()
    await jobs.enqueue_many([quiet.job() for _ in range(200)])
    await until(lambda: raw.get(DEFAULT.processed) == b"200")
    calls = raw.info("commandstats")
    assert not {"cmdstat_xadd", "cmdstat_publish"} & calls.keys()
    assert not raw.keys("*:x:stream:*")
    assert not run.worker.parts.queues[0].followed


async def test_nothing_is_remembered_of_jobs_that_ended(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    @tasks.task("talk")
    async def talk(n: int) -> None:
        await current_job().log(str(n))

    run = await start()
    await jobs.enqueue_many([talk.job(n).with_options(task_id=str(n)) for n in range(50)])
    await until(lambda: raw.get(DEFAULT.processed) == b"50" and not run.worker.parts.queues[0].held)
    assert run.worker.parts.queues[0].followed == set()
    await until(
        lambda: all(raw.xrevrange(stream("default", str(n)), count=1)[0][1][b"kind"] == b"state" for n in range(50))
    )


async def test_no_job_fails_because_nobody_could_hear_it(
    faulty: Proxy, jobs: Jobs, tasks: Tasks, raw: redis.Redis
) -> None:
    answers: list[bool] = []
    go = asyncio.Event()

    @tasks.task("talk")
    async def talk() -> None:
        await go.wait()
        answers.append(await current_job().log("hello"))

    driver = Driver(faulty.url)
    try:
        async with running(driver, tasks):
            await jobs.enqueue(talk.job())
            await until(lambda: raw.llen(DEFAULT.active) == 1)
            faulty.lose_reply(containing=load("hustlex.jobs", "stream/tell").sha1.encode())
            go.set()
            await until(lambda: raw.get(DEFAULT.processed) == b"1")
    finally:
        await driver.close()
    assert answers == [False], "whether it was written is not known, so it is not written again"


async def test_what_cannot_be_told_is_misuse_and_outside_a_handler_there_is_nothing_to_tell(
    jobs: Jobs, start: Start, tasks: Tasks
) -> None:
    faults: list[Exception] = []

    @tasks.task("wrong")
    async def wrong() -> None:
        try:
            await current_job().progress(2)
        except Misuse as fault:
            faults.append(fault)

    await start()
    await jobs.enqueue(wrong.job())
    await until(lambda: faults)
    with pytest.raises(Misuse):
        current_job()


async def test_a_handler_that_was_told_to_stop_cannot_tell_any_more(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    answers: list[bool] = []

    @tasks.task("slow")
    async def slow() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            answers.append(await current_job().log("too late"))
            raise

    await start()
    await jobs.enqueue(slow.job(), task_id="t")
    await until(lambda: raw.llen(DEFAULT.active) == 1)
    while not answers:
        await jobs.inspector.cancel("t")
        await asyncio.sleep(0.02)
    assert answers == [False]
