"""How safe a write is before its caller is answered, in either driver, and what a failover takes otherwise."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.durability.level import LEVELS, Durability
from hustlex.core.op import Effect, Op, command
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import ConfigurationError, Error, Misuse, NotDurable, OutcomeUnknown
from hustlex.idempotency import Response, Scope, Started
from hustlex.jobs import Enqueued, Job
from hustlex.otp import OtpOptions, Verified
from hustlex.pins import PinWrong
from hustlex.sync import HustleX as BlockingHustleX
from hustlex.tokens import TokenPair
from tests.conftest import PATIENCE, SECRET
from tests.support import servers
from tests.support.blocking import Blocking
from tests.support.otp import code_of, phone, sent
from tests.support.replicas import ReplicaPair

pytestmark = [pytest.mark.one_server, pytest.mark.xdist_group("durability")]
PAY = Scope("u1", "POST", "/pay")
OPTIONS: dict[str, Any] = {"secret": SECRET, "otp": OtpOptions(caps=None)}
BLOCKS = itertools.count()
REPLICA = Durability("replica", wait_ms=30)


def put(key: str) -> Op[bool]:
    return command("test.set", Effect.IDEMPOTENT, "SET", key, "1", keys=(key,), decode=bool)


@pytest.fixture(scope="module")
def single() -> Iterator[EmbeddedServer]:
    """With a file that is forced to the disk before each answer."""
    with EmbeddedServer(binary=servers.binary("valkey9"), append_only=True, appendfsync="always") as server:
        yield server


@pytest.fixture
def everysec(single: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """The same, forced once a second."""
    with redis.Redis.from_url(single.url) as raw:
        raw.config_set("appendfsync", "everysec")
        yield single
        raw.config_set("appendfsync", "always")


@pytest.fixture(scope="module")
def pair() -> Iterator[ReplicaPair]:
    with ReplicaPair() as made:
        yield made


@pytest.fixture(params=["aio", "blocking"])
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """Makes fronts in either style."""
    fronts = []

    def make(url: str, **options: Any) -> Any:
        front: Any = HustleX(url, **options)
        if request.param == "blocking":
            front = Blocking(BlockingHustleX(url, **options))
        fronts.append(front)
        return front

    yield make
    for front in fronts:
        await front.close()


# -- the levels


async def test_each_level_is_reached_where_there_is_a_disk_and_a_replica(pair: ReplicaPair, opened: Any) -> None:
    hx = opened(pair.url)
    found = {level: await hx.driver.commit(put(level), Durability(level, wait_ms=5_000)) for level in LEVELS[1:]}
    assert all(each.reached and each.value for each in found.values())
    assert [(each.local, each.replicas) for each in found.values()] == [(True, 0), (False, 1), (True, 1)]


async def test_what_no_replica_has_is_done_and_says_so(single: EmbeddedServer, opened: Any) -> None:
    hx = opened(single.url)
    found = await hx.driver.commit(put("alone"), REPLICA)
    assert (found.reached, found.local, found.replicas) == (False, False, 0)
    with pytest.raises(NotDurable, match="0 of 1 replicas have it") as caught:
        await hx.durable("replica").jobs.enqueue("t", queue="safe")
    error = caught.value
    assert isinstance(error.answer, Enqueued) and error.maybe_executed
    assert (await hx.jobs.inspector.task("safe", error.answer.id)).type == "t"


async def test_a_server_without_a_file_is_refused_before_anything_is_written(opened: Any) -> None:
    with EmbeddedServer(binary=servers.binary("valkey9")) as server:
        hx = opened(server.url)
        with pytest.raises(ConfigurationError, match="keeps no append-only file"):
            await hx.durable("fsync").jobs.enqueue("t")
        with redis.Redis.from_url(server.url) as raw:
            assert raw.dbsize() == 0


async def test_every_room_waits_for_the_disk(single: EmbeddedServer, opened: Any) -> None:
    hx = opened(single.url, **OPTIONS)
    safe = hx.durable("fsync")
    pair = (await safe.tokens.login("u1")).or_raise()
    assert (await safe.tokens.logout(pair.access)).ended
    issued = await sent(safe.otp, phone(next(BLOCKS)))
    assert isinstance(await safe.otp.verify(issued.challenge, await code_of(safe.otp, issued.challenge)), Verified)
    started = await safe.idempotency.begin(f"every{next(BLOCKS)}", PAY)
    assert isinstance(started, Started)
    await safe.idempotency.complete(started, Response(200))
    hashed = await safe.pins.hash("u1", "4821")
    assert isinstance(await safe.pins.verify("u1", "4822", hashed.verifier), PinWrong)
    assert all(isinstance(each, Enqueued) for each in await safe.jobs.enqueue_many([Job("t"), Job("t")]))
    orders = safe.events.channel("orders:{n}", int, kind="replay")
    await orders.publish(5, n=1)
    with redis.Redis.from_url(single.url) as raw:
        assert raw.info("commandstats")["cmdstat_config|get"]["calls"] >= 8


async def test_a_room_may_wait_always(single: EmbeddedServer, opened: Any) -> None:
    hx = opened(single.url, durability={"jobs": "replica"}, **OPTIONS)
    with pytest.raises(NotDurable):
        await hx.jobs.enqueue("t")
    assert isinstance(await hx.tokens.login("u1"), TokenPair)


@pytest.mark.parametrize("wrong", ["replica", {"jobs": "disk"}, {"cache": "fsync"}, {"jobs": True}, ["jobs"]])
def test_a_level_that_is_none_is_refused(wrong: Any) -> None:
    for kind in (HustleX, BlockingHustleX):
        with pytest.raises(Misuse, match="durability"):
            kind("redis://127.0.0.1:1", durability=wrong)
    with pytest.raises(Misuse, match="level"):
        HustleX("redis://127.0.0.1:1").durable(wrong if isinstance(wrong, list) else "disk")


async def test_memory_waits_for_nothing(single: EmbeddedServer, opened: Any) -> None:
    hx = opened(single.url)
    with redis.Redis.from_url(single.url) as raw:
        raw.config_resetstat()
        assert isinstance(await hx.durable("memory").jobs.enqueue("t"), Enqueued)
        assert not {"cmdstat_wait", "cmdstat_waitaof"} & raw.info("commandstats").keys()


# -- group commit


async def test_calls_that_come_together_wait_together(single: EmbeddedServer) -> None:
    with redis.Redis.from_url(single.url) as raw:
        raw.config_resetstat()
        async with HustleX(single.url) as hx:
            safe = hx.durable("fsync").jobs
            await asyncio.gather(*(safe.enqueue("t", queue="together") for _ in range(200)))
            assert (await hx.jobs.inspector.queue("together")).pending == 200
        assert raw.info("commandstats")["cmdstat_config|get"]["calls"] <= 12


async def test_a_server_that_forces_each_turn_is_not_asked_again(single: EmbeddedServer) -> None:
    with redis.Redis.from_url(single.url) as raw:
        async with HustleX(single.url) as hx:
            assert (await hx.driver.commit(put("a"), Durability("fsync"))).local
            raw.config_resetstat()
            found = await asyncio.gather(*(hx.driver.commit(put("a"), Durability("fsync")) for _ in range(20)))
            assert all(each.reached for each in found)
            assert "cmdstat_waitaof" not in raw.info("commandstats")


async def test_a_server_that_says_too_early_what_its_disk_has_is_refused(everysec: EmbeddedServer, opened: Any) -> None:
    """redis/redis#13793, in Valkey to this day: WAITAOF is answered at once, though nothing was forced to the disk."""
    hx = opened(everysec.url)
    for level in ("fsync", "replica_fsync"):
        with pytest.raises(ConfigurationError, match=r"answers WAITAOF too early.*set appendfsync always"):
            await hx.durable(level).jobs.enqueue("t", queue="early")
    assert "early" not in await hx.jobs.inspector.queues()


