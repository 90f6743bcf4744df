"""Channels with history on a real server: nothing lost, doubled or out of order, or a Gap that says so."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.drivers.aio.options import Options
from hustlex.errors import Misuse, OutcomeUnknown
from hustlex.events import Events, Gap, Message, Position, ReplayChannel, Unknown, cursors, ops
from tests.conftest import LONG
from tests.support import forked
from tests.support.proxy import Proxy


class Paid(msgspec.Struct, frozen=True, tag="paid"):
    amount: int
    note: str = ""


class Shipped(msgspec.Struct, frozen=True, tag="shipped"):
    by: str


OrderEvent = Paid | Shipped


def orders_of(driver: Any, **options: Any) -> ReplayChannel[Any]:
    return Events(driver).channel("orders:{order_id}", OrderEvent, **{"kind": "replay", **options})


@pytest.fixture
def orders(driver: Driver) -> ReplayChannel[Any]:
    return orders_of(driver)


async def amounts(messages: Any, count: int) -> list[Any]:
    """The next items; a gap stands as it is."""
    async with asyncio.timeout(60):
        items = [await anext(messages) for _ in range(count)]
    return [item.data.amount if isinstance(item, Message) else item for item in items]


async def settled(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


# -- publishing


async def test_an_event_is_kept_and_sent_in_one_step_by_either_style(
    hx: Any, driver: Driver, raw: redis.Redis, clock: FixedClock
) -> None:
    publishing = hx.events.channel("orders:{order_id}", OrderEvent, kind="replay")
    async with orders_of(driver).subscribe(order_id=42) as messages:
        first = await publishing.publish(Paid(5), order_id=42)
        assert first.offset == 1
        second = await publishing.publish(Paid(6), order_id=42)
        assert second == Position(first.epoch, 2)
        assert await anext(messages) == Message(Paid(5), "orders:42", clock(), first.epoch, 1)
        assert (await anext(messages)).position == second
    assert raw.xrange("ev:{orders:42}:s")[0] == (
        b"1-0",
        {b"d": b'{"type":"paid","amount":5,"note":""}', b"t": b"%d" % clock()},
    )
    assert raw.hgetall("ev:{orders:42}:m") == {b"e": first.epoch.encode(), b"s": b"2"}
    assert 0 < raw.pttl("ev:{orders:42}:s") <= 300_000 < raw.pttl("ev:{orders:42}:m")
    assert await publishing.position(order_id=42) == second
    assert await publishing.position(order_id=43) is None


@pytest.mark.one_server  # a cluster tells its channels by SPUBLISH: tests/drivers/test_cluster_events.py
async def test_the_wire_is_as_specified(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    with raw.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe("ev:orders:42")
        pubsub.get_message(ignore_subscribe_messages=False, timeout=60)
        here = await hx.events.channel("orders:{order_id}", OrderEvent, kind="replay").publish(Paid(5), order_id=42)
        received = pubsub.get_message(timeout=60)
    assert received is not None
    assert received["data"] == b'1 %s 1 %d\n{"type":"paid","amount":5,"note":""}' % (here.epoch.encode(), clock())


async def test_the_history_is_read_from_either_end(hx: Any) -> None:
    channel = hx.events.channel("orders:{order_id}", OrderEvent, kind="replay", size=200)
    sent = await channel.publish_many([Paid(n) for n in range(1, 151)], order_id=1)
    assert [each.offset for each in sent] == list(range(1, 151))

    async def read(**options: Any) -> list[int]:
        return [message.data.amount for message in await channel.history(order_id=1, **options)]

    assert await read(limit=3) == [1, 2, 3]
    assert await read(limit=3, reverse=True) == [150, 149, 148]
    assert await read(limit=3, since=sent[99]) == [101, 102, 103]
    assert await read(limit=2, since=str(sent[99]), reverse=True) == [150, 149]
    assert await read(since=Position("another", 5)) == await read(since="nonsense") == []
    await channel.remove_history(order_id=1)
    assert await read() == []
    assert (await channel.publish(Paid(1), order_id=1)).offset == 151


async def test_an_event_with_an_id_is_published_once(hx: Any, raw: redis.Redis) -> None:
    channel = hx.events.channel("orders:{order_id}", OrderEvent, kind="replay")
    first = await channel.publish(Paid(5), idem="receipt 7", order_id=1)
    assert await channel.publish(Paid(5), idem="receipt 7", order_id=1) == first
    assert (await channel.publish(Paid(5), idem="receipt 8", order_id=1)).offset == 2
    assert (await channel.publish(Paid(5), idem="receipt 7", order_id=2)).offset == 1
    assert raw.xlen("ev:{orders:1}:s") == 2
    assert 0 < raw.pttl("ev:{orders:1}:i:receipt 7") <= 300_000


async def test_a_state_that_is_older_than_the_last_is_dropped(hx: Any) -> None:
    channel = hx.events.channel("orders:{order_id}", OrderEvent, kind="latest")
    third = await channel.publish(Paid(3), version=3, order_id=1)
    for version in (3, 2):
        assert await channel.publish(Paid(version), version=version, order_id=1) == third
    assert (await channel.publish(Paid(4), version=4, order_id=1)).offset == 2
    assert [message.data.amount for message in await channel.history(order_id=1)] == [4]


async def test_a_lost_reply_is_repeated_with_an_id_and_unknown_without(faulty: Proxy, raw: redis.Redis) -> None:
    driver = Driver(faulty.url, timeout=timedelta(seconds=5))
    channel = orders_of(driver)
    await channel.publish(Paid(0), order_id=1)
    faulty.lose_reply(containing=b"receipt")
    assert (await channel.publish(Paid(1), idem="receipt", order_id=1)).offset == 2
    faulty.lose_reply(containing=b"unsure")
    with pytest.raises(OutcomeUnknown):
        await channel.publish(Paid(2, "unsure"), order_id=1)
    assert raw.xlen("ev:{orders:1}:s") == 3
    await driver.close()


async def test_large_offsets_print_right(orders: ReplayChannel[Any], raw: redis.Redis) -> None:
    await orders.publish(Paid(0), order_id=1)
    raw.hset("ev:{orders:1}:m", "s", 10**15)
    assert (await orders.publish(Paid(1), order_id=1)).offset == 10**15 + 1
    assert raw.xrevrange("ev:{orders:1}:s", count=1)[0][0] == b"1000000000000001-0"


async def test_leftovers_of_another_epoch_join_no_new_history(orders: ReplayChannel[Any], raw: redis.Redis) -> None:
    old = await orders.publish(Paid(1), order_id=1)
    raw.delete("ev:{orders:1}:m")
    new = await orders.publish(Paid(2), order_id=1)
    assert (new.offset, new.epoch != old.epoch) == (1, True)
    assert [message.data.amount for message in await orders.history(order_id=1)] == [2]


async def test_a_history_that_is_newer_than_its_offset_is_dropped(orders: ReplayChannel[Any], raw: redis.Redis) -> None:
    old = (await orders.publish_many([Paid(1), Paid(2), Paid(3)], order_id=1))[-1]
    raw.hset("ev:{orders:1}:m", "s", 1)
    new = await orders.publish(Paid(4), order_id=1)
    assert isinstance(old, Position)
    assert (new.offset, new.epoch != old.epoch) == (1, True)
    assert [message.data.amount for message in await orders.history(order_id=1)] == [4]


async def test_nothing_that_cannot_arrive_is_sent(orders: ReplayChannel[Any], raw: redis.Redis) -> None:
    with pytest.raises(Misuse, match="bytes"):
        await orders.publish(Paid(1, "x" * 70_000), order_id=1)
    with pytest.raises(Misuse):
        await orders.publish_many([Paid(1), Paid(2, "x" * 33_000_000)], order_id=1)
    assert raw.dbsize() == 0


# -- coming back


async def test_who_comes_back_misses_nothing(driver: Driver, orders: ReplayChannel[Any]) -> None:
    async with orders.subscribe(order_id=1) as messages:
        assert messages.recovered is None
        assert messages.position is None
        await orders.publish_many([Paid(n) for n in range(3)], order_id=1)
        assert await amounts(messages, 3) == [0, 1, 2]
        position = messages.position
    await orders.publish_many([Paid(n) for n in range(3, 6)], order_id=1)
    for since in (position, str(position)):
        async with orders.subscribe(order_id=1, since=since) as messages:
            assert messages.recovered
            await orders.publish(Paid(99), order_id=1)
            assert (await amounts(messages, 4))[:3] == [3, 4, 5]
    cold = orders_of(driver)
    async with cold.subscribe(order_id=1, since=messages.position) as messages:
        assert messages.recovered
        await orders.publish(Paid(100), order_id=1)
        assert await amounts(messages, 2) == [99, 100]


async def test_a_state_is_loaded_without_a_hole(orders: ReplayChannel[Any]) -> None:
    await orders.publish(Paid(1), order_id=1)
    position = await orders.position(order_id=1)
    await orders.publish(Paid(2), order_id=1)  # while the state is being loaded
    async with orders.subscribe(order_id=1, since=position) as messages:
        assert await amounts(messages, 1) == [2]


@pytest.mark.parametrize("since", ["", "nonsense", "other.7", "a b.1", "e.99999999999999999", "e.-1", "\u0661.\u0662"])
async def test_a_position_of_no_history_here_brings_a_gap_and_then_what_comes(
    orders: ReplayChannel[Any], since: str
) -> None:
    here = await orders.publish(Paid(1), order_id=1)
    async with orders.subscribe(order_id=1, since=since) as messages:
        assert messages.recovered is False
        await orders.publish(Paid(2), order_id=1)
        assert await amounts(messages, 2) == [Gap("epoch", channel="orders:1", position=here), 2]


async def test_after_a_flush_the_epoch_is_another_one(orders: ReplayChannel[Any], raw: redis.Redis) -> None:
    async with orders.subscribe(order_id=1) as messages:
        old = await orders.publish(Paid(1), order_id=1)
        assert await amounts(messages, 1) == [1]
        raw.flushall()
        new = await orders.publish(Paid(2), order_id=1)
        assert (new.offset, new.epoch != old.epoch) == (1, True)
        assert await amounts(messages, 2) == [Gap("epoch", channel="orders:1", position=Position(new.epoch, 0)), 2]
    async with orders.subscribe(order_id=1, since=old) as messages:
        assert messages.recovered is False
        assert await amounts(messages, 1) == [Gap("epoch", channel="orders:1", position=new)]


@pytest.mark.one_server  # a cluster tells its channels by SPUBLISH: tests/drivers/test_cluster_events.py
async def test_a_message_of_a_life_that_is_over_is_nobodys(orders: ReplayChannel[Any], raw: redis.Redis) -> None:
    """A cluster's nodes hand messages on to each other, so one may come when its history is gone."""
    with raw.pubsub() as heard:
        heard.subscribe("ev:orders:1")
        await orders.publish(Paid(1), order_id=1)
        late = next(each["data"] for each in heard.listen() if each["type"] == "message")
    raw.flushall()
    async with orders.subscribe(order_id=1) as messages:
        raw.publish("ev:orders:1", late)
        await orders.publish(Paid(2), order_id=1)
        await orders.publish(Paid(3), order_id=1)
        assert await amounts(messages, 2) == [2, 3]


