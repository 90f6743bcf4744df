"""What jobs tell on a real server: capped, gone after a day, resumable, and free for jobs that tell nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse, NotFound
from hustlex.jobs import (
    Failed,
    Gone,
    Jobs,
    Log,
    NotYet,
    Progress,
    Result,
    State,
    StateChange,
    Succeeded,
)
from hustlex.jobs.inspect import act
from hustlex.jobs.keys import queue_keys, stream
from hustlex.jobs.lease import finish
from hustlex.jobs.lease import ops as lease
from hustlex.jobs.stream.items import log_fields, progress_fields
from hustlex.jobs.stream.ops import MOST, append, end_attempt, write_result
from hustlex.jobs.wire import decode_task, encode_task
from tests.conftest import PATIENCE

Q = queue_keys("default")
KEY = stream("default", "t")
DAY = "2026-01-01"
NOW = timedelta(0)


@pytest.fixture
def jobs(driver: Driver) -> Jobs:
    """A producer that can follow."""
    return Jobs(driver)


class Handler:
    """A task in a worker's hands, driven by the test."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._message = b""

    def begin(self) -> None:
        _, self._message = self._driver.run(lease.cycle(Q, DAY, "w:1", 1, (), 0)).leased

    def say(self, *fields: Any) -> bool:
        heard: bool = self._driver.run(append("default", "t", fields))
        return heard

    def result(self, data: bytes) -> bool:
        kept: bool = self._driver.run(write_result("default", "t", data))
        return kept

    def end(self, state: State) -> None:
        """As a worker does it: acknowledge, then tell."""
        error = encode_task(decode_task(self._message).__class__("a", None, "t", error_msg="boom", retry=25))
        if state is State.COMPLETED:
            self._driver.run(finish.done(Q, DAY, ("t", "w:1", ""), 0))
        elif state is State.RETRY:
            self._driver.run(finish.retry(Q, DAY, ("t", "w:1", 0, error, 1), 0))
        else:
            self._driver.run(finish.archive(Q, DAY, ("t", "w:1", error), 0))
        self._driver.run(end_attempt("default", "t", state))


@pytest.fixture
async def handler(jobs: Jobs, blocking_driver: Any) -> Handler:
    """The task ``t``, begun."""
    await jobs.enqueue("a", task_id="t")
    handler = Handler(blocking_driver)
    handler.begin()
    return handler


# -- the stream itself


def test_a_stream_is_capped_and_goes_after_a_day(handler: Handler, raw: redis.Redis) -> None:
    for n in range(1300):
        assert handler.say(*log_fields(f"line {n}"))
    assert 1000 <= raw.xlen(KEY) <= 1100
    assert 86_390 <= raw.ttl(KEY) <= 86_400


def test_a_task_that_does_not_run_cannot_tell(handler: Handler, raw: redis.Redis) -> None:
    handler.end(State.COMPLETED)
    assert not handler.say(*log_fields("too late"))
    assert not handler.result(b"1")
    assert not raw.exists(KEY, Q.task("t"))


def test_a_job_that_tells_nothing_has_no_stream(handler: Handler, raw: redis.Redis) -> None:
    handler.result(b"1")
    handler.end(State.COMPLETED)
    assert not raw.keys("*:x:stream:*")


def test_a_result_that_is_written_again_is_told_once(handler: Handler, raw: redis.Redis) -> None:
    handler.say(*log_fields("here is a stream"))
    for data in (b"1", b"1", b"2"):
        assert handler.result(data)
    assert [fields[b"data"] for _, fields in raw.xrange(KEY)[1:]] == [b"1", b"2"]


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan"), float("inf")])
def test_progress_is_from_0_to_1(fraction: float) -> None:
    with pytest.raises(Misuse):
        progress_fields(fraction, "")


