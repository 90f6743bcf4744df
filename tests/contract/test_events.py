"""Publishing and listening on a real server."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse, Unavailable
from hustlex.events import Events, Gap, Message, Unknown
from tests.conftest import LONG


class Paid(msgspec.Struct, frozen=True, tag="paid"):
    amount: int
    note: str = ""


class Shipped(msgspec.Struct, frozen=True, tag="shipped"):
    by: str


OrderEvent = Paid | Shipped


@pytest.mark.one_server
async def test_an_event_reaches_a_subscriber_from_either_style(hx: Any, driver: Driver, clock: FixedClock) -> None:
    listening = Events(driver).channel("orders:{order_id}", OrderEvent)
    publishing = hx.events.channel("orders:{order_id}", OrderEvent)
    assert await publishing.publish(Paid(5), order_id=42) == 0
    async with listening.subscribe(order_id=42) as messages:
        assert await publishing.publish(Paid(7, "é\r\n\0"), order_id=42) == 1
        assert await publishing.publish(Shipped("bike"), order_id=43) == 0
        assert await publishing.publish(Shipped("car"), order_id=42) == 1
        assert await anext(messages) == Message(Paid(7, "é\r\n\0"), "orders:42", clock())
        assert await anext(messages) == Message(Shipped("car"), "orders:42", clock())


@pytest.mark.one_server
async def test_the_wire_is_as_specified(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    with raw.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe("ev:orders:42")
        pubsub.get_message(ignore_subscribe_messages=False, timeout=60)
        assert await hx.events.channel("orders:{order_id}", OrderEvent).publish(Paid(5), order_id=42) == 1
        received = pubsub.get_message(timeout=60)
    assert received is not None
    assert received["data"] == b'1 - 0 %d\n{"type":"paid","amount":5,"note":""}' % clock()
    assert raw.dbsize() == 0


async def test_the_servers_clock_stamps_by_default(driver: Driver) -> None:
    orders = Events(driver).channel("orders:{order_id}", OrderEvent)
    async with orders.subscribe(order_id=1) as messages:
        await orders.publish(Paid(5), order_id=1)
        message = await anext(messages)
    assert isinstance(message, Message)
    assert abs(message.ts - time.time() * 1000) < 60_000


@pytest.mark.one_server
async def test_the_prefix_separates_applications(driver: Driver) -> None:
    ours, theirs = (Events(driver, prefix=prefix).channel("orders:all", OrderEvent) for prefix in ("a:", "b:"))
    async with ours.subscribe() as messages:
        assert await theirs.publish(Paid(1)) == 0
        assert await ours.publish(Paid(2)) == 1
        assert (await anext(messages)).data == Paid(2)


@pytest.mark.one_server  # a cluster tells its channels by SPUBLISH: tests/drivers/test_cluster_events.py
async def test_foreign_and_newer_payloads_are_unknown(driver: Driver, raw: redis.Redis) -> None:
    orders = Events(driver).channel("orders:all", OrderEvent)
    async with orders.subscribe() as messages:
        raw.publish("ev:orders:all", b"hello")
        raw.publish("ev:orders:all", b'1 - 0 5\n{"type":"refunded"}')
        assert await anext(messages) == Message(Unknown(b"hello"), "orders:all", 0)
        assert await anext(messages) == Message(Unknown(b'{"type":"refunded"}'), "orders:all", 5)


@pytest.mark.one_server
async def test_too_large_an_event_is_not_sent(hx: Any, raw: redis.Redis) -> None:
    orders = hx.events.channel("orders:all", OrderEvent, max_payload=1_000)
    published_before = raw.info("commandstats").get("cmdstat_publish", {}).get("calls", 0)
    with pytest.raises(Misuse):
        await orders.publish(Paid(5, "x" * 1_000))
    assert raw.info("commandstats").get("cmdstat_publish", {}).get("calls", 0) == published_before


@pytest.mark.one_server
async def test_fifty_publishers_to_fifty_subscribers_each_in_order(driver: Driver, raw: redis.Redis) -> None:
    orders = Events(driver).channel("orders:all", OrderEvent)
    entered = asyncio.Barrier(51)

    async def listen() -> list[int]:
        async with orders.subscribe() as messages:
            await entered.wait()
            return [(await anext(messages)).data.amount for _ in range(500)]

    async def publish(publisher: int) -> None:
        for number in range(10):
            assert await orders.publish(Paid(publisher * 10 + number)) == 1

    async with asyncio.TaskGroup() as group:
        listeners = [group.create_task(listen()) for _ in range(50)]
        await entered.wait()
        for publisher in range(50):
            group.create_task(publish(publisher))
    received = listeners[0].result()
    assert sorted(received) == list(range(500))
    assert all(listener.result() == received for listener in listeners)
    for publisher in range(50):
        assert [amount % 10 for amount in received if amount // 10 == publisher] == list(range(10))


@pytest.mark.one_server
async def test_a_killed_connection_is_shown_as_a_gap_and_heals(driver: Driver, raw: redis.Redis) -> None:
    orders = Events(driver).channel("orders:{order_id}", OrderEvent)
    async with orders.subscribe(order_id=1) as first, orders.subscribe(order_id=2) as second:
        for amount in range(3):
            assert raw.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
            assert await anext(first) == Gap("reconnected", channel="orders:1")
            assert await anext(second) == Gap("reconnected", channel="orders:2")
            assert await orders.publish(Paid(amount), order_id=1) == 1
            assert (await anext(first)).data == Paid(amount)


@pytest.mark.one_server
async def test_the_last_subscriber_gone_nothing_is_left_on_the_server(driver: Driver, raw: redis.Redis) -> None:
    orders = Events(driver).channel("orders:{order_id}", OrderEvent)
    for _ in range(100):
        async with orders.subscribe(order_id=1), orders.subscribe(order_id=1), orders.subscribe(order_id=2):
            assert sorted(raw.pubsub_channels()) == [b"ev:orders:1", b"ev:orders:2"]
            assert raw.pubsub_numsub("ev:orders:1") == [(b"ev:orders:1", 1)]
    async with asyncio.timeout(60):
        while raw.pubsub_channels():
            await asyncio.sleep(0.01)


async def test_closing_the_driver_ends_the_subscription_with_an_error(url: str) -> None:
    driver = Driver(url, timeout=LONG)
    async with Events(driver).channel("orders:all", OrderEvent).subscribe() as messages:
        await driver.close()
        with pytest.raises(Unavailable):
            await anext(messages)


async def test_an_unreachable_server_is_said_at_the_door() -> None:
    driver = Driver("redis://127.0.0.1:1/0")
    orders = Events(driver).channel("orders:all", OrderEvent)
    with pytest.raises(Unavailable):
        async with orders.subscribe():
            pytest.fail("entered")
    with pytest.raises(Unavailable):
        await orders.publish(Paid(1))
    await driver.close()