async def test_history_that_was_trimmed_is_never_called_whole(driver: Driver) -> None:
    orders = orders_of(driver, size=5)
    first = await orders.publish(Paid(0), order_id=1)
    await orders.publish_many([Paid(n) for n in range(1, 21)], order_id=1)
    last = await orders.position(order_id=1)
    async with orders.subscribe(order_id=1, since=first) as messages:
        assert messages.recovered is False
        assert await amounts(messages, 1) == [Gap("trimmed", channel="orders:1", position=last)]
    async with orders.subscribe(order_id=1, since=Position(first.epoch, 16)) as messages:
        assert messages.recovered
        assert await amounts(messages, 5) == [16, 17, 18, 19, 20]


async def test_more_than_the_limit_is_not_sent_again(driver: Driver) -> None:
    orders = orders_of(driver, size=1000)
    first = await orders.publish(Paid(0), order_id=1)
    sent = await orders.publish_many([Paid(n) for n in range(1, 302)], order_id=1)
    async with orders.subscribe(order_id=1, since=first) as messages:
        assert await amounts(messages, 1) == [Gap("limit", channel="orders:1", position=sent[-1])]
    async with orders.subscribe(order_id=1, since=sent[0]) as messages:
        assert await amounts(messages, 300) == list(range(2, 302))


