"""``hustlex redis``: figures, slow calls and a sample of commands, in either driver, and nothing of what they carry."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from typer.testing import CliRunner

from hustlex.app import HustleX
from hustlex.cli.main import cli
from hustlex.diagnostics import CommandSample, Diagnostics
from hustlex.diagnostics.watching import monitor
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import Denied, Unavailable
from hustlex.sync import HustleX as BlockingHustleX
from tests.conftest import SECRET
from tests.support.sweep import Sample, complaints, parameters, unswept

PHONE = "+2348031234567"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer(append_only=True) as server:
        yield server


@pytest.fixture
def raw(server: EmbeddedServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as raw:
        raw.flushall()
        raw.slowlog_reset()
        yield raw


def run(server: EmbeddedServer, *words: str) -> Any:
    return CliRunner().invoke(cli, ["redis", *words, "--url", server.url])


def test_info_tells_figures(server: EmbeddedServer, raw: redis.Redis) -> None:
    raw.set("a", "1")
    raw.set("b", "1", ex=60)
    (item,) = json.loads(run(server, "info", "--json").stdout)["items"]
    assert (item["keys"], item["expiring"], item["role"], item["append_only"]) == (2, 1, "master", True)
    assert item["memory_bytes"] > 100_000 and item["version"].split()[0] in ("redis", "valkey")
    shown = run(server, "info").stdout
    assert "MiB" in shown and "operations per s" in shown
    assert "standalone" in run(server, "info", "--cache").stdout


def test_memory_is_told_by_room_and_large_keys_as_patterns(server: EmbeddedServer, raw: redis.Redis) -> None:
    with BlockingHustleX(server.url, secret=SECRET, prefix="app:") as hx:
        hx.otp.issue(PHONE)
        with raw.pipeline() as pipe:
            for n in range(60):
                pipe.set(f"wallet:ada:{n}", "secret" * 1000)
            pipe.execute()
        [found] = hx.diagnostics.memory()
        assert found.complete and {each.room for each in found.rooms} >= {"otp", "other"}
        assert sum(each.keys for each in found.rooms) == raw.dbsize() == found.looked
        [some] = hx.diagnostics.memory(1)  # at least 50 of a node
        assert not some.complete and some.looked == 50 and some.keys == raw.dbsize()
        glance = hx.diagnostics.glance()
        assert (glance.nodes, len(glance.servers), len(glance.memory), glance.refused) == (1, 1, 1, ())
    result = run(server, "memory", "--prefix", "app:", "--json")
    (item,) = json.loads(result.stdout)["items"]
    assert item["large"][0]["pattern"] == "*:*:*" and item["hot"] is None
    shown = run(server, "memory", "--prefix", "app:").stdout
    assert "otp" in shown and "all of them" in shown and "no LFU" in shown
    for hidden in ("ada", "secret", "2348031234567", "wallet"):
        assert hidden not in result.stdout and hidden not in shown


def test_connections_are_told_by_name(server: EmbeddedServer, raw: redis.Redis) -> None:
    raw.client_setname("till")
    (item,) = json.loads(run(server, "clients", "--json").stdout)["items"]
    names = {each["name"]: each["connections"] for each in item["groups"]}
    assert names["till"] == 1 and sum(names.values()) == item["connections"]
    assert "till" in run(server, "clients").stdout


@pytest.fixture
def all_slow(raw: redis.Redis) -> Iterator[None]:
    raw.config_set("slowlog-log-slower-than", 0)
    yield
    raw.config_set("slowlog-log-slower-than", 10_000)


def test_slow_calls_are_named_and_what_they_carry_is_not(
    server: EmbeddedServer, raw: redis.Redis, all_slow: None
) -> None:
    with BlockingHustleX(server.url, secret=SECRET, prefix="app:") as hx:
        hx.otp.issue(PHONE)
    raw.set("wallet:ada", "secret")
    result = run(server, "slowlog", "--count", "100", "--prefix", "app:", "--json")
    items = json.loads(result.stdout)["items"]
    scripts = {each["command"]["script"]: each["command"]["key"] for each in items}
    assert scripts["otp.issue"].startswith("app:otp:{")
    assert next(each["command"]["key"] for each in items if each["command"]["name"] == "SET") == "*:*"
    shown = run(server, "slowlog", "--prefix", "app:").stdout
    for hidden in ("ada", "secret", "2348031234567", "wallet"):
        assert hidden not in result.stdout and hidden not in shown
    assert len(json.loads(run(server, "slowlog", "--count", "3", "--json").stdout)["items"]) == 3


@pytest.fixture
def traffic(server: EmbeddedServer) -> Iterator[None]:
    """Calls all the time, until the test ends."""
    over = threading.Event()

    def call() -> None:
        with redis.Redis.from_url(server.url) as raw:
            while not over.is_set():
                raw.set('wallet:"ada"\r\n', "secret")
                raw.eval("return redis.call('get', KEYS[1])", 1, "cache:basket:ada")

    thread = threading.Thread(target=call)
    thread.start()
    yield
    over.set()
    thread.join()


def test_a_sample_ends_by_number_and_shows_kinds_alone(server: EmbeddedServer, traffic: None) -> None:
    result = run(server, "monitor", "--sample", "30", "--seconds", "20", "--json")
    answer = json.loads(result.stdout)
    assert len(answer["commands"]) == 30
    kinds = {(each["command"], each["script"], each["key"]) for each in answer["counts"]}
    kinds.discard(("HELLO", "", ""))  # whose connection opens just then
    assert {("SET", "", "*:*"), ("EVAL", "?", "cache:*:*"), ("GET", "", "cache:*:*")} >= kinds
    assert {each["by_script"] for each in answer["commands"] if each["command"]["name"] == "GET"} == {True}
    shown = run(server, "monitor", "--sample", "30", "--seconds", "20").stdout
    assert "30 commands" in shown
    for hidden in ("ada", "secret", "wallet"):
        assert hidden not in result.stdout and hidden not in shown


async def test_a_sample_ends_by_time_in_either_driver(server: EmbeddedServer, raw: redis.Redis) -> None:
    brief = timedelta(milliseconds=20)
    async with HustleX(server.url) as hx:
        assert await hx.diagnostics.monitor(watch=brief) == CommandSample(0.02, ())
        listening = asyncio.create_task(hx.diagnostics.monitor(1, watch=timedelta(seconds=20)))
        while not listening.done():
            raw.ping()
            await asyncio.sleep(0)
        (heard,) = (await listening).commands
    assert (heard.command.name, heard.by_script) == ("PING", False)
    with BlockingHustleX(server.url) as hx:
        assert hx.diagnostics.monitor(watch=brief).commands == ()


async def test_who_may_not_is_told_so(server: EmbeddedServer, raw: redis.Redis) -> None:
    raw.execute_command("ACL", "SETUSER", "least", "reset", "on", ">pw", "~*", "+@read", "+ping", "+hello")
    parts = urlsplit(server.url)
    url = f"redis://least:pw@{parts.hostname}:{parts.port}/0"
    async with HustleX(url) as hx:
        for call in (hx.diagnostics.monitor, hx.diagnostics.slowlog, hx.diagnostics.servers, hx.diagnostics.clients):
            with pytest.raises(Denied, match="NOPERM"):
                await call()
    with BlockingHustleX(url) as blocking, pytest.raises(Denied, match=r"doctor\.monitor"):
        blocking.diagnostics.monitor()


async def test_a_server_that_is_away_and_a_front_that_was_closed(unused_tcp_port: int, server: EmbeddedServer) -> None:
    away = f"redis://127.0.0.1:{unused_tcp_port}"
    quick = timedelta(milliseconds=50)
    async with HustleX(away, timeout=quick) as hx:
        with pytest.raises(Unavailable):
            await hx.driver.listen(monitor(None, ""), 1, 1)
    with pytest.raises(Unavailable, match="closed"):
        await hx.driver.listen(monitor(None, ""), 1, 1)
    with BlockingHustleX(away, timeout=quick) as blocking, pytest.raises(Unavailable):
        blocking.driver.listen(monitor(None, ""), 1, 1)
    with pytest.raises(Unavailable, match="closed"):
        blocking.driver.listen(monitor(None, ""), 1, 1)


SAMPLES = [
    Sample(Diagnostics.check, {"deep": False, "brief": True, "watch": timedelta(0), "keys": 1, "jobs": False}),
    Sample(Diagnostics.self_check, {"strict": False}),
    Sample(Diagnostics.servers, {"role": "state"}),
    Sample(Diagnostics.slowlog, {"count": 1, "role": "cache"}),
    Sample(Diagnostics.clients, {"role": "state"}),
    Sample(Diagnostics.memory, {"keys": 1, "role": "state"}),
    Sample(Diagnostics.glance, {"keys": 1, "count": 1, "role": "cache", "brief": True}),
    Sample(Diagnostics.monitor, {"sample": 1, "watch": timedelta(milliseconds=1), "role": "state"}),
]


async def test_the_doors_refuse_bad_input(server: EmbeddedServer) -> None:
    made = (f"Diagnostics({name})" for name in parameters(Diagnostics))  # by the front
    assert unswept([Diagnostics], SAMPLES, but=made) == set()
    async with HustleX(server.url) as hx:
        for sample in SAMPLES:
            assert await complaints(sample, hx.diagnostics) == []
