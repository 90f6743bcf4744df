"""Event streams of many, slow and leaving browsers, and of a server that goes."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from starlette.requests import Request

from hustlex.drivers.aio import Driver
from hustlex.events import Events, Position, together
from hustlex.events.subscription import MOST_BYTES, MOST_MESSAGES
from hustlex.web import rights
from hustlex.web.sse import sse_response
from tests.web.test_sse import SCOPE, Client, Paid, Source, resumed, settled, streaming

LONG = timedelta(minutes=5)


class Trickling(Client):
    """Takes so many writes as it is allowed, and keeps the ids and amounts of the events."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.writes = asyncio.Semaphore(writes)
        self.seen: list[tuple[str, int]] = []

    async def send(self, message: Any) -> None:
        await self.writes.acquire()
        body = message.get("body", b"")
        if b'"amount":' in body:
            place = body.partition(b"\nid: ")[2].partition(b"\n")[0].decode()
            self.seen.append((place, int(body.partition(b'"amount":')[2].partition(b",")[0])))
            message = {**message, "body": b""}
        await super().send(message)

    def take(self, writes: int) -> None:
        for _ in range(writes):
            self.writes.release()


async def test_slow_browsers_cost_bounded_memory_and_nobody_else(driver: Driver) -> None:
    """T-E12: they take one event where another takes all. One gets on, the other comes back for the rest."""
    orders = Events(driver).channel("orders:{order_id}", Paid, kind="replay", size=1_000)

    async def opened(client: Client, place: str = "") -> tuple[Any, asyncio.Task[None]]:
        scope = {**SCOPE, "headers": [(b"last-event-id", place.encode())] if place else []}
        subscription = orders.subscribe(order_id=1)
        response = await sse_response(Request(scope), subscription, authorize=None, write_timeout=LONG)
        return subscription, asyncio.ensure_future(response(scope, client.receive, client.send))

    slow, gone, fast = Trickling(3), Trickling(3), Trickling(1_000)  # the head, the first comment and an event
    streams = [await opened(client) for client in (slow, gone, fast)]
    for client in (slow, gone, fast):
        await client.until(lambda: b":\n\n" in client.body)  # noqa: B023 - awaited within this turn
    for start in range(0, 250, 50):
        await orders.publish_many([Paid(n, "x" * 8_000) for n in range(start, start + 50)], order_id=1)
        await fast.until(lambda: len(fast.seen) == start + 50)  # noqa: B023
    assert [amount for _, amount in fast.seen] == [*range(250)]
    for client, (subscription, _) in zip((slow, gone), streams, strict=False):
        assert [amount for _, amount in client.seen] == [0]
        inbox = subscription._reader._inbox
        assert (len(inbox._items) <= MOST_MESSAGES, inbox._bytes <= MOST_BYTES) == (True, True)
    slow.take(1_000)
    gone.left.set()
    await streams[1][1]
    back = Trickling(1_000)
    streams.append(await opened(back, gone.seen[-1][0]))
    await slow.until(lambda: len(slow.seen) == 250)
    await back.until(lambda: len(back.seen) == 249)
    assert slow.seen == fast.seen == gone.seen + back.seen
    for client, (_, stream) in zip((slow, gone, fast, back), streams, strict=True):
        client.left.set()
        await stream


async def test_thousands_come_and_go_and_nothing_stays(driver: Driver, raw: redis.Redis) -> None:
    """T-E17, without sockets; with them it is hundreds in ``test_sse``, and ten thousand in `make bench-sse`."""
    events = Events(driver)
    orders = events.channel("orders:{order_id}", Paid)

    async def visit(number: int) -> None:
        client = Client()
        stream = await resumed(orders.subscribe(order_id=number % 2), client)
        await client.until(lambda: client.body)
        client.left.set()
        await stream

    await visit(1)
    await settled(lambda: not raw.pubsub_channels())
    tasks, waiting = len(asyncio.all_tasks()), len(rights._open)
    for _ in range(15):
        await asyncio.gather(*map(visit, range(100)))
    await settled(lambda: not raw.pubsub_channels() and len(asyncio.all_tasks()) <= tasks)
    assert (events._hub._feeds, len(rights._open)) == ({}, waiting)