def test_long_and_odd_texts_are_told_as_far_as_they_can_be(handler: Handler, raw: redis.Redis) -> None:
    assert handler.say(*log_fields("é" * 9000))
    assert handler.say(*log_fields("\ud800 lone"))
    texts = [fields[b"text"].decode() for _, fields in raw.xrange(KEY)]
    assert (len(texts[0]), texts[1]) == (8000, "? lone")


# -- following


async def test_a_whole_life_is_followed(jobs: Jobs, handler: Handler) -> None:
    handler.say(*progress_fields(0.25, "a quarter"))
    handler.say(*log_fields("hello"))
    handler.result(b'{"x":1}')
    handler.end(State.COMPLETED)
    items = [item async for item in jobs.follow("t")]
    assert [type(item) for item in items] == [Progress, Log, Result, StateChange]
    progress, log, result, end = items
    assert isinstance(progress, Progress)
    assert isinstance(log, Log)
    assert isinstance(result, Result)
    assert isinstance(end, StateChange)
    assert (progress.fraction, progress.text, log.text, result.data) == (0.25, "a quarter", "hello", b'{"x":1}')
    assert (end.state, end.error) == (State.COMPLETED, "")
    assert abs(progress.at - datetime.now(UTC)) < timedelta(seconds=60)
    assert "hello" not in repr(items)


async def test_items_arrive_at_once(jobs: Jobs, handler: Handler) -> None:
    async with aclosing(jobs.follow("t")) as items:
        first = await anext(items)
        assert first == StateChange("", None, State.ACTIVE)
        waited = []
        for n in range(5):
            began = time.monotonic()
            arrival = asyncio.ensure_future(anext(items))
            await asyncio.sleep(0.02)  # it listens
            handler.say(*log_fields(str(n)))
            log = await arrival
            assert isinstance(log, Log)
            assert log.text == str(n)
            waited.append(time.monotonic() - began)
        assert min(waited) < 0.5


async def test_following_goes_on_behind_a_position(jobs: Jobs, handler: Handler) -> None:
    for n in range(MOST * 2 + 50):  # more than one look shows
        handler.say(*log_fields(str(n)))
    handler.end(State.COMPLETED)
    every = [item async for item in jobs.follow("t")]
    assert [item.text for item in every if isinstance(item, Log)] == [str(n) for n in range(MOST * 2 + 50)]
    for at in (0, 99, 100, 248):
        rest = [item async for item in jobs.follow("t", since=every[at].position)]
        assert rest == every[at + 1 :]
    last = [item async for item in jobs.follow("t", since=every[-1].position)]
    assert last == [StateChange(every[-1].position, None, None)], "nothing new, and the task is gone"


async def test_failures_and_retries_are_told(jobs: Jobs, handler: Handler, blocking_driver: Any) -> None:
    handler.say(*log_fields("one"))
    items = jobs.follow("t")
    assert isinstance(await anext(items), Log)
    assert await anext(items) == StateChange((await _last(jobs)), None, State.ACTIVE)
    handler.end(State.RETRY)
    told = await anext(items)
    assert isinstance(told, StateChange)
    assert (told.state, told.error) == (State.RETRY, "boom")
    blocking_driver.run(act.run("default", "t", 0))
    seen = await anext(items)
    assert isinstance(seen, StateChange)
    assert seen.state is State.PENDING, "nobody told, but it was seen"
    handler.begin()
    handler.say(*log_fields("two"))
    handler.end(State.ARCHIVED)
    rest = [item async for item in items]
    assert isinstance(rest[-1], StateChange)
    assert (rest[-1].state, rest[-1].error) == (State.ARCHIVED, "boom")
    assert [item.text for item in rest if isinstance(item, Log)] == ["two"]


async def _last(jobs: Jobs) -> str:
    async with aclosing(jobs.follow("t")) as items:
        return (await anext(items)).position