async def test_nor_is_it_believed_once_its_settings_change(single: EmbeddedServer, opened: Any) -> None:
    hx = opened(single.url)
    assert (await hx.driver.commit(put("a"), Durability("fsync"))).reached
    with redis.Redis.from_url(single.url) as raw:
        raw.config_set("appendfsync", "everysec")
        try:
            assert not (await hx.driver.commit(put("a"), Durability("fsync"))).reached
        finally:
            raw.config_set("appendfsync", "always")
    assert (await hx.driver.commit(put("a"), Durability("fsync"))).reached


async def test_a_server_that_tells_the_truth_is_waited_for(opened: Any) -> None:
    """Also by a user who may not ask for its settings; whoever comes together waits once."""
    with (
        EmbeddedServer(binary=servers.binary("redis8"), append_only=True) as server,
        redis.Redis.from_url(server.url) as raw,
    ):
        raw.execute_command("ACL", "SETUSER", "least", "reset", "on", ">pw", "~*", "&*", "+@all", "-config")
        at = urlsplit(server.url)
        hx = opened(f"redis://least:pw@{at.hostname}:{at.port}/0")
        found = await asyncio.gather(*(hx.driver.commit(put(f"k{n}"), Durability("fsync")) for n in range(3)))
        assert all(each.reached and each.local for each in found)
        assert raw.info("commandstats")["cmdstat_waitaof"]["calls"] >= 1


