"""A primary that Sentinels watch, behind either driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from hustlex.core.op import Effect, Op, command
from hustlex.core.telemetry import CallEnd
from hustlex.drivers import aio
from hustlex.errors import ConfigurationError, Denied, Error, Refused, Unavailable
from tests.drivers.conftest import PATIENCE
from tests.support.sentinels import SentinelSet, until
from tests.support.street import Street


def same(reply: Any) -> Any:
    return reply


def get(key: str, **options: Any) -> Op[Any]:
    return command("test.get", Effect.READ, "GET", key, keys=(key,), decode=same, **options)


def put(key: str, value: Any) -> Op[Any]:
    words = ("SET", key, value)
    return command("test.set", Effect.IDEMPOTENT, *words, keys=(key,), decode=same, timeout_ms=15_000)


@pytest.fixture
async def watched(kind: Callable[..., Any], watched_pair: SentinelSet) -> AsyncIterator[Street]:
    street = Street(kind(watched_pair.url, timeout=PATIENCE))
    yield street
    await street.call("close")


async def test_calls_go_where_the_sentinels_say_and_follow_a_promotion(
    watched: Street, watched_pair: SentinelSet
) -> None:
    assert await watched.run(put("k", "1")) == b"OK"
    await asyncio.to_thread(watched_pair.promote)
    assert await watched.run(put("k", "2")) == b"OK"
    assert await watched.many([get("k"), put("k", "3"), get("k")]) == [b"2", b"OK", b"3"]
    with pytest.raises(Refused) as caught:
        await watched.run(command("test.bad", Effect.READ, "GET", decode=same))
    primary = await asyncio.to_thread(lambda: watched_pair.primary)
    assert caught.value.node == f"127.0.0.1:{watched_pair.port_of(primary)}"


async def test_a_closed_driver_leaves_no_connection_at_a_sentinel(
    kind: Callable[..., Any], watched_pair: SentinelSet
) -> None:
    street = Street(kind(watched_pair.url, timeout=PATIENCE))
    assert await street.run(put("k", "1")) == b"OK"
    await street.call("close")
    await asyncio.to_thread(until, lambda: watched_pair.guests("hustlex") == 0)


async def test_calls_wait_for_the_next_primary_though_their_deadline_is_shorter(
    kind: Callable[..., Any], watched_pair: SentinelSet
) -> None:
    write = command("test.set", Effect.IDEMPOTENT, "SET", "k", "1", keys=("k",), decode=same)
    street = Street(kind(watched_pair.url))
    assert await street.run(put("k", "0")) == b"OK"
    dead = watched_pair.primary
    dead.kill()
    try:
        assert await street.run(write) == b"OK"
        assert watched_pair.primary is not dead
        assert await street.many([get("k")]) == [b"1"]
    finally:
        await street.call("close")
        await asyncio.to_thread(watched_pair.revive, dead)


async def test_a_replica_that_a_sentinel_still_names_is_refused(
    kind: Callable[..., Any], watched_pair: SentinelSet
) -> None:
    """Until the deadline; then it is said."""
    replica = next(server for server in watched_pair.servers if server is not watched_pair.primary)
    said = await sentence(kind, replica.url, Error)
    assert "READONLY this server is a replica (this server is a replica; use the primary's URL)" in said


async def test_a_dead_sentinel_is_passed_over(kind: Callable[..., Any], watched_pair: SentinelSet) -> None:
    street = Street(kind(watched_pair.url.replace("@", "@127.0.0.1:1,", 1), timeout=PATIENCE))
    assert await street.run(put("k", "v")) == b"OK"
    await street.call("close")


async def test_subscriptions_and_blocked_commands_follow(watched_pair: SentinelSet) -> None:
    words = ("BLMOVE", "list", "list", "LEFT", "LEFT", 15)  # twice is as good as once
    peek: Op[Any] = command("test.peek", Effect.READ, *words, keys=("list",), decode=same)
    async with aio.Driver(watched_pair.url, timeout=PATIENCE) as driver, driver.subscribe("news") as messages:
        waiting = asyncio.create_task(driver.block(peek, 15))
        await asyncio.to_thread(until, lambda: watched_pair.blocked() == 1)
        await asyncio.to_thread(watched_pair.promote)
        assert (await anext(messages)).gap
        await driver.run(command("test.push", Effect.IDEMPOTENT, "RPUSH", "list", "a", decode=int, timeout_ms=15_000))
        assert await waiting == b"a"
        await driver.run(command("test.publish", Effect.IDEMPOTENT, "PUBLISH", "news", "b", decode=int))
        assert (await anext(messages)).data == b"b"


# -- what cannot work says so


async def sentence(kind: Callable[..., Any], url: str, error: type[Error]) -> str:
    street = Street(kind(url))
    try:
        with pytest.raises(error) as caught:
            await street.run(get("k", timeout_ms=700))
        return str(caught.value)
    finally:
        await street.call("close")


async def test_a_name_that_no_sentinel_knows(kind: Callable[..., Any], watched_pair: SentinelSet) -> None:
    said = await sentence(kind, watched_pair.url_of("nobody"), ConfigurationError)
    assert "the Sentinels watch no server of the name nobody" in said


async def test_a_wrong_password_of_the_sentinels(kind: Callable[..., Any], watched_pair: SentinelSet) -> None:
    said = await sentence(kind, watched_pair.url_of("main", sentinel_password="guessed"), Denied)
    assert "asked as a Sentinel, refused (WRONGPASS) (Sentinels have a password of their own, ?sentinel_pass" in said
    assert "guessed" not in said


async def test_a_server_where_a_sentinel_should_be(kind: Callable[..., Any], url: str) -> None:
    account, _, host = url.removesuffix("/0").rpartition("@")
    secret = account.rpartition(":")[2]
    said = await sentence(kind, f"redis+sentinel://{host}/main?sentinel_password={secret}", ConfigurationError)
    assert f"{host} is no Sentinel (name the Sentinels in the URL; their usual port is 26379)" in said
    said = await sentence(kind, f"redis+sentinel://:{secret}@{host}/main", Denied)
    assert f"{host}, asked as a Sentinel, refused (NOAUTH) (Sentinels have a password of their own" in said


async def test_a_sentinel_where_a_server_should_be(kind: Callable[..., Any], watched_pair: SentinelSet) -> None:
    said = await sentence(kind, watched_pair.sentinels[0].url, ConfigurationError)
    assert "is a Sentinel and holds no data (use redis+sentinel://host:26379/name in the URL)" in said


async def test_no_sentinel_that_can_be_reached(kind: Callable[..., Any]) -> None:
    said = await sentence(kind, "redis+sentinel://127.0.0.1:1,127.0.0.1:2/main", Unavailable)
    assert "cannot reach the server at the Sentinels 127.0.0.1:1, 127.0.0.1:2" in said
    assert "no Sentinel could say where the server is: connection refused" in said


async def test_a_hook_is_told_which_server_the_sentinels_named(
    kind: Callable[..., Any], watched_pair: SentinelSet
) -> None:
    told: list[CallEnd] = []
    street = Street(kind(watched_pair.url, timeout=PATIENCE, hook=lambda _: told.append))
    await street.run(get("k"))
    await street.many([get("k"), get("j")])
    await street.call("close")
    primary = await asyncio.to_thread(lambda: watched_pair.primary)
    assert [end.node for end in told] == [f"127.0.0.1:{watched_pair.port_of(primary)}"] * 2
