"""Another server behind the same address: connections that survive a failover lead to a replica, and must be left."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, suppress
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import redis

from hustlex.core.op import Effect, Op, command
from hustlex.drivers import aio, redis_py
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.drivers.faults import WRONG_SERVER
from hustlex.errors import OutcomeUnknown, Refused, Unavailable
from hustlex.events import Events, Position
from tests.contract.test_drivers import get, increment, put
from tests.support import servers
from tests.support.answering import answering
from tests.support.proxy import Proxy
from tests.support.street import KINDS, Street

_HELLO = b"%2\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$5\r\nproto\r\n:3\r\n"


class Pair:
    """Two servers with one password, and one address (a proxy's) that leads to the first of them."""

    def __init__(self, old: EmbeddedServer, new: EmbeddedServer, proxy: Proxy) -> None:
        self.old_url, self.proxy = old.url, proxy
        self.new_url = proxied(old.url, new.port)
        self.old = redis.Redis.from_url(old.url)
        self.new = redis.Redis.from_url(self.new_url)
        self._new_port = new.port

    def fail_over(self, *, address: bool = True) -> None:
        """The old primary becomes the new one's replica; clients keep their connections."""
        if address:
            self.proxy.lead_to(self.new_url)
        self.old.replicaof("127.0.0.1", self._new_port)


def proxied(url: str, port: int) -> str:
    return f"{url.rpartition(':')[0]}:{port}/0"


@pytest.fixture(scope="module")
def both(request: pytest.FixtureRequest) -> Iterator[tuple[EmbeddedServer, EmbeddedServer]]:
    """Single servers whatever the suite runs on: a cluster's nodes fail over in their own way."""
    kind = request.config.getoption("--server")
    kind = servers.single(kind)
    with servers.started(kind) as old, servers.started(kind) as new:
        password = urlsplit(old.url).password
        with redis.Redis.from_url(new.url) as client:
            client.config_set("requirepass", password)
            client.config_set("repl-diskless-sync-delay", "0")
        with redis.Redis.from_url(old.url) as client:
            client.config_set("masterauth", password)
        yield old, new


@pytest.fixture
def pair(both: tuple[EmbeddedServer, EmbeddedServer]) -> Iterator[Pair]:
    with Proxy(both[0].url) as proxy:
        pair = Pair(*both, proxy)
        pair.old.replicaof("NO", "ONE")
        pair.old.flushall()
        pair.new.flushall()
        yield pair
        pair.old.replicaof("NO", "ONE")
        pair.old.close()
        pair.new.close()


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return KINDS[request.param]


@pytest.fixture
async def street(kind: Callable[..., Any], pair: Pair) -> AsyncIterator[Street]:
    street = Street(kind(pair.proxy.url))
    yield street
    await street.call("close")


def patient(op: Op[Any]) -> Op[Any]:
    return command(op.name, op.effect, *op.args, keys=op.keys, decode=op.decode, timeout_ms=10_000)


async def test_a_write_on_a_connection_that_outlived_the_primary_is_made_on_the_new_one(
    street: Street, pair: Pair
) -> None:
    assert await street.run(increment("n")) == 1
    pair.fail_over()
    assert await street.run(patient(increment("m"))) == 1
    assert pair.new.get("m") == b"1"
    assert await street.run(increment("m")) == 2
    assert pair.proxy.connections == 2


async def test_every_caller_at_once_is_served_and_counted_once(street: Street, pair: Pair) -> None:
    await asyncio.gather(*[street.run(get("n")) for _ in range(40)])
    pair.fail_over()
    answers = await asyncio.gather(*[street.run(patient(increment("m"))) for _ in range(40)])
    assert sorted(answers) == list(range(1, 41))
    many = await street.call("run_many", [patient(increment("m")) for _ in range(20)])
    assert sorted(many) == list(range(41, 61))


async def test_an_address_that_still_leads_to_the_replica_is_asked_again(street: Street, pair: Pair) -> None:
    await street.run(put("k", "v"))
    pair.fail_over(address=False)
    call = asyncio.create_task(street.run(patient(increment("m"))))
    while pair.proxy.connections < 3:
        await asyncio.sleep(0.005)
    pair.proxy.lead_to(pair.new_url)
    assert await call == 1


async def test_a_replica_is_named_when_the_deadline_passes(street: Street, pair: Pair) -> None:
    await street.run(put("k", "v"))
    pair.fail_over(address=False)
    for _ in range(2):
        with pytest.raises(Refused, match="use the primary's URL") as caught:
            await street.run(increment("m"))
        assert caught.value.server_code == "READONLY"


async def test_the_name_is_resolved_again(
    kind: Callable[..., Any], pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    port = urlsplit(pair.old_url).port

    def resolver(host: Any, asked: Any, *args: Any, **options: Any) -> Any:
        return resolve("127.0.0.1", port, *args, **options) if host == "state.test" else resolve(host, asked, *args)

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    street = Street(kind(pair.old_url.replace("127.0.0.1", "state.test")))
    assert await street.run(increment("n")) == 1
    pair.fail_over()
    port = urlsplit(pair.new_url).port
    assert await street.run(patient(increment("m"))) == 1
    await street.call("close")


@pytest.mark.parametrize("word", sorted(WRONG_SERVER))
async def test_any_answer_that_means_another_server_ends_the_connection(
    kind: Callable[..., Any], pair: Pair, word: str
) -> None:
    """A server that greets as a primary and answers so to everything, for good."""

    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError), closing(writer):
            while data := await reader.read(65_536):
                writer.write(_HELLO * data.count(b"HELLO"))
                writer.write(b"+OK\r\n" * data.count(b"\r\nCLIENT\r\n"))
                writer.write(f"-{word} not here\r\n".encode() * data.count(b"\r\nINCR\r\n"))
                await writer.drain()

    async with answering(old) as port:
        pair.proxy.lead_to(proxied(pair.old_url, port))
        street = Street(kind(pair.proxy.url))
        for _ in range(5):  # the last attempt of a call may fail for lack of time
            with pytest.raises((Refused, Unavailable, OutcomeUnknown)) as caught:
                await street.run(increment("m"))
            if isinstance(caught.value, Refused):
                break
        assert isinstance(caught.value, Refused) and caught.value.server_code == word
        pair.proxy.lead_to(pair.new_url)
        assert await street.run(patient(increment("m"))) == 1
        await street.call("close")


async def test_reads_do_not_stay_with_a_replica(
    kind: Callable[..., Any], pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica answers reads without a word: the drivers ask for its role now and then."""
    monkeypatch.setattr(redis_py, "LOOK_S", 0.05)
    street = Street(aio.Driver(pair.proxy.url, aio.Options(look=0.05)) if kind is aio.Driver else kind(pair.proxy.url))
    await street.run(get("k"))
    pair.fail_over()
    pair.new.set("k", "new")
    async with asyncio.timeout(60):
        while pair.proxy.connections < 2:
            await street.run(patient(get("k")))
            await asyncio.sleep(0.05)
    assert await street.run(patient(get("k"))) == b"new"
    await street.call("close")


async def test_blocked_commands_and_subscriptions_move_with_the_primary(pair: Pair) -> None:
    pop: Op[Any] = command("test.pop", Effect.ONCE, "BLPOP", "list", 15, decode=lambda reply: reply)
    async with aio.Driver(pair.proxy.url) as first, first.another() as driver:
        await driver.run(get("k"))
        async with driver.subscribe("news") as messages:
            popping = asyncio.create_task(driver.block(pop, 15))
            while int(pair.old.info("clients")["blocked_clients"]) < 1:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.2)  # a younger connection is not given up
            pair.fail_over()
            assert (await anext(messages)).gap
            pair.new.rpush("list", "a")
            pair.new.publish("news", "b")
            assert (await popping)[1] == b"a"
            assert (await anext(messages)).data == b"b"
            assert await driver.run(patient(increment("m"))) == 1


async def test_a_subscription_alone_sees_the_role_change(pair: Pair) -> None:
    async with aio.Driver(pair.proxy.url, aio.Options(look=0.05)) as driver, driver.subscribe("news") as messages:
        pair.fail_over()
        assert (await anext(messages)).gap
        pair.new.publish("news", "b")
        assert (await anext(messages)).data == b"b"


class Tick(msgspec.Struct, frozen=True):
    number: int


async def test_a_subscription_goes_on_at_the_new_primary_and_misses_nothing_it_had(pair: Pair) -> None:
    """The new primary had everything: what is published there afterwards follows without a gap."""
    pair.new.config_set("masterauth", urlsplit(pair.old_url).password)
    pair.old.config_set("repl-diskless-sync-delay", "0")
    pair.new.replicaof("127.0.0.1", urlsplit(pair.old_url).port)
    listening, publishing = aio.Driver(pair.proxy.url, aio.Options(look=0.05)), aio.Driver(pair.old_url)
    inbound = Events(listening).channel("ticks:all", Tick, kind="replay")
    async with asyncio.timeout(60), inbound.subscribe() as messages:
        await Events(publishing).channel("ticks:all", Tick, kind="replay").publish(Tick(1))
        assert (await anext(messages)).data == Tick(1)
        while not pair.new.exists("ev:{ticks:all}:s"):
            await asyncio.sleep(0.01)
        pair.new.replicaof("NO", "ONE")
        successor = aio.Driver(pair.new_url)
        pair.fail_over()
        await Events(successor).channel("ticks:all", Tick, kind="replay").publish(Tick(2))
        assert (await anext(messages)).data == Tick(2)
    for driver in (listening, publishing, successor):
        await driver.close()


async def test_a_failover_to_a_server_that_had_nothing_is_a_gap_and_then_whole(pair: Pair) -> None:
    listening, publishing = aio.Driver(pair.proxy.url, aio.Options(look=0.05)), aio.Driver(pair.old_url)
    inbound = Events(listening).channel("ticks:all", Tick, kind="replay")
    async with asyncio.timeout(60), inbound.subscribe() as messages:
        await Events(publishing).channel("ticks:all", Tick, kind="replay").publish(Tick(1))
        assert (await anext(messages)).data == Tick(1)
        successor = aio.Driver(pair.new_url)
        pair.fail_over()
        here = await Events(successor).channel("ticks:all", Tick, kind="replay").publish(Tick(2))
        gap = await anext(messages)
        assert (gap.reason, gap.position) == ("epoch", Position(here.epoch, 0))
        assert (await anext(messages)).data == Tick(2)
    for driver in (listening, publishing, successor):
        await driver.close()