async def test_a_task_of_go_that_tells_nothing_can_be_followed_too(
    jobs: Jobs, blocking_driver: Any, raw: redis.Redis
) -> None:
    await jobs.enqueue("a", task_id="t", retention=timedelta(hours=1))
    (task_id, data) = blocking_driver.run(lease.cycle(Q, DAY, "w:1", 1, (), 0)).leased
    raw.hset(Q.task("t"), "result", "R")
    blocking_driver.run(finish.complete(Q, DAY, (task_id, "w:1", 3600, data, ""), 0))
    items = [item async for item in jobs.follow("t")]
    assert items == [Result("", None, b"R"), StateChange("", None, State.COMPLETED)]


async def test_an_operator_who_deletes_a_task_ends_the_following(jobs: Jobs) -> None:
    await jobs.enqueue("a", task_id="t")
    items = jobs.follow("t")
    assert await anext(items) == StateChange("", None, State.PENDING)
    await jobs.inspector.delete("default", "t")
    assert [item async for item in items] == [StateChange("", None, None)]


async def test_nonsense_is_refused(jobs: Jobs) -> None:
    with pytest.raises(NotFound):
        await anext(jobs.follow("never"))
    for since in ("x", "1", "1-", "-", "+", "(1-1", "1-1 "):
        with pytest.raises(Misuse):
            await anext(jobs.follow("t", since=since))


@pytest.mark.one_server
async def test_a_hundred_can_follow_on_one_connection(jobs: Jobs, handler: Handler, raw: redis.Redis) -> None:
    async def collect() -> list[str]:
        return [item.text async for item in jobs.follow("t") if isinstance(item, Log)]

    following = [asyncio.ensure_future(collect()) for _ in range(100)]
    while raw.pubsub_numsub(KEY)[0][1] == 0:
        await asyncio.sleep(0.01)
    for n in range(20):
        handler.say(*log_fields(str(n)))
    handler.end(State.COMPLETED)
    assert await asyncio.gather(*following) == [[str(n) for n in range(20)]] * 100
    assert raw.info("clients")["connected_clients"] <= 6


async def test_the_front_follows(url: str, handler: Handler) -> None:
    handler.say(*log_fields("x"))
    handler.end(State.COMPLETED)
    async with HustleX(url, timeout=PATIENCE) as front:
        items: AsyncIterator[Any] = front.jobs.follow("t")
        assert len([item async for item in items]) == 2


# -- waiting for the end


async def test_the_end_is_waited_for(hx: Any, jobs: Jobs, blocking_driver: Any, clock: FixedClock) -> None:
    clock.now_ms = 0
    assert await hx.jobs.result("never", timeout=NOW) == Gone()
    await jobs.enqueue("a", task_id="t", retention=timedelta(hours=1))
    assert await hx.jobs.result("t", timeout=timedelta(seconds=0.05)) == NotYet(State.PENDING)
    waiting = asyncio.ensure_future(hx.jobs.result("t", timeout=timedelta(seconds=5)))
    await asyncio.sleep(0.05)
    (task_id, data) = blocking_driver.run(lease.cycle(Q, DAY, "w:1", 1, (), 0)).leased
    blocking_driver.run(write_result("default", "t", b"42"))
    blocking_driver.run(finish.complete(Q, DAY, (task_id, "w:1", 3600, data, ""), 0))
    assert await waiting == Succeeded(b"42")
    assert repr(Succeeded(b"42")) == "Succeeded(2 bytes)"


async def test_a_job_that_is_not_kept_leaves_its_result_where_it_told_something(hx: Any, handler: Handler) -> None:
    handler.say(*progress_fields(1, ""))
    handler.result(b"1")
    handler.end(State.COMPLETED)
    assert await hx.jobs.result("t", timeout=NOW) == Succeeded(b"1")


async def test_an_archived_job_has_failed(hx: Any, handler: Handler) -> None:
    handler.end(State.ARCHIVED)
    assert await hx.jobs.result("t", timeout=NOW) == Failed("boom")
