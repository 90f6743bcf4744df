"""One front and several event loops, and processes that were forked from the one that made it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.op import Effect, Op, command
from hustlex.errors import Closed, Misuse, Unavailable
from hustlex.ratelimit import Policy, RateLimitOptions
from hustlex.sync import HustleX as BlockingHustleX
from hustlex.tokens import Access
from tests.conftest import PATIENCE, SECRET

MINUTE = timedelta(minutes=1)
MANY = Policy("many", 1_000, MINUTE)
LIMITS = RateLimitOptions(timeout=timedelta(seconds=10))
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
"""Forking with threads: what these tests are about."""


def echo(value: object) -> Op[bytes]:
    return command("test.echo", Effect.READ, "ECHO", str(value), decode=bytes, timeout_ms=10_000)


def front_on(url: str) -> HustleX:
    return HustleX(url, secret=SECRET, ratelimit=LIMITS, timeout=timedelta(seconds=5))


async def every_room(front: HustleX, turn: int) -> None:
    """Each room that keeps something of its event loop."""
    assert (await front.ratelimit.check(MANY, "u1", endpoint="/x")).remaining == 1_000 - turn
    numbers = front.cache("n", int, ttl=MINUTE, timeout=timedelta(seconds=5))

    async def turned() -> int:
        return turn

    assert await numbers.get_or_compute(f"k{turn}", turned) == turn
    pair: Any = await front.tokens.login("u1")
    assert await front.tokens.start(timeout=timedelta(seconds=10))
    assert isinstance(
        await front.tokens.check(pair.access.reveal() if hasattr(pair.access, "reveal") else pair.access), Access
    )
    channel = front.events.channel("news:{n}", int)
    async with channel.subscribe(n=1) as messages:
        await channel.publish(turn, n=1)
        assert (await anext(aiter(messages))).data == turn  # type: ignore[union-attr]


def test_a_front_serves_one_loop_after_the_other(url: str) -> None:
    front = front_on(url)
    for turn in (1, 2, 3):
        asyncio.run(every_room(front, turn))
    asyncio.run(front.close())
    with pytest.raises(Unavailable, match="the driver is closed"):
        asyncio.run(front.driver.run(echo(1)))


def test_loops_may_take_turns(url: str) -> None:
    front = front_on(url)
    loops = [asyncio.new_event_loop() for _ in range(2)]
    for number in range(6):
        assert loops[number % 2].run_until_complete(front.driver.run(echo(number))) == str(number).encode()
    loops[1].run_until_complete(front.close())
    for loop in loops:
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


async def test_two_loops_at_once_are_told_what_to_do(url: str) -> None:
    async with front_on(url) as front:
        await front.driver.run(echo(1))

        def elsewhere(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
            return asyncio.run(call())

        async def subscribe() -> None:
            async with front.driver.subscribe("news"):
                pass

        calls: list[Callable[[], Coroutine[Any, Any, Any]]] = [
            lambda: front.driver.run(echo(2)),
            lambda: front.driver.run_many([echo(2)]),
            lambda: front.driver.block(echo(2), 1),
            lambda: front.jobs.enqueue("t", b""),
            subscribe,
            front.driver.close,
        ]
        for call in calls:
            with pytest.raises(Misuse, match="another event loop, which is running"):
                await asyncio.to_thread(elsewhere, call)
        assert await front.driver.run(echo(3)) == b"3"


def child(work: Callable[[], Any]) -> int:
    """Its process id. Exits with 0 when the work ends well."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:
        os._exit(1)
    os._exit(0)


def ended(pids: list[int]) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def test_children_of_a_process_with_a_running_loop_have_connections_of_their_own(url: str, raw: redis.Redis) -> None:
    front = front_on(url)
    ready, end = threading.Event(), threading.Event()
    answers: list[bytes] = []

    async def parent() -> None:
        await every_room(front, 1)
        ready.set()
        while not end.is_set():
            answers.append(await front.driver.run(echo("parent")))
        await front.close()

    async def one(turn: int) -> None:
        await every_room(front, turn)
        for number in range(50):
            assert await front.driver.run(echo(number)) == str(number).encode()

    thread = threading.Thread(target=lambda: asyncio.run(parent()))
    thread.start()
    assert ready.wait(60)
    pids = [child(lambda: asyncio.run(one(2)))]
    codes = ended(pids)
    end.set()
    thread.join(60)
    assert codes == [0]
    assert set(answers) == {b"parent"}


