"""Server-sent events: the framing, the stream's life, and that a browser's departure frees everything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
import psutil
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse, Unavailable
from hustlex.events import Events, Gap, Message, Together, Unknown, together
from hustlex.web.sse import end_streams, frame, render, sse_response
from tools.serving import serving


class Paid(msgspec.Struct, frozen=True, tag="paid"):
    amount: int
    note: str = ""


class Plain(msgspec.Struct, frozen=True):
    amount: int


def parse(stream: bytes) -> list[tuple[str, str]]:
    """The HTML standard's reader (section 9.2.6), written from its text: (event, data) of each dispatched event."""
    text = stream.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    events, name, data = [], "", ""
    for line in text.split("\n")[:-1]:
        field, _, value = line.partition(":")
        if line == "":
            if data:
                events.append((name or "message", data.removesuffix("\n")))
            name, data = "", ""
        elif field == "event":
            name = value.removeprefix(" ")
        elif field == "data":
            data += value.removeprefix(" ") + "\n"
    return events


def normal(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


hostile = st.text(st.sampled_from("\r\n:\0 a\u2028\x85\x0b\ufeff🚚") | st.characters(exclude_categories=["Cs"]))


@given(hostile, hostile)
def test_any_text_comes_through_whole_and_as_one_event(data: str, event: str) -> None:
    wanted = event.replace("\r\n", " ").replace("\r", " ").replace("\n", " ") or "message"
    assert parse(frame("before") + frame(data, event) + frame("after")) == [
        ("message", "before"),
        (wanted, normal(data)),
        ("message", "after"),
    ]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ("", b"data: \n\n"),
        ("a", b"data: a\n\n"),
        ("a\nb", b"data: a\ndata: b\n\n"),
        ("a\rb", b"data: a\ndata: b\n\n"),
        ("a\r\nb", b"data: a\ndata: b\n\n"),
        ("a\n\rb", b"data: a\ndata: \ndata: b\n\n"),
        ("a\n", b"data: a\ndata: \n\n"),
        (":a", b"data: :a\n\n"),
        (" a", b"data:  a\n\n"),
        ("🚚", "data: 🚚\n\n".encode()),
        ("\ud800", b"data: ?\n\n"),
    ],
)
def test_framing_by_hand(data: str, lines: bytes) -> None:
    assert frame(data) == lines


def test_a_mebibyte_is_one_event() -> None:
    assert parse(frame("x" * 1024 * 1024, "big")) == [("big", "x" * 1024 * 1024)]


@pytest.mark.parametrize(
    ("item", "event"),
    [
        (Message(Paid(5, "a\r\nb"), "c", 1), ("paid", '{"type":"paid","amount":5,"note":"a\\r\\nb"}')),
        (Message(Plain(5), "c", 1), ("message", '{"amount":5}')),
        (Message({"a": 1}, "c", 1), ("message", '{"a":1}')),
        (Message(Unknown(b"\xffsecret"), "c", 1), ("unknown", "null")),
        (Gap("dropped", 3), ("gap", '{"reason":"dropped","recovered":false,"position":null}')),
    ],
)
def test_items_become_events(item: Message[Any] | Gap, event: tuple[str, str]) -> None:
    assert parse(render(item)) == [event]


class Client:
    """An ASGI server's side, driven by hand: collects what is sent, leaves when told."""

    def __init__(self) -> None:
        self.start: dict[str, Any] = {}
        self.body = b""
        self.ended = False
        self.left = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()
        self.broken = False
        self.arrived = asyncio.Condition()

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.room.wait()
        if self.broken:
            raise OSError("the socket is closed")
        if message["type"] == "http.response.start":
            self.start = message
            return
        self.body += message["body"]
        self.ended = not message.get("more_body", False)
        async with self.arrived:
            self.arrived.notify_all()

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(60), self.arrived:
            await self.arrived.wait_for(condition)


class Source:
    """A subscription that yields what the test puts in: an exception is raised, None is the end."""

    def __init__(self) -> None:
        self.items: asyncio.Queue[Any] = asyncio.Queue()
        self.entered = 0
        self.left = 0

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[AsyncIterator[Any]]:
        self.entered += 1
        try:
            yield self._items()
        finally:
            self.left += 1

    def _items(self) -> AsyncIterator[Any]:
        return self

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        item = await self.items.get()
        if isinstance(item, Exception):
            raise item
        if item is None:
            raise StopAsyncIteration
        return item


SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": []}


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def source() -> Source:
    return Source()


