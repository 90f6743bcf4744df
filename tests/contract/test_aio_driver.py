"""What only the multiplexed connection can get wrong: order under cancellation, back-pressure, blocking."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from typing import Any

import pytest
import redis

from hustlex.core.op import Call, Effect, Flow, Op, command
from hustlex.drivers.aio import Driver, Options
from hustlex.errors import Closed, OutcomeUnknown, Overloaded, Unavailable
from tests.conftest import LONG
from tests.support.answering import answering
from tests.support.proxy import Proxy


def same(reply: Any) -> Any:
    return reply


def echo(value: str, timeout_ms: int = 0) -> Op[bytes]:
    return command("test.echo", Effect.READ, "ECHO", value, decode=bytes, timeout_ms=timeout_ms)


async def test_cancelled_calls_never_shift_replies(driver: Driver) -> None:
    rng = random.Random(7)

    async def caller(name: int) -> None:
        for turn in range(100):
            task = asyncio.create_task(driver.run(echo(f"{name}:{turn}")))
            if rng.random() < 0.5:
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)
                task.cancel()
            done = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(done[0], asyncio.CancelledError) or done == [f"{name}:{turn}".encode()]

    await asyncio.gather(*[caller(name) for name in range(50)])


async def test_killed_connections_give_no_wrong_answer(driver: Driver, raw: redis.Redis) -> None:
    """Repeatable calls ride out a server that keeps cutting the line; every answer is the caller's own."""
    stop = False

    async def caller(name: int) -> int:
        turn = 0
        while not stop:
            assert await driver.run(echo(f"{name}:{turn}")) == f"{name}:{turn}".encode()
            turn += 1
        return turn

    callers = [asyncio.create_task(caller(name)) for name in range(20)]
    for _ in range(15):
        await asyncio.to_thread(raw.execute_command, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await driver.run(echo("back"))
    stop = True
    assert all(await asyncio.gather(*callers))


async def test_once_calls_are_counted_exactly_or_declared_unknown(driver: Driver, raw: redis.Redis) -> None:
    counted = unknown = 0

    async def caller() -> None:
        nonlocal counted, unknown
        for _ in range(100):
            try:
                await driver.run(command("test.incr", Effect.ONCE, "INCR", "n", decode=int))
                counted += 1
            except OutcomeUnknown:
                unknown += 1

    callers = [asyncio.create_task(caller()) for _ in range(20)]
    for _ in range(5):
        await asyncio.to_thread(raw.execute_command, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await driver.run(echo("back"))
    await asyncio.gather(*callers)
    executed = int(raw.get("n") or 0)
    assert counted <= executed <= counted + unknown
    assert counted + unknown == 2000


async def test_a_call_that_is_sent_at_once_is_at_work_before_the_turn_of_the_loop_ends(
    driver: Driver, raw: redis.Redis
) -> None:
    push: Op[int] = command("test.push", Effect.ONCE, "RPUSH", "list", "a", keys=("list",), decode=int)
    assert await driver.run(push) == 1  # now there is a connection
    raw.delete("list")
    first, second = driver.send(push), driver.send(push, at_once=True)  # what was queued goes before it
    try:
        assert raw.blpop("list", 15) is not None  # the loop stands still meanwhile
    finally:
        assert [await first, await second][0] == 1


async def test_callers_wait_when_the_line_is_full_and_all_are_served(url: str) -> None:
    async with Driver(url, Options(in_flight=8), timeout=LONG) as driver:
        names = [str(n) for n in range(500)]
        assert await asyncio.gather(*[driver.run(echo(name)) for name in names]) == [name.encode() for name in names]


async def test_callers_that_give_up_in_line_do_not_hold_up_the_others(url: str) -> None:
    async with Driver(url, Options(in_flight=4, command=30)) as driver:
        await driver.run(echo("warm"))
        calls = [asyncio.create_task(driver.run(echo(str(n)))) for n in range(400)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert answers[1::2] == [str(n).encode() for n in range(1, 400, 2)]


async def test_a_full_line_that_does_not_move_is_overloaded(faulty: Proxy) -> None:
    async with Driver(faulty.url, Options(in_flight=2, drain=0.1)) as driver:
        await driver.run(echo("warm"))
        faulty.black_hole = True
        results = await asyncio.gather(*[driver.run(echo("x", 150)) for _ in range(6)], return_exceptions=True)
        assert [type(result) for result in results].count(Overloaded) == 4
        assert all(isinstance(result, Unavailable) for result in results)


@pytest.mark.one_server
async def test_a_call_sent_at_its_very_deadline_is_not_said_to_be_unsent(url: str, raw: redis.Redis) -> None:
    """The loop stood still: the room for the next in line and the end of its patience come in one turn."""
    async with Driver(url, Options(in_flight=1)) as driver:
        await driver.run(echo("warm"))
        first = asyncio.create_task(driver.run(command("test.pop", Effect.ONCE, "BLPOP", "none", 0.05, decode=same)))
        await asyncio.sleep(0)
        second = asyncio.create_task(
            driver.run(command("test.incr", Effect.ONCE, "INCR", "n", decode=int, timeout_ms=20))
        )
        await asyncio.sleep(0)
        time.sleep(0.3)
        await first
        try:
            assert await second == 1
        except Overloaded:
            assert await driver.run(command("test.get", Effect.READ, "GET", "n", decode=same)) is None
        except OutcomeUnknown:
            pass


async def test_a_silent_link_is_given_up_and_replaced(faulty: Proxy) -> None:
    async with Driver(faulty.url, Options(stall=0.5, command=6.0)) as driver:
        await driver.run(echo("warm"))
        faulty.black_hole = True
        call = asyncio.create_task(driver.run(echo("patient")))
        while faulty.connections < 2:
            await asyncio.sleep(0.02)
        faulty.black_hole = False
        faulty.cut()
        assert await call == b"patient"


def stand_still(seconds: float) -> None:
    """As while the collector of cycles looks at everything."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


async def test_a_pause_of_this_process_is_not_the_servers(faulty: Proxy) -> None:
    """It falls between the call and the write, so that no reply waits in the socket when it ends."""
    async with Driver(faulty.url) as driver:
        assert await driver.run(echo("open", 5000)) == b"open"
        faulty.delay_seconds = 0.03
        calls = asyncio.gather(*(driver.run(echo(str(number), 50)) for number in range(3)))
        asyncio.get_running_loop().call_soon(stand_still, 0.2)  # the next turn writes
        assert await calls == [b"0", b"1", b"2"]


async def test_a_loop_that_stood_still_does_not_take_the_server_for_silent(faulty: Proxy) -> None:
    """As behind a handler that blocks for long: what was to be written before it is answered after."""
    async with Driver(faulty.url, Options(stall=0.3)) as driver:
        # After one call at a time the next would be written at once.
        assert await asyncio.gather(*(driver.run(echo(text, 5000)) for text in "ab")) == [b"a", b"b"]
        faulty.delay_seconds = 0.05
        push = command("test.push", Effect.ONCE, "RPUSH", "list", 1, decode=int, timeout_ms=10_000)
        calls = asyncio.gather(*(driver.run(push) for _ in range(3)))
        asyncio.get_running_loop().call_soon(stand_still, 1.6)  # past the next look at the link
        assert await calls == [1, 2, 3]


async def test_a_server_that_does_not_answer_is_late_all_the_same(faulty: Proxy) -> None:
    async with Driver(faulty.url) as driver:
        assert await driver.run(echo("open", 5000)) == b"open"
        faulty.black_hole = True
        stand_still(0.1)
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await driver.run(echo("lost", 50))
        assert time.monotonic() - began < 5


async def test_blocking_commands_do_not_hold_up_others(driver: Driver, raw: redis.Redis) -> None:
    pop: Op[Any] = command("test.pop", Effect.ONCE, "BLPOP", "list", 5, decode=lambda reply: reply)
    waiting = [asyncio.create_task(driver.block(pop, 5)) for _ in range(3)]
    assert await driver.run(echo("free")) == b"free"
    while int(raw.info("clients")["blocked_clients"]) < 3:
        await asyncio.sleep(0.005)
    raw.rpush("list", "a", "b", "c")
    assert sorted([(await task)[1] for task in waiting]) == [b"a", b"b", b"c"]


async def test_an_abandoned_blocking_command_takes_nothing(driver: Driver, raw: redis.Redis) -> None:
    pop: Op[Any] = command("test.pop", Effect.ONCE, "BLPOP", "list", 5, decode=lambda reply: reply)
    task = asyncio.create_task(driver.block(pop, 5))
    while int(raw.info("clients")["blocked_clients"]) < 1:
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    while int(raw.info("clients")["blocked_clients"]) > 0:
        await asyncio.sleep(0.005)
    raw.rpush("list", "kept")
    assert raw.llen("list") == 1


async def test_a_cancelled_flow_cleans_up(driver: Driver, raw: redis.Redis) -> None:
    started = asyncio.Event()

    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    def story() -> Flow[None]:
        try:
            yield Call(forever)
        finally:
            yield command("test.set", Effect.IDEMPOTENT, "SET", "cleaned", 1, decode=lambda reply: reply)

    task = asyncio.create_task(driver.follow(story()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert raw.get("cleaned") == b"1"


async def test_subscribers_see_their_messages_and_every_break(driver: Driver, raw: redis.Redis) -> None:
    async with driver.subscribe("a", "b") as messages, driver.subscribe("b") as others:
        raw.publish("a", "1")
        raw.publish("b", "2")
        assert [(m.channel, m.data) for m in (await anext(messages), await anext(messages))] == [
            ("a", b"1"),
            ("b", b"2"),
        ]
        assert (await anext(others)).data == b"2"
        raw.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        assert (await anext(others)).gap
        raw.publish("b", "3")
        assert (await anext(others)).data == b"3"
    while {b"a", b"b"} & {*raw.pubsub_channels()}:
        await asyncio.sleep(0.005)


@pytest.mark.one_server  # between nodes a later message of another channel may come first
async def test_a_slow_subscriber_loses_the_oldest_and_is_told(url: str, raw: redis.Redis) -> None:
    async with Driver(url, Options(queue=3)) as driver, driver.subscribe("a") as slow, driver.subscribe("b") as other:
        for number in range(10):
            raw.publish("a", number)
        raw.publish("b", "last")
        await anext(other)
        seen = [await anext(slow) for _ in range(3)]
        assert seen[0].gap
        assert [message.data for message in seen[1:]] == [b"8", b"9"]


async def test_an_error_of_the_subscriber_stays_his_own(driver: Driver) -> None:
    with pytest.raises(TimeoutError):
        async with driver.subscribe("a"):
            raise TimeoutError


async def test_subscribing_where_no_server_is_fails_clearly() -> None:
    async with Driver("redis://127.0.0.1:1/0", Options(connect=0.2, command=0.1)) as driver:
        with pytest.raises(Unavailable, match="cannot subscribe at"):
            async with driver.subscribe("a"):
                pytest.fail("subscribed to nothing")


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_subscribing_where_something_else_answers_says_so(greeting: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(greeting)
        writer.close()

    async with (
        answering(answer) as port,
        Driver(f"redis://127.0.0.1:{port}", Options(connect=0.5, command=0.1)) as driver,
    ):
        with pytest.raises(Unavailable, match="does not speak the Redis protocol"):
            async with driver.subscribe("a"):
                pytest.fail("subscribed to nothing")


async def test_who_comes_while_another_leaves_misses_nothing(driver: Driver, raw: redis.Redis) -> None:
    """One channel, many who join, give up half way and leave: whoever is in hears what is said from then on."""
    chance = random.Random(20261129)

    async def visit(number: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(chance.choice((0, 0.0002, 0.001))):
                async with driver.subscribe("a"):
                    pass
        async with driver.subscribe("a") as messages:
            assert raw.publish("a", str(number)) == 1
            while (await anext(messages)).data != b"%d" % number:
                pass

    for _ in range(30):
        await asyncio.gather(*(visit(number) for number in range(chance.randrange(1, 6))))


async def test_the_answer_to_somebody_elses_subscription_is_not_ones_own(faulty: Proxy) -> None:
    """Join, leave and join again in one write: the first confirmation belongs to who has left."""
    async with Driver(faulty.url, timeout=LONG) as driver, driver.subscribe("other"):
        faulty.black_hole = True  # the server's own answers would come at any moment
        pubsub = driver._router.pubsub
        first = asyncio.create_task(driver.subscribe("a").__aenter__())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait({first})
        second = driver.subscribe("a")
        joining = asyncio.create_task(second.__aenter__())
        await asyncio.sleep(0)
        pubsub.hear([b"subscribe", b"a", 1])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not joining.done()
        pubsub.hear([b"unsubscribe", b"a", 1])
        pubsub.hear([b"subscribe", b"a", 1])
        await joining
        await second.__aexit__(None, None, None)


@pytest.mark.one_server  # of several, one may still be dialled when another has answered
async def test_close_answers_what_is_in_flight_and_is_idempotent(url: str) -> None:
    driver = Driver(url, timeout=LONG)
    calls = [asyncio.create_task(driver.run(echo(str(n)))) for n in range(10)]
    while not all(task.done() for task in calls):
        await asyncio.sleep(0)
        if calls[0].done():
            break
    await driver.close()
    await driver.close()
    assert len(await asyncio.gather(*calls)) == 10
    with pytest.raises(Unavailable, match="closed"):
        await driver.run(echo("late"))


async def test_closing_while_a_connection_opens_is_no_cancellation() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        driver = Driver(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        calls = [asyncio.create_task(driver.run(echo("x", 5_000))) for _ in range(2)]
        silent.setblocking(False)
        link, _ = await asyncio.get_running_loop().sock_accept(silent)
        with link:
            await driver.close()
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Closed] * 2