def test_a_front_that_was_closed_stays_closed_in_a_child(url: str) -> None:
    front = front_on(url)
    asyncio.run(every_room(front, 1))
    asyncio.run(front.close())

    async def refused() -> None:
        for call in (front.driver.run(echo(1)), front.jobs.enqueue("a"), front.jobs.enqueue("b")):
            with pytest.raises(Closed):
                await call
        assert not (await front.health()).ok

    assert ended([child(lambda: asyncio.run(refused()))]) == [0]


def test_children_of_a_blocking_process_have_connections_of_their_own(url: str, raw: redis.Redis) -> None:
    with BlockingHustleX(url, timeout=PATIENCE, secret=SECRET, ratelimit=LIMITS) as front:

        def work(name: str) -> None:
            for number in range(100):
                assert front.driver.run(echo(f"{name}{number}")) == f"{name}{number}".encode()
                front.ratelimit.check(MANY, "u1", endpoint="/x")

        work("before")
        pids = [child(lambda name=name: work(name)) for name in "abc"]  # type: ignore[misc]
        work("parent")
        assert ended(pids) == [0, 0, 0]
        assert front.ratelimit.peek(MANY, "u1", endpoint="/x").remaining == 500


def test_a_child_hashes_pins_in_threads_of_its_own(url: str) -> None:
    front = front_on(url)
    made: Any = asyncio.run(front.pins.hash("u1", "8361"))

    async def verify() -> None:
        assert type(await front.pins.verify("u1", "8361", made.verifier)).__name__ == "PinOk"

    assert ended([child(lambda: asyncio.run(asyncio.wait_for(verify(), 60)))]) == [0]


def test_a_child_does_not_wait_for_a_room_that_was_being_made(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another thread of its parent, at the moment of the fork."""
    front = BlockingHustleX(url, timeout=PATIENCE, secret=SECRET)
    making, go_on = threading.Event(), threading.Event()
    secrets, parent = front._secrets, os.getpid()

    def slow(room: str) -> Any:
        if os.getpid() == parent:
            making.set()
            go_on.wait(60)
        return secrets(room)

    monkeypatch.setattr(front, "_secrets", slow)
    thread = threading.Thread(target=lambda: front.pins)
    thread.start()
    assert making.wait(60)
    pid = child(lambda: (signal.alarm(10), front.pins.reset("u1")))
    assert ended([pid]) == [0]
    go_on.set()
    thread.join()
    front.close()


async def test_an_absent_server_is_told_within_the_timeout_of_the_front() -> None:
    """Enqueueing, too, which waited 5 s."""
    loop = asyncio.get_running_loop()
    for options, most in (({}, 4.0), ({"timeout": timedelta(milliseconds=50)}, 1.8)):
        async with HustleX("redis://127.0.0.1:1/0", **options) as front:  # type: ignore[arg-type]
            began = loop.time()
            with pytest.raises(Unavailable, match="cannot reach"):
                await front.jobs.enqueue("t", b"")
            assert loop.time() - began < most
        with BlockingHustleX("redis://127.0.0.1:1/0", **options) as blocking:  # type: ignore[arg-type]
            began = loop.time()
            with pytest.raises(Unavailable, match="cannot reach"):
                blocking.jobs.enqueue("t", b"")
            assert loop.time() - began < most


@pytest.mark.parametrize("kind", [HustleX, BlockingHustleX])
@pytest.mark.parametrize("bad", [5, 0.5, "1s", timedelta(0), timedelta(seconds=6), timedelta.max])
def test_a_timeout_is_a_duration_within_bounds(kind: Any, bad: Any) -> None:
    with pytest.raises(Misuse, match="timeout cannot be"):
        kind("redis://127.0.0.1:1/0", timeout=bad)