async def streaming(source: Source, client: Client, **options: Any) -> asyncio.Task[None]:
    response = await sse_response(Request(SCOPE), source.subscribe(), authorize=None, **options)
    return asyncio.ensure_future(response(SCOPE, client.receive, client.send))


async def test_the_head_and_the_first_bytes_come_at_once(source: Source, client: Client) -> None:
    stream = await streaming(source, client)
    await client.until(lambda: client.body)
    assert client.start["status"] == 200
    assert dict(client.start["headers"]) == {
        b"content-type": b"text/event-stream; charset=utf-8",
        b"cache-control": b"no-store",
        b"x-accel-buffering": b"no",
    }
    retry, comment = client.body.split(b"\n", 1)
    assert 2_000 <= int(retry.removeprefix(b"retry: ")) <= 4_000
    assert comment == b":\n\n"
    client.left.set()
    await stream


async def test_events_and_gaps_are_written_in_order_and_the_end_is_clean(source: Source, client: Client) -> None:
    stream = await streaming(source, client)
    for item in (Message(Paid(1), "c", 1), Gap("reconnected"), Message(Paid(2), "c", 1), None):
        source.items.put_nowait(item)
    await stream
    assert [name for name, _ in parse(client.body)] == ["paid", "gap", "paid"]
    assert client.ended
    assert (source.entered, source.left) == (1, 1)


async def test_silence_is_filled_with_comments(source: Source, client: Client) -> None:
    stream = await streaming(source, client, heartbeat=timedelta(milliseconds=5))
    await client.until(lambda: client.body.count(b":\n\n") >= 4)
    source.items.put_nowait(Message(Paid(1), "c", 1))
    await client.until(lambda: len(parse(client.body)) == 1)
    client.left.set()
    await stream


async def test_departure_frees_the_subscription(source: Source, client: Client) -> None:
    stream = await streaming(source, client)
    await client.until(lambda: client.body)
    client.left.set()
    await stream
    assert source.left == 1
    assert not client.ended, "nothing is written to who has left"


async def test_a_failing_write_frees_the_subscription(source: Source, client: Client) -> None:
    stream = await streaming(source, client)
    await client.until(lambda: client.body)
    client.broken = True
    source.items.put_nowait(Message(Paid(1), "c", 1))
    await stream
    assert source.left == 1


async def test_a_client_that_takes_nothing_is_cut_off(source: Source, client: Client) -> None:
    stream = await streaming(source, client, write_timeout=timedelta(milliseconds=20))
    await client.until(lambda: client.body)
    client.room.clear()
    source.items.put_nowait(Message(Paid(1), "c", 1))
    await asyncio.wait_for(stream, 60)
    assert source.left == 1
    assert not client.ended


async def test_a_stream_ends_by_itself_after_its_lifetime(source: Source, client: Client) -> None:
    stream = await streaming(source, client, lifetime=timedelta(milliseconds=50))
    await asyncio.wait_for(stream, 60)
    assert client.ended
    assert source.left == 1


async def test_a_stopping_server_ends_the_streams_of_its_app_and_no_others(source: Source) -> None:
    ours, other = Starlette(), Starlette()
    clients, streams = [Client(), Client(), Client()], []
    for client, app in zip(clients, (ours, ours, other), strict=True):
        response = await sse_response(Request(SCOPE), source.subscribe(), authorize=None)
        streams.append(asyncio.ensure_future(response({**SCOPE, "app": app}, client.receive, client.send)))
        await client.until(lambda: client.body)  # noqa: B023 - awaited within this turn
    end_streams(ours)
    await asyncio.wait_for(asyncio.gather(*streams[:2]), 60)
    assert [client.ended for client in clients] == [True, True, False]
    assert source.left == 2
    end_streams(other)
    await asyncio.wait_for(streams[2], 60)
    end_streams(Starlette())


async def test_cancelling_frees_the_subscription(source: Source, client: Client) -> None:
    stream = await streaming(source, client)
    await client.until(lambda: client.body)
    before = asyncio.all_tasks()
    stream.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stream
    assert source.left == 1
    assert len(asyncio.all_tasks()) == len(before) - 3, "the stream, its writer and its watcher"


async def test_a_lost_server_ends_the_stream_so_that_the_browser_comes_back(source: Source, client: Client) -> None:
    stream = await streaming(source, client)
    source.items.put_nowait(Unavailable("closed"))
    await stream
    assert client.ended


async def test_a_fault_of_the_program_is_not_hidden(source: Source, client: Client) -> None:
    stream = await streaming(source, client)
    source.items.put_nowait(Message(object(), "c", 1))
    with pytest.raises(TypeError):
        await stream
    assert source.left == 1