async def test_thirty_two_channels_go_on_by_one_id(driver: Driver) -> None:
    """T-E14."""
    orders = Events(driver).channel("orders:{order_id}", Paid, kind="replay")

    async def heard(place: str | None) -> tuple[list[int], str]:
        client = Trickling(100)
        stream = await resumed(together(*(orders.subscribe(order_id=n) for n in range(32))), client, header=place)
        await client.until(lambda: b":\n\n" in client.body)
        for number in range(32) if place is None else ():
            await orders.publish(Paid(number), order_id=number)
        await client.until(lambda: len(client.seen) == 32)
        client.left.set()
        await stream
        assert b"event: gap" not in client.body
        return sorted(amount for _, amount in client.seen), client.seen[-1][0]

    amounts, place = await heard(None)
    assert amounts == [*range(32)]
    for number in range(32):
        await orders.publish(Paid(100 + number), order_id=number)
    assert (await heard(place))[0] == [*range(100, 132)]


async def test_the_last_offset_is_one_that_clients_can_send_back(driver: Driver, raw: redis.Redis) -> None:
    """T-E11: behind it the history begins anew."""
    orders = Events(driver).channel("orders:{order_id}", Paid, kind="replay")
    old = await orders.publish(Paid(0), order_id=1)
    raw.hset("ev:{orders:1}:m", "s", 2**53 - 2)
    last = await orders.publish(Paid(1), order_id=1)
    assert last == Position(old.epoch, 2**53 - 1) == Position.parse(str(last))
    new = await orders.publish(Paid(2), order_id=1)
    assert (new.offset, new.epoch != old.epoch) == (1, True)
    assert [message.data for message in await orders.history(order_id=1)] == [Paid(2)]
    assert Position.parse(f"{old.epoch}.{2**53}") is None


class TestDrain:
    """T-E24: a server that serves on lets its streams go one after the other."""

    @pytest.fixture
    def moments(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """When each stream ends, in the order in which they are told."""
        moments: list[float] = []
        monkeypatch.setattr(rights, "_drain", rights._Drain())
        monkeypatch.setattr(rights, "random", SimpleNamespace(uniform=lambda *_: moments.pop(0)))
        return moments

    async def test_streams_end_one_after_the_other(self, moments: list[float]) -> None:
        source = Source()
        clients = [Client() for _ in range(3)]
        streams = [await streaming(source, client) for client in clients]
        for client in clients:
            await client.until(lambda: client.body)  # noqa: B023
        moments += [0.0, 300.0, 300.0]
        rights.end_within(600)
        await asyncio.wait_for(streams[0], 60)
        assert [client.ended for client in clients] == [True, False, False]
        late = Client()
        moments.append(0.0)
        streams.append(await streaming(source, late))
        await asyncio.wait_for(streams[-1], 60)
        assert late.ended, "who comes meanwhile is sent away, too"
        rights.end_within(0)  # the second signal
        await asyncio.wait_for(asyncio.gather(*streams), 60)
        assert [client.ended for client in clients] == [True] * 3
        assert source.left == 4

    async def test_a_signal_ends_them_at_once_unless_the_server_serves_on(
        self, moments: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = Source()
        for drained in (True, False):
            client = Client()
            stream = await streaming(source, client)
            await client.until(lambda: client.body)  # noqa: B023
            moments[:] = [300.0]
            handler = (lambda *_: rights.end_within(600)) if drained else (lambda *_: None)
            monkeypatch.setitem(rights._chained, signal.SIGTERM, handler)
            rights._stop(signal.SIGTERM, None)
            if drained:
                await settled(lambda: not moments)
                for _ in range(10):
                    await asyncio.sleep(0)
                assert not client.ended
                monkeypatch.setattr(rights, "_drain", rights._Drain())
                rights._end_all()
            await asyncio.wait_for(stream, 60)
            assert client.ended