async def test_the_newest_state_comes_first_and_slow_readers_see_the_newest_alone(driver: Driver) -> None:
    price = Events(driver).channel("prices:{item}", Paid, kind="latest")
    async with price.subscribe(item=1) as fresh:
        await price.publish(Paid(1), item=1)
        assert (await anext(fresh)).snapshot is False
        async with price.subscribe(item=1) as messages:
            state = await anext(messages)
            assert (state.data, state.snapshot) == (Paid(1), True)
            await price.publish(Paid(2), item=1)
            assert (await anext(messages)).data == Paid(2)
            position = messages.position
    async with price.subscribe(item=1, since=position) as messages:
        assert messages.recovered
        await price.publish(Paid(3), item=1)
        assert (await anext(messages)).data == Paid(3)


async def test_of_those_that_wait_the_newest_of_each_key_is_kept(orders: ReplayChannel[Any]) -> None:
    keys = iter([{}, *range(100)])  # the first is none: a fault of the caller's function costs nobody anything
    async with (
        orders.subscribe(order_id=1, conflate=lambda m: m.data.note or next(keys)) as slow,
        orders.subscribe(order_id=1) as fast,
    ):
        await orders.publish_many([Paid(0), *(Paid(n, "ab"[n % 2]) for n in range(1, 9))], order_id=1)
        await amounts(fast, 9)
        assert await amounts(slow, 3) == [0, 7, 8]


