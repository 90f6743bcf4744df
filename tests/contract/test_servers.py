"""Every supported server takes every script and answers both drivers. ``make servers`` runs all contracts on them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import redis

from hustlex.core.lua import load
from hustlex.core.op import Effect, command
from hustlex.drivers import aio, blocking
from hustlex.drivers.binary import server_version
from hustlex.drivers.embedded import EmbeddedServer
from tests.conftest import LONG
from tests.support import servers
from tools.check_lua import is_script, lua_files, place

SCRIPTS = [path for path in lua_files() if is_script(path.read_text("utf-8"))]


@pytest.fixture(scope="module", params=sorted(set(servers.KINDS) - set(servers.SEVERAL)))
def any_server(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    assert server_version(servers.binary(request.param))[0] == int(re.search(r"\d", request.param)[0])
    with servers.started(request.param) as running:
        yield running


def test_takes_every_script(any_server: EmbeddedServer) -> None:
    with redis.Redis.from_url(any_server.url, decode_responses=True) as client:
        for path in SCRIPTS:
            script = load(*place(path))
            assert client.script_load(script.text) == script.sha1


async def test_answers_both_drivers(any_server: EmbeddedServer) -> None:
    write = command("test.set", Effect.IDEMPOTENT, "SET", "k", b"\x00v", keys=("k",), decode=bytes)
    read = command("test.get", Effect.READ, "GET", "k", keys=("k",), decode=bytes)
    for url in (any_server.url, any_server.socket_url):
        driver = aio.Driver(url, timeout=LONG)
        assert await driver.run(write) == b"OK"
        assert await driver.run(read) == b"\x00v"
        await driver.close()
        with blocking.Driver(url, timeout=LONG) as plain:
            assert plain.run(read) == b"\x00v"