async def test_a_subscription_that_cannot_be_entered_fails_before_the_head(client: Client) -> None:
    @asynccontextmanager
    async def refused() -> AsyncIterator[AsyncIterator[Any]]:
        raise Unavailable("no server")
        yield

    response = await sse_response(Request(SCOPE), refused(), authorize=None)
    with pytest.raises(Unavailable):
        await response(SCOPE, client.receive, client.send)
    assert client.start == {}


async def test_a_forbidden_client_is_told_to_stop_trying(source: Source, client: Client) -> None:
    asked = []

    async def authorize(request: Request) -> bool:
        asked.append(request)
        return False

    request = Request(SCOPE)
    response = await sse_response(request, source.subscribe(), authorize=authorize)
    await response(SCOPE, client.receive, lambda message: _keep(client, message))
    assert asked == [request]
    assert client.start["status"] == 204
    assert source.entered == 0


async def _keep(client: Client, message: Any) -> None:
    if message["type"] == "http.response.start":
        client.start = message


@pytest.mark.parametrize("option", ["heartbeat", "lifetime", "write_timeout"])
async def test_times_must_be_positive(source: Source, option: str) -> None:
    with pytest.raises(Misuse):
        await sse_response(Request(SCOPE), source.subscribe(), authorize=None, **{option: timedelta(0)})


# -- through a real HTTP server, on a real Redis


@asynccontextmanager
async def door(endpoint: Callable[[Request], Awaitable[Response]]) -> AsyncIterator[int]:
    """A uvicorn on a free port of 127.0.0.1; yields the port."""
    async with serving(Starlette(routes=[Route("/events", endpoint)])) as address:
        yield int(address.rpartition(":")[2])


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a stream and read its head and its first comment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /events HTTP/1.1\r\nHost: test\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    await reader.readuntil(b":\n\n")
    return reader, writer