async def test_a_reader_that_is_too_slow_catches_up_from_the_history(driver: Driver) -> None:
    orders = orders_of(driver, size=5_000)
    async with orders.subscribe(order_id=1) as slow, orders.subscribe(order_id=1) as fast:
        for _ in range(5):
            await orders.publish_many([Paid(n) for n in range(400)], order_id=1)
            await amounts(fast, 400)
        assert await amounts(slow, 2_000) == [*range(400)] * 5


async def test_a_reader_that_is_slower_than_the_history_is_told(driver: Driver) -> None:
    orders = orders_of(driver, size=10)
    async with orders.subscribe(order_id=1) as slow, orders.subscribe(order_id=1) as fast:
        for _ in range(3):
            await orders.publish_many([Paid(n) for n in range(400)], order_id=1)
            await amounts(fast, 400)
        end = await orders.position(order_id=1)
        assert await amounts(slow, 1) == [Gap("slow", channel="orders:1", position=end)]
        await orders.publish(Paid(5), order_id=1)
        assert await amounts(slow, 1) == [5]


@pytest.mark.one_server  # a cluster tells its channels by SPUBLISH: tests/drivers/test_cluster_events.py
async def test_newer_types_and_foreign_messages_are_unknown(
    orders: ReplayChannel[Any], driver: Driver, raw: redis.Redis
) -> None:
    class Refunded(msgspec.Struct, frozen=True, tag="refunded"):
        amount: int

    newer = Events(driver).channel("orders:{order_id}", Paid | Refunded, kind="replay")
    async with orders.subscribe(order_id=1) as messages:
        position = await newer.publish(Refunded(5), order_id=1)
        assert (await anext(messages)).data == Unknown(b'{"type":"refunded","amount":5}')
        raw.publish("ev:orders:1", b"hello")
        assert (await anext(messages)).data == Unknown(b"hello")
        await orders.publish(Paid(1), order_id=1)
        assert (await anext(messages)).data == Paid(1)
    assert position.offset == 1
    assert (await orders.history(order_id=1))[0].data == Unknown(b'{"type":"refunded","amount":5}')


# -- what breaks


@asynccontextmanager
async def breaking(raw: redis.Redis, times: int) -> AsyncIterator[None]:
    """Kill every subscription of the server so often while the block runs."""

    async def kill() -> None:
        killed = 0
        while killed < times:
            killed += bool(await asyncio.to_thread(raw.execute_command, "CLIENT", "KILL", "TYPE", "pubsub"))
            await asyncio.sleep(0.02)

    task = asyncio.create_task(kill())
    try:
        yield
        await task
    finally:
        task.cancel()


