"""The events room without a server: names, payloads, and the hub's promises on a driver that tests drive by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.core.op import Message as Frame
from hustlex.errors import Misuse, Unavailable
from hustlex.events import Events, Gap, Message, Unknown
from hustlex.events.names import ChannelTemplate
from hustlex.events.wire import EventCodec
from tests.support.ids import texts


class Paid(msgspec.Struct, frozen=True, tag="paid"):
    amount: int


class Shipped(msgspec.Struct, frozen=True, tag="shipped"):
    by: str


def wire(payload: bytes, ts: int = 5) -> bytes:
    return b"1 - 0 %d\n" % ts + payload


class HandDriver:
    """Counts subscriptions and delivers what a test pushes."""

    def __init__(self) -> None:
        self.queues: dict[str, asyncio.Queue[Frame | Exception | None]] = {}
        self.opened: list[str] = []
        self.refuse: Exception | None = None
        self.confirm = asyncio.Event()
        self.confirm.set()
        self.link = SimpleNamespace(cluster=False)

    async def run(self, op: Any) -> Any:
        """No call is made: tests push what the driver would hear."""
        raise AssertionError(op)

    run_many = follow = run

    @asynccontextmanager
    async def subscribe(self, *channels: str, sharded: bool = False) -> AsyncIterator[AsyncIterator[Frame]]:
        (channel,) = channels
        assert not sharded
        if self.refuse:
            raise self.refuse
        await self.confirm.wait()
        assert channel not in self.queues, "one feed per channel"
        self.opened.append(channel)
        self.queues[channel] = asyncio.Queue()
        try:
            yield self._frames(channel)
        finally:
            del self.queues[channel]

    async def _frames(self, channel: str) -> AsyncIterator[Frame]:
        while (item := await self.queues[channel].get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def push(self, channel: str, data: bytes) -> None:
        self.queues[channel].put_nowait(Frame(channel, data))


@pytest.fixture
async def driver() -> HandDriver:
    return HandDriver()


@pytest.fixture
def orders(driver: HandDriver) -> Any:
    return Events(driver, prefix="app:").channel("orders:{order_id}", Paid | Shipped)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "orders",
        "orders:",
        ":x",
        "o:x",
        "a b:x",
        "orders:{",
        "orders:{}",
        "orders:{a",
        "orders:a b",
        "orders:\n",
        "orders:{1a}",
        "orders:x\n",
        "x" * 33 + ":y",
        "orders:é",
    ],
)
def test_a_malformed_name_is_refused(text: str) -> None:
    with pytest.raises(Misuse):
        ChannelTemplate(text)


def test_values_fill_the_name() -> None:
    template = ChannelTemplate("chat:{room}/{member}#x", "app:")
    member = UUID("12345678-1234-5678-1234-567812345678")
    name = template.name({"room": 7, "member": member})
    assert name == f"chat:7/{member}#x"
    assert template.key(name) == f"app:ev:chat:7/{member}#x"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"room": 1},
        {"room": 1, "member": 2, "other": 3},
        {"room": "", "member": 1},
        {"room": "x" * 250, "member": 1},
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        ChannelTemplate("chat:{room}/{member}").name(values)


@given(
    texts(8),
    texts(8),
    texts(8),
    texts(8),
)
def test_different_values_never_share_a_channel(a: str, b: str, c: str, d: str) -> None:
    template = ChannelTemplate("pair:{left}:{right}#{left}")
    one, two = template.name({"left": a, "right": b}), template.name({"left": c, "right": d})
    assert (one == two) == ((a, b) == (c, d))
    assert not set(one) & set("{} \r\n\0")


def test_values_cannot_place_a_separator() -> None:
    assert ChannelTemplate("user:{ref}").name({"ref": "1:2#3{4}%"}) == "user:1%3A2%233%7B4%7D%25"


def test_an_event_survives_the_wire() -> None:
    codec: EventCodec[Any] = EventCodec(Paid | Shipped, 100)  # type: ignore[arg-type]
    assert codec.decode("orders:1", wire(codec.encode(Paid(5)), 1_767_225_600_000)) == Message(
        Paid(5), "orders:1", 1_767_225_600_000
    )


def test_a_newer_type_arrives_as_unknown() -> None:
    codec: EventCodec[Any] = EventCodec(Paid | Shipped, 100)  # type: ignore[arg-type]
    raw = b'{"type":"refunded","amount":5}'
    assert codec.decode("orders:1", wire(raw)) == Message(Unknown(raw), "orders:1", 5)


@given(st.binary(max_size=80))
def test_nonsense_never_raises(junk: bytes) -> None:
    codec: EventCodec[Any] = EventCodec(Paid, 100)
    assert codec.decode("c", junk).data == Unknown(junk) or junk.startswith(b"1 ")
    assert isinstance(codec.decode("c", wire(junk)).data, Unknown)


def test_deep_nesting_is_unknown_and_not_an_error() -> None:
    codec: EventCodec[Any] = EventCodec(object, 100)
    assert isinstance(codec.decode("c", wire(b"[" * 100_000)).data, Unknown)


def test_unknown_does_not_show_its_payload() -> None:
    assert "secret" not in repr(Unknown(b"secret"))


def test_limits_are_checked_before_sending() -> None:
    codec = EventCodec(Shipped, 40)
    codec.encode(Shipped("x" * 10))
    with pytest.raises(Misuse, match="bytes"):
        codec.encode(Shipped("x" * 40))
    with pytest.raises(Misuse):
        codec.encode(object())  # type: ignore[arg-type]
    for limit in (0, 1024 * 1024 + 1):
        with pytest.raises(Misuse):
            EventCodec(Shipped, limit)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Shipped, Paid(1)),
        (Shipped, Shipped(5)),  # type: ignore[arg-type]
        (Paid, {"type": "paid", "amount": "secret"}),
        (dict[str, int], {"a": "secret"}),
        (int, None),
        (str, 5),
    ],
)
def test_what_no_reader_could_read_is_not_sent(kind: Any, wrong: Any) -> None:
    with pytest.raises(Misuse, match="not what this channel carries") as refused:
        EventCodec(kind, 100).encode(wrong)
    assert "secret" not in str(refused.value)
    assert EventCodec(object, 100).encode(wrong)


async def test_one_feed_serves_all_local_subscribers_and_ends_with_the_last(driver: HandDriver, orders: Any) -> None:
    async with orders.subscribe(order_id=1) as first:
        async with orders.subscribe(order_id=1) as second:
            driver.push("app:ev:orders:1", wire(b'{"type":"paid","amount":5}'))
            one, two = await anext(first), await anext(second)
            assert one is two, "decoded once"
            assert one == Message(Paid(5), "orders:1", 5)
        driver.push("app:ev:orders:1", wire(b'{"type":"shipped","by":"bike"}'))
        assert (await anext(first)).data == Shipped("bike")
    assert driver.opened == ["app:ev:orders:1"]
    assert driver.queues == {}


async def test_a_slow_subscriber_loses_the_oldest_and_is_told_where(driver: HandDriver, orders: Any) -> None:
    async with orders.subscribe(order_id=1) as slow, orders.subscribe(order_id=1) as fast:
        for amount in range(1_250):
            driver.push("app:ev:orders:1", wire(b'{"type":"paid","amount":%d}' % amount))
            assert (await anext(fast)).data == Paid(amount)
        assert await anext(slow) == Gap("dropped", 250)
        assert [(await anext(slow)).data.amount for _ in range(1_000)] == list(range(250, 1_250))


async def test_a_mailbox_is_bounded_in_bytes(driver: HandDriver, orders: Any) -> None:
    async with orders.subscribe(order_id=1) as slow, orders.subscribe(order_id=1) as fast:
        for number in range(40):
            driver.push("app:ev:orders:1", wire(b'{"type":"shipped","by":"%d%s"}' % (number, b"x" * 60_000)))
            await anext(fast)
        gap = await anext(slow)
        assert gap == Gap("dropped", 40 - 1024 * 1024 // 60_000)
        assert (await anext(slow)).data.by.startswith(f"{gap.count}x")


async def test_a_break_is_shown(driver: HandDriver, orders: Any) -> None:
    async with orders.subscribe(order_id=1) as messages:
        driver.queues["app:ev:orders:1"].put_nowait(Frame("", b"", gap=True))
        assert await anext(messages) == Gap("reconnected", channel="orders:1")


async def test_the_drivers_error_reaches_every_subscriber_last(driver: HandDriver, orders: Any) -> None:
    async with orders.subscribe(order_id=1) as first, orders.subscribe(order_id=1) as second:
        driver.push("app:ev:orders:1", wire(b'{"type":"paid","amount":5}'))
        driver.queues["app:ev:orders:1"].put_nowait(Unavailable("closed"))
        for messages in (first, second):
            assert (await anext(messages)).data == Paid(5)
            with pytest.raises(Unavailable):
                await anext(messages)
    async with orders.subscribe(order_id=1):
        assert driver.opened == ["app:ev:orders:1"] * 2, "a new subscriber starts afresh"


async def test_the_end_of_the_stream_ends_the_loop(driver: HandDriver, orders: Any) -> None:
    async with orders.subscribe(order_id=1) as messages:
        driver.queues["app:ev:orders:1"].put_nowait(None)
        assert [item async for item in messages] == []


async def test_a_refused_subscription_raises_at_the_door(driver: HandDriver, orders: Any) -> None:
    driver.refuse = Unavailable("no server")
    for _ in range(2):
        with pytest.raises(Unavailable):
            async with orders.subscribe(order_id=1):
                pytest.fail("entered")


async def test_cancelling_an_entry_leaves_nothing_behind(driver: HandDriver, orders: Any) -> None:
    driver.confirm.clear()
    entering = asyncio.ensure_future(orders.subscribe(order_id=1).__aenter__())
    await asyncio.sleep(0)
    before = asyncio.all_tasks()
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert len(asyncio.all_tasks()) == len(before) - 2, "neither the entry nor its feed"
    assert driver.opened == []


async def test_cancelling_a_wait_loses_nothing(driver: HandDriver, orders: Any) -> None:
    async with orders.subscribe(order_id=1) as messages:
        waiting = asyncio.ensure_future(anext(messages))
        await asyncio.sleep(0)
        driver.push("app:ev:orders:1", wire(b'{"type":"paid","amount":5}'))
        waiting.cancel()
        await asyncio.wait([waiting])
        assert (await anext(messages)).data == Paid(5)


async def test_a_subscription_is_used_once_and_only_inside_its_block(orders: Any) -> None:
    subscription = orders.subscribe(order_id=1)
    with pytest.raises(Misuse):
        await anext(subscription)
    async with subscription:
        pass
    with pytest.raises(Misuse):
        await subscription.__aenter__()
    with pytest.raises(StopAsyncIteration):
        await anext(subscription)


async def test_ten_thousand_subscribers_of_one_channel_hear_each_message_once(driver: HandDriver, orders: Any) -> None:
    """T-E23: what a message costs is an entry in each queue; it is decoded once."""
    async with AsyncExitStack() as stack:
        subscribers = [await stack.enter_async_context(orders.subscribe(order_id=1)) for _ in range(10_000)]
        for amount in range(3):
            driver.push("app:ev:orders:1", wire(b'{"type":"paid","amount":%d}' % amount))
        seen = [await anext(subscribers[0]) for _ in range(3)]
        assert [message.data.amount for message in seen] == [0, 1, 2]
        for subscriber in subscribers[1:]:
            for message in seen:
                assert await anext(subscriber) is message
    assert driver.queues == {}