async def settled(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_published_event_arrives_at_the_browser(driver: Driver) -> None:
    orders = Events(driver).channel("orders:{order_id}", Paid)

    async def endpoint(request: Request) -> Response:
        return await sse_response(request, orders.subscribe(order_id=42), authorize=None)

    async with door(endpoint) as port:
        reader, writer = await connect(port)
        assert await orders.publish(Paid(5), order_id=42) == 1
        received = await reader.readuntil(b"}\n\n")
        assert b"event: paid\n" in received
        assert json.loads(received[received.index(b"data: ") + 6 :]) == {"type": "paid", "amount": 5, "note": ""}
        writer.close()


async def test_hundreds_of_browsers_come_and_go_and_nothing_stays(driver: Driver, raw: redis.Redis) -> None:
    orders = Events(driver).channel("orders:{order_id}", Paid)

    async def endpoint(request: Request) -> Response:
        return await sse_response(request, orders.subscribe(order_id=42), authorize=None)

    async with door(endpoint) as port:
        _, writer = await connect(port)
        writer.close()
        await settled(lambda: not raw.pubsub_channels())
        tasks, files = len(asyncio.all_tasks()), psutil.Process().num_fds()
        for wave in range(15):
            links = await asyncio.gather(*(connect(port) for _ in range(20)))
            assert await orders.publish(Paid(wave), order_id=42) == 1
            for reader, writer in links:
                await reader.readuntil(b"}\n\n")
                if wave % 2:
                    writer.transport.abort()
                else:
                    writer.close()
        await settled(lambda: not raw.pubsub_channels())
        await settled(lambda: len(asyncio.all_tasks()) <= tasks and psutil.Process().num_fds() <= files)


# -- coming back


def parsed_with_ids(stream: bytes) -> list[tuple[str, str]]:
    """(id in force, event) of each dispatched event; the standard keeps the last id."""
    found, position, event, data = [], "", "message", False
    for line in stream.decode().split("\n"):
        field, _, value = line.partition(": ")
        if field == "id":
            position = value
        elif field == "event":
            event = value
        elif field == "data":
            data = True
        elif line == "":
            found += [(position, event)] if data else []
            event, data = "message", False
    return found


async def resumed(subscription: Any, client: Client, *, header: str | None = None, query: bytes = b"") -> Any:
    headers = [] if header is None else [(b"last-event-id", header.encode("latin-1"))]
    scope = {**SCOPE, "headers": headers, "query_string": query}
    response = await sse_response(Request(scope), subscription, authorize=None)
    return asyncio.ensure_future(response(scope, client.receive, client.send))


async def test_a_browser_that_comes_back_goes_on_where_it_was(driver: Driver) -> None:
    orders = Events(driver).channel("orders:{order_id}", Paid, kind="replay")
    first = Client()
    stream = await resumed(orders.subscribe(order_id=1), first)
    await first.until(lambda: b":\n\n" in first.body)
    assert b"\nid: .0\n" in first.body, "there is nothing yet, and that is a place, too"
    for amount in range(3):
        await orders.publish(Paid(amount), order_id=1)
    await first.until(lambda: first.body.count(b"data:") == 3)
    first.left.set()
    await stream
    ids = [position for position, _ in parsed_with_ids(first.body)]
    assert [each.partition(".")[2] for each in ids] == ["1", "2", "3"]
    for came_from, left in ((".0", 3), (ids[0], 2), (ids[2], 0)):
        for how in ({"header": came_from}, {"query": f"last_event_id={came_from}".encode()}):
            client = Client()
            stream = await resumed(orders.subscribe(order_id=1), client, **how)  # type: ignore[arg-type]
            await client.until(lambda: b":\n\n" in client.body)  # noqa: B023
            await orders.publish(Paid(9), order_id=1)
            wanted = left + 1
            await client.until(lambda: client.body.count(b"data:") >= wanted)  # noqa: B023
            assert b"event: gap" not in client.body
            client.left.set()
            await stream
            await orders.remove_history(order_id=2)
        left += 1


@pytest.mark.parametrize(
    "header", ["garbage", "other.5", "", "\xff\xfe", "m1.AAAA", "x" * 9_000, "e.99999999999999999999"]
)
async def test_a_position_of_nothing_is_a_gap_and_no_error(driver: Driver, header: str) -> None:
    orders = Events(driver).channel("orders:{order_id}", Paid, kind="replay")
    here = await orders.publish(Paid(1), order_id=1)
    client = Client()
    stream = await resumed(orders.subscribe(order_id=1), client, header=header or "-")
    await client.until(lambda: b"event: gap" in client.body)
    assert parsed_with_ids(client.body)[0] == (str(here), "gap")
    client.left.set()
    await stream


async def test_several_channels_are_one_stream_with_one_id(driver: Driver) -> None:
    events = Events(driver)
    orders = events.channel("orders:{order_id}", Paid, kind="replay")
    prices = events.channel("prices:{item}", Plain, kind="replay")
    live = events.channel("live:all", Plain)

    def both() -> Together:
        return together(orders.subscribe(order_id=1), prices.subscribe(item=1), live.subscribe())

    client = Client()
    stream = await resumed(both(), client)
    await client.until(lambda: b":\n\n" in client.body)
    await orders.publish(Paid(1), order_id=1)
    await client.until(lambda: client.body.count(b"data:") == 1)
    middle = parsed_with_ids(client.body)[-1][0]
    await prices.publish(Plain(1), item=1)
    await client.until(lambda: client.body.count(b"data:") == 2)
    client.left.set()
    await stream
    await orders.publish(Paid(2), order_id=1)
    back = Client()
    stream = await resumed(both(), back, header=middle)
    await back.until(lambda: back.body.count(b"data:") == 2)
    assert sorted(event for _, event in parsed_with_ids(back.body)) == ["message", "paid"]
    assert b"event: gap" not in back.body
    back.left.set()
    await stream
    lost = Client()
    stream = await resumed(both(), lost, header="m1.garbage")
    await lost.until(lambda: lost.body.count(b"event: gap") == 2)
    lost.left.set()
    await stream


async def test_what_cannot_be_one_stream_is_refused(driver: Driver) -> None:
    orders = Events(driver).channel("orders:{order_id}", Paid, kind="replay")
    for wrong in ((), (orders.subscribe(order_id=1), orders.subscribe(order_id=1)), (5,)):
        with pytest.raises(Misuse):
            together(*wrong)  # type: ignore[arg-type]
    with pytest.raises(Misuse):
        together(*(orders.subscribe(order_id=n) for n in range(33)))


async def test_an_event_is_written_once_for_all_streams(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr("hustlex.web.sse.render", lambda item: written.append(item) or render(item))
    orders = Events(driver).channel("orders:{order_id}", Paid, kind="replay")
    clients = [Client() for _ in range(10)]
    streams = [await resumed(orders.subscribe(order_id=1), client) for client in clients]
    for client in clients:
        await client.until(lambda: b":\n\n" in client.body)  # noqa: B023
    await orders.publish(Paid(1), order_id=1)
    for client in clients:
        await client.until(lambda: client.body.count(b"data:") == 1)  # noqa: B023
        client.left.set()
    await asyncio.gather(*streams)
    assert len(written) == 1