async def test_nothing_is_lost_doubled_or_out_of_order_while_links_break(
    url: str, driver: Driver, raw: redis.Redis
) -> None:
    """Two hubs, a publisher that never waits for them, and their links cut again and again."""
    others = [Driver(url, timeout=LONG), Driver(url, timeout=LONG)]
    done = asyncio.Event()

    async def listen(channel: ReplayChannel[Any]) -> list[Any]:
        async with channel.subscribe(order_id=1) as messages:
            ready.release()
            got: list[Any] = []
            while not got or got[-1] != -1:
                got += await amounts(messages, 1)
            return got

    publishing, ready = orders_of(driver, size=2_000), asyncio.Semaphore(0)
    listeners = [asyncio.create_task(listen(orders_of(other, size=2_000))) for other in others]
    for _ in others:
        await ready.acquire()
    sent = 0
    async with breaking(raw, 12):

        async def publish() -> None:
            nonlocal sent
            while not done.is_set():
                await publishing.publish_many([Paid(sent + n) for n in range(20)], order_id=1)
                sent += 20
                await asyncio.sleep(0.002)

        flood = asyncio.create_task(publish())
    done.set()
    await flood
    await publishing.publish(Paid(-1), order_id=1)
    async with asyncio.timeout(60):
        for got in await asyncio.gather(*listeners):
            assert got == [*range(sent), -1]
    for other in others:
        await other.close()


async def test_at_the_seam_between_history_and_news_nothing_is_missing(url: str, driver: Driver) -> None:
    orders, stop = orders_of(driver, size=1_000), asyncio.Event()
    position = await orders.publish(Paid(1), order_id=1)

    async def flood() -> None:
        while not stop.is_set():
            await orders.publish_many([Paid(0)] * 5, order_id=1)

    flooding = asyncio.create_task(flood())
    for round_ in range(60):
        fresh = orders_of(driver)  # a feed of its own, so that the history is read each time
        async with fresh.subscribe(order_id=1, since=position) as messages:
            for _ in range(12):
                item = await anext(messages)
                assert isinstance(item, Message), (round_, item)
                assert item.offset == position.offset + 1
                position = Position(item.epoch, item.offset)
        position = await orders.publish(Paid(1), order_id=1) if round_ % 3 == 0 else position
        if (await orders.position(order_id=1)).offset - position.offset > 200:  # type: ignore[union-attr]
            position = await orders.publish(Paid(1), order_id=1)
    stop.set()
    await flooding


async def test_a_message_that_never_arrived_is_noticed_by_asking(
    orders: ReplayChannel[Any], raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cursors, "CHECK_S", 0.05)
    async with orders.subscribe(order_id=1) as messages:
        await orders.publish(Paid(1), order_id=1)
        assert await amounts(messages, 1) == [1]
        raw.xadd("ev:{orders:1}:s", {"d": b'{"type":"paid","amount":2}', "t": "5"}, id="2-0")
        raw.hset("ev:{orders:1}:m", "s", 2)
        assert await amounts(messages, 1) == [2]


async def test_a_failover_that_lost_messages_begins_a_new_epoch(orders: ReplayChannel[Any], raw: redis.Redis) -> None:
    async with orders.subscribe(order_id=1) as messages:
        old = (await orders.publish_many([Paid(1), Paid(2), Paid(3)], order_id=1))[-1]
        assert isinstance(old, Position)
        assert await amounts(messages, 3) == [1, 2, 3]
        raw.hset("ev:{orders:1}:m", "s", 1)  # a replica that had not heard of 2 and 3
        raw.delete("ev:{orders:1}:s")
        raw.xadd("ev:{orders:1}:s", {"d": b"{}", "t": "1"}, id="1-0")
        await asyncio.sleep(0.002)  # another millisecond
        await orders.publish(Paid(4), order_id=1)
        gap, *_ = await amounts(messages, 1)
        assert isinstance(gap, Gap)
        assert (gap.reason, gap.position and gap.position.epoch != old.epoch) == ("rewound", True)
        await orders.publish(Paid(5), order_id=1)
        assert await amounts(messages, 1) == [5]
    async with orders.subscribe(order_id=1, since=old) as messages:
        assert messages.recovered is False


async def test_a_silent_death_of_the_link_is_noticed_and_healed(faulty: Proxy, driver: Driver) -> None:
    listening = Driver(faulty.url, Options(look=0.05, stall=0.2))
    publishing, orders = orders_of(driver), orders_of(listening)
    async with orders.subscribe(order_id=1) as messages:
        await publishing.publish(Paid(1), order_id=1)
        assert await amounts(messages, 1) == [1]
        before = faulty.connections
        faulty.black_hole = True
        await publishing.publish(Paid(2), order_id=1)
        await settled(lambda: faulty.connections > before)
        faulty.black_hole = False
        assert await amounts(messages, 1) == [2]
    await listening.close()


