"""A state server that may evict keys is refused, once, before the first call of a room that holds rights."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.memory import MemoryLimit, ask
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import ConfigurationError
from hustlex.idempotency import Scope, Started
from hustlex.ratelimit import Policy
from hustlex.sync import HustleX as BlockingHustleX
from tests.conftest import PATIENCE, SECRET
from tests.support.blocking import Blocking

PAY = Scope("u1", "POST", "/pay")


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer() as server:
        yield server


@pytest.fixture
def own(own_server: EmbeddedServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own_server.url) as raw:
        raw.config_set("maxmemory", 0)
        raw.config_set("maxmemory-policy", "noeviction")
        raw.flushall()
        yield raw


@pytest.fixture(params=["aio", "blocking"])
async def strict(request: pytest.FixtureRequest, own_server: EmbeddedServer, own: redis.Redis) -> Any:
    if request.param == "aio":
        async with HustleX(own_server.url, timeout=PATIENCE, secret=SECRET, strict_memory=True) as hx:
            yield hx
    else:
        with BlockingHustleX(own_server.url, timeout=PATIENCE, secret=SECRET, strict_memory=True) as hx:
            yield Blocking(hx)


CALLS = {
    "otp": lambda hx: hx.otp.issue("+2348031234567"),
    "tokens": lambda hx: hx.tokens.login("u1", client_id="app"),
    "idempotency": lambda hx: hx.idempotency.begin("k1", PAY),
    "pins": lambda hx: hx.pins.reset("u1"),
}


@pytest.mark.parametrize("room", CALLS)
@pytest.mark.parametrize("policy", ["volatile-lru", "allkeys-random"])
async def test_a_server_that_evicts_is_refused(
    strict: Any, own: redis.Redis, room: str, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    own.config_set("maxmemory-policy", policy)
    own.config_set("maxmemory", "64mb")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=policy):
            await CALLS[room](strict)
    assert own.dbsize() == 0
    assert policy in caplog.text
    assert "may evict" in (await strict.health()).trouble["server"]
    limits = Policy("p", 5, timedelta(minutes=1))
    assert await strict.ratelimit.check(limits, "u1", endpoint="/"), "what only counts is not refused"
    own.config_set("maxmemory-policy", "noeviction")
    await CALLS[room](strict)
    assert (await strict.health()).ok


@pytest.mark.parametrize(("limit", "policy"), [("0", "allkeys-lru"), ("64mb", "noeviction")])
async def test_a_server_that_keeps_everything_is_fine(strict: Any, own: redis.Redis, limit: str, policy: str) -> None:
    own.config_set("maxmemory-policy", policy)
    own.config_set("maxmemory", limit)
    assert isinstance(await strict.idempotency.begin("k1", PAY), Started)


async def test_it_is_asked_once(strict: Any, own: redis.Redis) -> None:
    own.config_resetstat()
    for number in range(5):
        await strict.idempotency.begin(f"k{number}", PAY)
        await strict.pins.reset("u1")
    asked = own.info("commandstats")["cmdstat_info"]["calls"]
    assert asked == 1


async def test_nobody_asks_unless_told_to(own_server: EmbeddedServer, own: redis.Redis) -> None:
    own.config_set("maxmemory-policy", "volatile-lru")
    own.config_set("maxmemory", "64mb")
    async with HustleX(own_server.url, timeout=PATIENCE, secret=SECRET) as hx:
        assert isinstance(await hx.idempotency.begin("k1", PAY), Started)


@pytest.mark.parametrize("where", ["environment", "file"])
async def test_production_is_strict(
    own_server: EmbeddedServer, own: redis.Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    own.config_set("maxmemory-policy", "volatile-lru")
    own.config_set("maxmemory", "64mb")
    monkeypatch.chdir(tmp_path)
    if where == "environment":
        monkeypatch.setenv("HUSTLEX_ENV", "production")
    else:
        (tmp_path / ".env").write_text("HUSTLEX_ENV=production\n")
    async with HustleX(own_server.url, timeout=PATIENCE, secret=SECRET) as hx:
        with pytest.raises(ConfigurationError):
            await hx.idempotency.begin("k1", PAY)
    async with HustleX(own_server.url, timeout=PATIENCE, secret=SECRET, strict_memory=False) as hx:
        assert isinstance(await hx.idempotency.begin("k1", PAY), Started)


async def test_concurrent_first_calls_all_wait_for_the_answer(own_server: EmbeddedServer, own: redis.Redis) -> None:
    own.config_set("maxmemory-policy", "volatile-lru")
    own.config_set("maxmemory", "64mb")
    async with HustleX(own_server.url, timeout=PATIENCE, secret=SECRET, strict_memory=True) as hx:
        calls = (hx.idempotency.begin(f"k{number}", PAY) for number in range(100))
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(answer) for answer in answers} == {ConfigurationError}
    assert own.dbsize() == 0


def answered(*replies: Any) -> MemoryLimit:
    """What ``ask`` makes of these replies, or errors, in turn."""
    flow = ask()
    op: Any = next(flow)
    for reply in replies:
        try:
            op = flow.throw(reply) if isinstance(reply, Exception) else flow.send(op.decode(reply))
        except StopIteration as stop:
            return stop.value
    raise AssertionError("it asks on")


def test_config_is_asked_when_info_does_not_say_and_silence_is_unsafe() -> None:
    from hustlex.errors import Denied

    said = b"# Memory\r\nmaxmemory:100\r\nmaxmemory_policy:noeviction\r\n"
    assert answered(said) == MemoryLimit(100, "noeviction")
    silent = b"# Memory\r\nused_memory:5\r\n"
    assert answered(silent, {b"maxmemory": b"0", b"maxmemory-policy": b"volatile-lru"}) == MemoryLimit(
        0, "volatile-lru"
    )
    assert answered(silent, Denied("no", server_code="NOPERM")).evicts
    assert answered(silent, {}).evicts
