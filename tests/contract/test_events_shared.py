"""Publishes that share a call: the answers, what is kept and what is heard are those of one by one. Decision 0083."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import redis

from hustlex.core.telemetry import CallStart
from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.errors import Error, Full, OutcomeUnknown
from hustlex.events import Events, Message, Position
from tests.conftest import LONG
from tests.support.proxy import Proxy

pytestmark = [pytest.mark.one_server, pytest.mark.across_slots]  # on a cluster each goes by itself


class Tick(msgspec.Struct, frozen=True):
    number: int


class Calls(Driver):
    """Keeps the names of the scripts that were called, and how many messages each took."""

    def __init__(self, url: str) -> None:
        super().__init__(url, timeout=LONG)
        self.made: list[int] = []

    async def run(self, op: Any) -> Any:
        if op.name == "events.append":
            self.made.append(1)
        return await super().run(op)

    def send(self, op: Any, *, at_once: bool = False) -> Any:
        self.made.append(len(op.keys) // 2)
        return super().send(op, at_once=at_once)


@pytest.fixture
async def driver(url: str) -> Any:
    driver = Calls(url)
    yield driver
    await driver.close()


def busy(*families: Any) -> None:
    """As while many publishes are on their way: company is waited for."""
    for family in families:
        family._publishes._busy = 100


async def together(families: Any, calls: Callable[[], list[Any]]) -> list[Any]:
    """What each is answered, or raised."""
    busy(*families)
    return await asyncio.gather(*calls(), return_exceptions=True)


async def test_who_is_alone_goes_alone_and_a_crowd_shares_calls(driver: Calls) -> None:
    orders = Events(driver).channel("orders:{n}", Tick, kind="replay")
    for number in range(3):
        await orders.publish(Tick(number), n=1)
    assert driver.made == [1, 1, 1]
    driver.made.clear()

    async def caller(n: int) -> list[int]:
        return [(await orders.publish(Tick(number), n=n)).offset for number in range(10)]

    assert await asyncio.gather(*(caller(n) for n in range(2, 66))) == [[*range(1, 11)]] * 64
    assert sum(driver.made) == 640
    assert len(driver.made) < 320
    driver.made.clear()
    await asyncio.sleep(0)
    assert (await orders.publish(Tick(0), n=1)).offset == 4
    assert driver.made == [1], "when the others are done, nobody waits for company"


@pytest.mark.parametrize("seed", range(4))
async def test_the_answers_and_what_is_kept_are_those_of_one_by_one(
    driver: Calls, raw: redis.Redis, clock: FixedClock, seed: int
) -> None:
    """Random messages on few channels, of two kinds, whose keys are lost, go back, or are of another type."""
    dice = random.Random(seed)
    fronts = {way: Events(driver, prefix=f"{way}:", clock=clock) for way in ("one", "all")}
    families = {
        way: [events.channel("aa:{n}", Tick, kind="replay", size=5), events.channel("bb:{n}", Tick, kind="latest")]
        for way, events in fronts.items()
    }

    def spoil(what: str, name: str) -> None:
        other = dice.randrange(2)
        for way in fronts:
            stream, meta = keys = f"{way}:ev:{{{name}}}:s", f"{way}:ev:{{{name}}}:m"
            if what == "lose the epoch":
                raw.delete(meta)
            elif what == "go back":
                raw.delete(meta) if raw.type(meta) == b"string" else raw.hset(meta, "s", 1)
            elif what == "another type":
                raw.set(keys[other], "x", ex=60)
            else:
                raw.delete(stream, meta)

    def kept(way: str) -> dict[str, Any]:
        """Entries and offsets; epochs by their number, since they are random."""
        found: dict[str, Any] = {}
        for key in sorted(raw.scan_iter(f"{way}:ev:*")):
            kind = raw.type(key)
            short = key.decode().partition("ev:")[2]
            if kind == b"stream":
                found[short] = raw.xrange(key)
            elif kind == b"hash":
                found[short] = {field: value for field, value in raw.hgetall(key).items() if field != b"e"}
            else:
                found[short] = kind
            assert raw.pttl(key) > 0
        return found

    for turn in range(12):
        clock.now_ms += 1
        if turn % 3 == 2:
            spoil(dice.choice(["lose the epoch", "go back", "another type", "heal"]), dice.choice(["aa:1", "bb:1"]))
        sent = [(dice.randrange(2), dice.randrange(1, 3), turn * 100 + number) for number in range(12)]
        alone = []
        for family, n, number in sent:
            (answer,) = await asyncio.gather(families["one"][family].publish(Tick(number), n=n), return_exceptions=True)
            alone.append(answer)
        every = families["all"]
        shared = await together(
            every,
            lambda: [every[family].publish(Tick(number), n=n) for family, n, number in sent],  # noqa: B023
        )
        assert [outcome(answer) for answer in shared] == [outcome(answer) for answer in alone]
        assert kept("all") == kept("one")
    assert max(driver.made) > 1


def outcome(answer: Any) -> Any:
    return answer.offset if isinstance(answer, Position) else (type(answer), str(answer))


async def test_they_are_heard_in_the_order_in_which_they_were_awaited(driver: Calls) -> None:
    events = Events(driver)
    orders = events.channel("orders:{n}", Tick, kind="replay")

    def calls(n: int) -> list[Any]:
        first = [orders.publish(Tick(number), n=n) for number in range(40)]
        then = [orders.publish(Tick(40), n=n, idem="x"), orders.publish_many([Tick(41), Tick(42)], n=n)]
        return [*first, *then, *(orders.publish(Tick(number), n=n) for number in range(43, 50)), orders.position(n=n)]

    await orders.publish(Tick(0), n=3)  # before it, nobody knows whether the server takes keys of several slots
    await together([orders], lambda: calls(2))  # a script that the server must be sent first comes later
    async with orders.subscribe(n=1) as messages:
        answers = await together([orders], lambda: calls(1))
        assert answers[-1].offset == 50
        async with asyncio.timeout(50):
            items = [await anext(messages) for _ in range(50)]
    assert all(isinstance(item, Message) for item in items)
    assert [item.data.number for item in items] == [*range(50)]  # type: ignore[union-attr]


async def test_who_goes_before_the_call_is_sent_costs_nothing_and_later_is_done(driver: Calls) -> None:
    events = Events(driver)
    orders = events.channel("orders:{n}", Tick, kind="replay")
    await orders.publish(Tick(9), n=2)  # the server is known
    busy(orders)
    early, late, stays = (asyncio.ensure_future(orders.publish(Tick(number), n=1)) for number in range(3))
    await asyncio.sleep(0)
    early.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    late.cancel()
    assert (await stays).offset == 2
    assert [message.data.number for message in await orders.history(n=1)] == [1, 2]


async def test_a_lost_reply_is_unknown_to_all_and_nobody_is_sent_twice(faulty: Proxy, raw: redis.Redis) -> None:
    async with Driver(faulty.url, timeout=LONG) as driver:
        events = Events(driver)
        orders = events.channel("orders:{n}", Tick, kind="replay")
        await orders.publish(Tick(0), n=1)
        await together(
            [orders], lambda: [orders.publish(Tick(number), n=1) for number in range(1, 5)]
        )  # it has the script
        faulty.lose_reply(containing=b'{"number":7}')
        answers = await together([orders], lambda: [orders.publish(Tick(number), n=1) for number in range(5, 10)])
        assert {type(answer) for answer in answers} == {OutcomeUnknown}
        assert "events.append" in str(answers[0])
        assert raw.xlen("ev:{orders:1}:s") == 10


async def test_a_full_server_is_told_to_each(driver: Calls, raw: redis.Redis) -> None:
    events = Events(driver)
    orders = events.channel("orders:{n}", Tick, kind="replay")
    await orders.publish(Tick(0), n=1)
    raw.config_set("maxmemory", 1)
    try:
        answers = await together([orders], lambda: [orders.publish(Tick(number), n=number) for number in range(5)])
    finally:
        raw.config_set("maxmemory", 0)
    assert {type(answer) for answer in answers} == {Full}
    assert raw.dbsize() == 2


async def test_a_hook_is_told_of_each(url: str) -> None:
    told: list[str] = []

    def hook(start: CallStart) -> None:
        told.extend(start.ops)

    async with Driver(url, timeout=LONG, hook=hook) as driver:
        events = Events(driver)
        orders = events.channel("orders:{n}", Tick, kind="replay")
        await together([orders], lambda: [orders.publish(Tick(number), n=number) for number in range(20)])
    assert told.count("events.append") == 20


async def test_nobody_waits_for_ever_when_the_driver_closes(driver: Calls) -> None:
    events = Events(driver)
    orders = events.channel("orders:{n}", Tick, kind="replay")
    await orders.publish(Tick(0), n=1)
    busy(orders)
    calls = [asyncio.ensure_future(orders.publish(Tick(number), n=number)) for number in range(10)]
    await asyncio.sleep(0)
    await driver.close()
    answers = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 50)
    assert all(isinstance(answer, Position | Error) for answer in answers)


def test_a_loop_that_ends_takes_its_callers_along(url: str) -> None:
    driver = Driver(url, timeout=LONG)
    events = Events(driver)
    orders = events.channel("orders:{n}", Tick, kind="replay")
    left: list[Any] = []

    async def begin() -> None:
        await orders.publish(Tick(0), n=1)
        busy(orders)
        left.append(asyncio.ensure_future(orders.publish(Tick(1), n=1)))
        await asyncio.sleep(0)

    async def again() -> int:
        busy(orders)
        answers = await asyncio.gather(*(orders.publish(Tick(2), n=1) for _ in range(3)))
        await driver.close()
        return max(answer.offset for answer in answers)

    asyncio.run(begin())
    assert left.pop().cancelled()
    gc.collect()
    assert asyncio.run(again()) >= 4