_FROZEN = """
import asyncio, sys
from hustlex.drivers.aio import Driver
from hustlex.events import Events, Message

async def main(url):
    async with Events(Driver(url)).channel("orders:{order_id}", dict, kind="replay").subscribe(order_id=1) as messages:
        print("ready", flush=True)
        async for item in messages:
            print(item.data["n"] if isinstance(item, Message) else item, flush=True)
            if isinstance(item, Message) and item.data["n"] == 1_000:
                return

asyncio.run(main(sys.argv[1]))
"""


async def test_a_process_that_was_frozen_catches_up(url: str, driver: Driver, raw: redis.Redis) -> None:
    """The server cuts a subscriber that takes nothing; after it thaws, the history has what it missed."""
    limits = raw.config_get("client-output-buffer-limit")["client-output-buffer-limit"]
    raw.config_set("client-output-buffer-limit", "pubsub 300kb 300kb 1")
    orders = Events(driver).channel("orders:{order_id}", dict, kind="replay", size=2_000)
    reader = forked.Popen([sys.executable, "-c", _FROZEN, url], stdout=subprocess.PIPE, text=True)
    try:
        assert reader.stdout is not None
        assert await asyncio.to_thread(reader.stdout.readline) == "ready\n"
        reader.send_signal(signal.SIGSTOP)
        await orders.publish_many([{"n": n, "pad": "x" * 8_000} for n in range(1_000)], order_id=1)
        await settled(lambda: raw.pubsub_numsub("ev:orders:1")[0][1] == 0)
        reader.send_signal(signal.SIGCONT)
        await orders.publish({"n": 1_000}, order_id=1)
        lines = await asyncio.to_thread(reader.stdout.read)
        assert [int(line) for line in lines.split()] == list(range(1_001))
    finally:
        reader.kill()
        reader.communicate()
        raw.config_set("client-output-buffer-limit", limits)


async def test_a_huge_message_of_somebody_else_costs_no_message(driver: Driver, raw: redis.Redis) -> None:
    """33 MB are over the server's limit for subscribers: it cuts them all off."""
    orders = orders_of(driver)
    async with orders.subscribe(order_id=1) as messages:
        await orders.publish(Paid(1), order_id=1)
        await asyncio.to_thread(raw.publish, "ev:orders:1", b"x" * 33_000_000)
        await orders.publish(Paid(2), order_id=1)
        async with asyncio.timeout(60):
            items = [await anext(messages), await anext(messages)]
            if isinstance(items[1].data, Unknown):  # it came through before the cut
                items[1] = await anext(messages)
        assert [item.data for item in items] == [Paid(1), Paid(2)]


async def test_many_who_come_back_at_once_ask_once(driver: Driver, raw: redis.Redis) -> None:
    orders = orders_of(driver, size=1_000)
    first = await orders.publish(Paid(0), order_id=1)
    await orders.publish_many([Paid(n) for n in range(1, 200)], order_id=1)
    async with orders.subscribe(order_id=1):
        sha = ops._READ.sha1
        before = raw.info("commandstats")["cmdstat_evalsha"]["calls"]
        subscriptions = [orders.subscribe(order_id=1, since=first) for _ in range(50)]
        async with asyncio.TaskGroup() as group:
            for subscription in subscriptions:
                group.create_task(subscription.__aenter__())
        assert sha
        assert raw.info("commandstats")["cmdstat_evalsha"]["calls"] - before == 1
        assert all(subscription.recovered for subscription in subscriptions)
        for subscription in subscriptions:
            await subscription.__aexit__(None, None, None)


async def test_bad_options_are_refused_in_one_sentence(driver: Driver) -> None:
    events = Events(driver)
    for options in (
        {"kind": "stream"},
        {"kind": "replay", "size": 0},
        {"kind": "replay", "ttl": timedelta(0)},
        {"kind": "replay", "ttl": timedelta(days=8)},
    ):
        with pytest.raises(Misuse):
            events.channel("orders:all", Paid, **options)  # type: ignore[call-overload]
    with pytest.raises(Misuse, match="since"):
        events.channel("orders:{since}", Paid, kind="replay")
    with pytest.raises(Misuse):
        await orders_of(driver).publish(Paid(1), order_id=1, version=0)
    with pytest.raises(Misuse):
        orders_of(driver).subscribe(order_id=1, since=5)  # type: ignore[arg-type]
