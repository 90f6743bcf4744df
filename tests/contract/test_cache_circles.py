"""Computations that need each other, and callers who joined a leader that had an accident: nobody waits for ever."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.app import HustleX
from hustlex.errors import Misuse, Overloaded
from hustlex.sync import HustleX as BlockingHustleX
from tests.conftest import PATIENCE
from tests.contract.test_cache import every_key_ends

__all__ = ["every_key_ends"]

QUARTER = timedelta(minutes=15)
PATIENT = timedelta(seconds=5)
AT_ONCE = 10.0
"""Seconds: long before any bounded wait ends, long enough for a busy machine."""


@pytest.fixture
async def front(url: str) -> Any:
    async with HustleX(url, timeout=PATIENCE) as front:
        yield front


@pytest.fixture
def blocking_front(url: str) -> Any:
    with BlockingHustleX(url, timeout=PATIENCE) as front:
        yield front


def numbers(front: Any, **options: Any) -> Any:
    return front.cache("n", int, ttl=QUARTER, timeout=PATIENT, **options)


async def test_get_or_compute_of_itself_through_gather_is_told(front: HustleX) -> None:
    cache = numbers(front)

    async def asks() -> int:
        (value,) = await asyncio.gather(cache.get_or_compute("a", asks))
        return int(value)

    async with asyncio.timeout(AT_ONCE):
        with pytest.raises(Misuse, match="asks for the same key"):
            await cache.get_or_compute("a", asks)
        assert await cache.get_or_compute("a", one) == 1  # later callers are served


async def one() -> int:
    return 1


async def test_a_circle_of_two_without_end_is_told_and_with_an_end_is_computed(
    front: HustleX, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    cache = numbers(front)
    asked: list[str] = []

    def asks(own: str, other: str, times: float) -> Callable[[], Any]:
        async def compute() -> int:
            asked.append(own)
            if asked.count(own) > times:
                return 1
            return 1 + int(await asyncio.create_task(cache.get_or_compute(other, asks(other, own, times))))

        return compute

    async with asyncio.timeout(AT_ONCE):
        with pytest.raises(Misuse, match="asks for the same key"):
            await cache.get_or_compute("a", asks("a", "b", float("inf")))
        asked.clear()
        assert await cache.get_or_compute("a", asks("a", "b", 1)) == 3
    assert raw.get("cache:n:a") is not None
    assert [r.message for r in caplog.records if "need each other" in r.message] == [
        "cache n: computations need each other's results; one is computed without storing"
    ]


async def test_crossing_callers_are_both_served(front: HustleX) -> None:
    """Each computes one key and asks for the other's; only the outermost asks."""
    cache = numbers(front)
    both = asyncio.Barrier(2)

    async def alone(value: int) -> int:
        return value

    async def crossing(own: int, other: str) -> int:
        await both.wait()
        return own + int(await cache.get_or_compute(other, functools.partial(alone, 10)))

    async with asyncio.timeout(AT_ONCE):
        answers = await asyncio.gather(
            cache.get_or_compute("a", functools.partial(crossing, 1, "b")),
            cache.get_or_compute("b", functools.partial(crossing, 2, "a")),
        )
    assert sorted(answers) in ([11, 13], [12, 13])


def test_crossing_threads_are_both_served(blocking_front: Any) -> None:
    cache = numbers(blocking_front)
    both = threading.Barrier(2)

    def crossing(own: int, other: str) -> int:
        both.wait(AT_ONCE)
        return own + int(cache.get_or_compute(other, lambda: 10))

    with ThreadPoolExecutor(2) as threads:
        answers = [
            threads.submit(cache.get_or_compute, "a", lambda: crossing(1, "b")),
            threads.submit(cache.get_or_compute, "b", lambda: crossing(2, "a")),
        ]
        assert sorted(answer.result(AT_ONCE) for answer in answers) in ([11, 13], [12, 13])


def test_a_thread_that_asks_for_itself_is_told(blocking_front: Any) -> None:
    cache = numbers(blocking_front)

    def asks() -> int:
        return int(cache.get_or_compute("a", asks))

    with pytest.raises(Misuse, match="asks for the same key"):
        cache.get_or_compute("a", asks)
    assert cache.get_or_compute("a", lambda: 1) == 1


def test_a_wait_that_nobody_can_follow_has_an_end(blocking_front: Any) -> None:
    """A thread pool drops the context, so the circle is not seen; six times ``wait`` ends it."""
    cache = numbers(blocking_front, wait=timedelta(milliseconds=20))

    def asks() -> int:
        with ThreadPoolExecutor(1) as pool:
            return 1 + int(pool.submit(cache.get_or_compute, "a", lambda: 1).result(AT_ONCE))

    assert cache.get_or_compute("a", asks) == 2


async def test_nested_computations_do_not_wait_for_each_others_places() -> None:
    """Without a server each takes one of ``bulkhead`` places; those inside another have it already."""
    async with HustleX("redis://127.0.0.1:1/0") as front:
        cache = front.cache("n", int, ttl=QUARTER, timeout=timedelta(milliseconds=1), bulkhead=1)

        async def outer() -> int:
            return 1 + int(await cache.get_or_compute("b", one))

        async with asyncio.timeout(AT_ONCE):
            assert await cache.get_or_compute("a", outer) == 2