async def test_whoever_does_not_wait_is_not_held_up(single: EmbeddedServer) -> None:
    async with HustleX(single.url) as hx:
        slow = asyncio.create_task(hx.driver.commit(put("slow"), Durability("replica", wait_ms=500)))
        while not slow.done() and not await hx.driver.run(get("slow")):
            pass
        for _ in range(20):
            await hx.driver.run(get("slow"))
        assert not slow.done()
        slow.cancel()


async def test_a_caller_that_goes_away_takes_nobody_along(single: EmbeddedServer) -> None:
    async with HustleX(single.url) as hx:
        waiting = [asyncio.create_task(hx.driver.commit(put(f"k{n}"), REPLICA)) for n in range(10)]
        await asyncio.sleep(0)
        waiting[3].cancel()
        found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(each, asyncio.CancelledError) for each in found] == [n == 3 for n in range(10)]


def get(key: str) -> Op[Any]:
    return command("test.get", Effect.READ, "GET", key, keys=(key,), decode=lambda reply: reply)


async def test_a_refusal_is_its_own_callers(single: EmbeddedServer, opened: Any) -> None:
    hx = opened(single.url)
    await hx.driver.run(put("text"))
    push = command("test.push", Effect.ONCE, "LPUSH", "text", "x", keys=("text",), decode=int)
    bad, good = await hx.driver.commit_many([push, put("good")], Durability("fsync"))
    assert isinstance(bad, Error) and "WRONGTYPE" in str(bad)
    assert good.reached


async def test_a_server_that_dies_meanwhile_leaves_the_outcome_open(opened: Any) -> None:
    """What must run once is not repeated; what may be is asked for again, and in the end nobody answers."""
    with EmbeddedServer(binary=servers.binary("valkey9"), append_only=True) as server:
        hx = opened(server.url, timeout=PATIENCE)
        once = command("test.incr", Effect.ONCE, "INCR", "n", keys=("n",), decode=int)
        await hx.driver.commit(once, Durability("replica", wait_ms=1))
        calls = [asyncio.create_task(hx.driver.commit(once, Durability("replica", wait_ms=60_000)))]
        with redis.Redis.from_url(server.url) as raw:
            while raw.info("clients")["blocked_clients"] == 0:
                await asyncio.sleep(0)
        server.kill()
        (found,) = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(found, OutcomeUnknown) or not found.reached
