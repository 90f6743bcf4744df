"""A layer around handlers runs them, or the attempt has failed; what makes the shared state is a context manager."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse
from hustlex.jobs import Jobs, RevokeTask, Succeeded, Tasks
from hustlex.testing import eager
from hustlex.worker import Worker
from tests.worker.support import DEFAULT, Running, until

Start = Callable[..., Awaitable[Running]]


async def forgets(job: Any, handle: Any) -> None: ...


async def names(job: Any, handle: Any) -> Any:
    return handle


async def leaves(job: Any, handle: Any) -> None:
    job.state = asyncio.ensure_future(handle())


def plain(job: Any, handle: Any) -> None: ...


async def through(job: Any, handle: Any) -> Any:
    return await handle()


@pytest.mark.parametrize("layers", [[forgets], [names], [leaves], [plain], [through, forgets], [forgets, through]])
async def test_a_layer_that_does_not_run_the_handler_has_not_done_the_job(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, layers: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    @tasks.task("slow")
    async def slow() -> None:
        await asyncio.sleep(0.05)

    await jobs.enqueue(slow.job())
    await start(middleware=layers)
    await until(lambda: raw.zcard(DEFAULT.retry) == 1)
    assert "a middleware ended before the handler did (await handle() in it" in caplog.text


async def returns(job: Any, handle: Any) -> Any:
    return handle()


async def returns_a_task(job: Any, handle: Any) -> Any:
    return asyncio.ensure_future(handle())


def returns_at_once(job: Any, handle: Any) -> Any:
    return handle()


@pytest.mark.parametrize("inner", [returns, returns_a_task, returns_at_once, through])
@pytest.mark.parametrize("outer", [returns, returns_a_task, returns_at_once, through])
async def test_a_layer_may_return_the_handlers_call_without_awaiting_it(
    jobs: Jobs, start: Start, tasks: Tasks, outer: Any, inner: Any
) -> None:
    @tasks.task("answer")
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    handle = (await jobs.enqueue(answer.job(), retention=timedelta(minutes=1))).or_raise()
    await start(middleware=[outer, inner])
    assert await handle.wait(timeout=timedelta(seconds=10)) == Succeeded(42)


async def test_a_layer_may_drop_a_job_or_swallow_its_error(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis
) -> None:
    @tasks.task("drop")
    async def drop() -> None:
        raise ValueError("it ran")

    @tasks.task("fail")
    async def fail() -> None:
        raise ValueError("as usual")

    async def layer(job: Any, handle: Any) -> None:
        if job.type == "drop":
            raise RevokeTask
        with pytest.raises(ValueError, match="as usual"):
            await handle()

    await jobs.enqueue_many([drop.job(), fail.job()])
    await start(middleware=[layer])
    await until(lambda: int(raw.get(DEFAULT.processed) or 0) == 2)
    assert raw.get(DEFAULT.failed) is None and not raw.zcard(DEFAULT.retry)


def test_an_object_whose_call_is_async_is_a_middleware(tasks: Tasks) -> None:
    class Layer:
        async def __call__(self, job: Any, handle: Any) -> Any:
            return await handle()

    layer = tasks.middleware(Layer())
    assert tasks.middlewares == [layer]


@contextmanager
def blocking() -> Any:
    yield 1


@pytest.mark.parametrize("lifespan", [lambda: 5, lambda: None, blocking, lambda: Jobs, lambda: through])
async def test_a_lifespan_that_makes_something_else_is_named(driver: Driver, lifespan: Any) -> None:
    tasks = Tasks(lifespan=lifespan)
    with pytest.raises(Misuse, match=r"no async context manager \(define it with @asynccontextmanager"):
        await Worker(driver, tasks).run()
    with pytest.raises(Misuse, match="no async context manager"):
        async with eager(tasks):
            pass


def test_a_lifespan_that_does_not_yield_is_refused_where_it_is_given() -> None:
    async def lifespan() -> int:
        return 5

    with pytest.raises(Misuse, match="lifespan is an async function"):
        Tasks(lifespan=lifespan)  # type: ignore[arg-type]