async def test_waiting_for_a_place_has_an_end() -> None:
    async with HustleX("redis://127.0.0.1:1/0") as front:
        options: Any = {"timeout": timedelta(milliseconds=1), "wait": timedelta(milliseconds=5)}
        cache = front.cache("n", int, ttl=QUARTER, bulkhead=1, **options)
        holding, held = asyncio.Event(), asyncio.Event()

        async def slow() -> int:
            held.set()
            await holding.wait()
            return 1

        first = asyncio.create_task(cache.get_or_compute("a", slow))
        await held.wait()
        with pytest.raises(Overloaded, match="raise bulkhead"):
            await cache.get_or_compute("b", one)
        holding.set()
        assert await first == 1


async def test_a_caller_who_joined_does_not_get_the_accident_of_a_leader_that_left(front: HustleX) -> None:
    cache = numbers(front)
    started, closed = asyncio.Event(), asyncio.Event()

    async def with_my_session() -> int:
        started.set()
        await closed.wait()
        raise RuntimeError("this session is closed")

    leader = asyncio.create_task(cache.get_or_compute("a", with_my_session))
    await started.wait()
    callers = [asyncio.create_task(cache.get_or_compute("a", one)) for _ in range(3)]
    while cache._plan.computations._computations["cache:n:a"].callers < 4:
        await asyncio.sleep(0)
    leader.cancel()
    await asyncio.gather(leader, return_exceptions=True)
    closed.set()
    assert await asyncio.gather(*callers) == [1, 1, 1]


async def test_what_a_computation_raises_leaves_no_lease_behind(
    front: HustleX, blocking_front: Any, raw: redis.Redis
) -> None:
    """GeneratorExit, too, which generators and coroutines take for the end of their own life."""
    patient, cache = numbers(front), numbers(blocking_front)
    for kind in (GeneratorExit, StopIteration, StopAsyncIteration, ValueError):

        def fails(kind: Any = kind) -> int:
            raise kind("no")

        async def fails_later(fails: Any = fails) -> int:
            return int(fails())

        expected = RuntimeError if kind in (GeneratorExit, StopIteration) else kind
        with pytest.raises(expected):
            await asyncio.to_thread(cache.get_or_compute, kind.__name__, fails)
        with pytest.raises(expected):
            await patient.get_or_compute(kind.__name__, fails_later)
    assert [key for key in raw.scan_iter() if b"ct:" not in key] == []


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_process_does_not_wait_for_its_parents_computations(blocking_front: Any) -> None:
    cache = numbers(blocking_front, wait=timedelta(seconds=1))
    computing, end = threading.Event(), threading.Event()

    def slow() -> int:
        computing.set()
        end.wait(AT_ONCE)
        return 1

    thread = threading.Thread(target=cache.get_or_compute, args=("a", slow))
    thread.start()
    computing.wait(AT_ONCE)
    cache.delete("a")  # the lease, too: only the table could make the child wait
    pid = os.fork()
    if pid == 0:
        os._exit(cache.get_or_compute("a", lambda: 7))
    _, status = os.waitpid(pid, 0)
    end.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 7


@pytest.mark.parametrize("kind", ["plain", "generator", "async generator", "class", "no function"])
async def test_what_cannot_be_cached_is_refused_when_decorated(front: HustleX, blocking_front: Any, kind: str) -> None:
    def plain(a: int) -> int:
        return a

    def generator(a: int) -> Any:
        yield a

    async def async_generator(a: int) -> Any:
        yield a

    bad: Any = {
        "plain": plain,
        "generator": generator,
        "async generator": async_generator,
        "class": int,
        "no function": 3,
    }
    with pytest.raises(Misuse):
        numbers(front).cached("n:{a}")(bad[kind])
    with pytest.raises(Misuse):
        numbers(blocking_front).cached("n:{a}")(one if kind == "plain" else bad[kind])


async def test_wrapped_async_functions_are_taken(front: HustleX) -> None:
    async def load(a: int) -> int:
        return a

    @functools.wraps(load)
    def wrapper(*args: Any) -> Any:
        return load(*args)

    for number, function in enumerate((load, wrapper, functools.partial(load))):
        assert await numbers(front).cached("n:{a}")(function)(number) == number


async def test_a_parameter_that_can_never_be_a_key_is_refused_when_decorated(front: HustleX) -> None:
    async def lists(ids: list[int]) -> int:
        return len(ids)

    async def ratios(share: float) -> int:
        return int(share)

    for function, name in ((lists, "ids"), (ratios, "share")):
        with pytest.raises(Misuse, match=f"{name} is a (list|float)"):
            numbers(front).cached(f"n:{{{name}}}")(function)


async def test_get_or_compute_takes_functions_that_suit_the_front(front: HustleX, blocking_front: Any) -> None:
    with pytest.raises(Misuse, match="pass an async function"):
        await numbers(front).get_or_compute("a", lambda: 5)
    with pytest.raises(Misuse, match="pass a plain function"):
        numbers(blocking_front).get_or_compute("b", one)
    with pytest.raises(Misuse, match="compute cannot be 5"):
        await numbers(front).get_or_compute("c", 5)  # type: ignore[call-overload]
