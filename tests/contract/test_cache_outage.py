"""The cache when processes die and servers vanish: real processes, real signals."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.app import HustleX
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import Unavailable
from hustlex.sync import HustleX as BlockingHustleX
from tests.conftest import LONG, PATIENCE
from tests.contract.test_cache import Origin, start, until
from tests.support import forked, servers
from tests.support.blocking import Blocking

QUARTER = timedelta(minutes=15)
PATIENT = timedelta(seconds=10)

_PROCESS = """
import asyncio, sys
from datetime import timedelta
from hustlex import HustleX
from hustlex.core.op import Effect, command
from tests.conftest import PATIENCE

url, lease_ms, seconds, callers = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])

async def main():
    async with HustleX(url) as hx:
        users = hx.cache("user", int, ttl=timedelta(minutes=15), lease=timedelta(milliseconds=lease_ms),
                         timeout=timedelta(seconds=2))
        async def load():
            print("computing", flush=True)
            await hx.driver.run(command("test.count", Effect.ONCE, "INCR", "origin", keys=("origin",), decode=int))
            await asyncio.sleep(seconds)
            return 7
        await users.get(0)
        print("ready", flush=True)
        sys.stdin.readline()
        print(await asyncio.gather(*(users.get_or_compute(1, load) for _ in range(callers))) == [7] * callers)

asyncio.run(main())
"""


@contextmanager
def process(url: str, *, lease_ms: int, seconds: float, callers: int) -> Iterator[subprocess.Popen[str]]:
    """A process ready to call; a line on its stdin starts it."""
    command = [sys.executable, "-c", textwrap.dedent(_PROCESS), url, str(lease_ms), str(seconds), str(callers)]
    with forked.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            yield running
        finally:
            running.kill()


def go(running: subprocess.Popen[str]) -> None:
    assert running.stdin is not None
    running.stdin.write("go\n")
    running.stdin.flush()


def test_two_processes_compute_once_however_long_it_takes(url: str, raw: redis.Redis) -> None:
    """T-C02: the computation takes three leases, so renewal is what keeps the other process waiting."""
    options: dict[str, Any] = {"lease_ms": 1000, "seconds": 3.1, "callers": 50}
    with process(url, **options) as one, process(url, **options) as other:
        go(one)
        go(other)
        outputs = [running.communicate(timeout=60)[0] for running in (one, other)]
    assert all(output.endswith("True\n") for output in outputs)
    assert raw.get("origin") == b"1"


async def test_eight_fronts_of_fifty_callers_compute_once(url: str, raw: redis.Redis) -> None:
    """T-C02: fronts share nothing but the server, as processes do."""
    fronts = [HustleX(url, timeout=PATIENCE) for _ in range(8)]
    options: dict[str, Any] = {"ttl": QUARTER, "timeout": PATIENCE, "lease": LONG, "wait": LONG}
    caches = [front.cache("user", int, **options) for front in fronts]
    origin = Origin(7)
    origin.close()
    calls = [start(cache.get_or_compute(1, origin.load)) for cache in caches for _ in range(50)]
    await origin.computing.wait()
    await until(lambda: sum(bool(cache.stats().wait.get("polled")) for cache in caches) == 7)
    origin.open()
    assert await asyncio.gather(*calls) == [7] * 400
    assert origin.calls == 1
    for front in fronts:
        await front.close()


async def test_a_killed_computation_is_taken_over_when_its_lease_ends(url: str, raw: redis.Redis) -> None:
    """T-C03."""
    async with HustleX(url) as hx:
        users = hx.cache("user", int, ttl=QUARTER, timeout=PATIENT)

        async def load() -> int:
            return 8

        with process(url, lease_ms=1000, seconds=60, callers=1) as victim:
            go(victim)
            assert victim.stdout is not None
            assert victim.stdout.readline() == "computing\n"
            waiting = asyncio.ensure_future(users.get_or_compute(1, load))
            while not users.stats().wait.get("polled"):
                await asyncio.sleep(0.005)
            victim.kill()
            died = time.monotonic()
            assert await waiting == 8
            assert time.monotonic() - died < 1.0 + 5  # the victim would take a minute
        assert raw.get("cache:user:1") is not None


@pytest.fixture
def mortal(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A server of this test's own, to stop and kill."""
    with EmbeddedServer(binary=servers.binary(request.config.getoption("--server"))) as server:
        yield server


@pytest.fixture(params=["aio", "blocking"])
async def front(request: pytest.FixtureRequest, mortal: EmbeddedServer) -> AsyncIterator[Any]:
    if request.param == "aio":
        async with HustleX(mortal.url) as hx:
            yield hx
    else:
        with BlockingHustleX(mortal.url) as blocking:
            yield Blocking(blocking)


@pytest.mark.parametrize("how", ["stopped", "killed", "never there"])
async def test_reads_compute_when_the_server_is_gone(front: Any, mortal: EmbeddedServer, how: str) -> None:
    """T-C16: within the timeout of 50 ms plus the origin's time; invalidations and writes raise."""
    users = front.cache("user", int, ttl=QUARTER)

    async def load() -> int:
        return 7

    if how != "never there":
        assert await users.get_or_compute(1, load) == 7
    if how == "stopped":
        os.kill(mortal.pid, signal.SIGSTOP)
    else:
        mortal.kill()
    # The blocking driver's connect and handshake have a limit of their own, 1 s, which a stopped server uses up.
    reconnect = 1.0 if how == "stopped" and isinstance(front, Blocking) else 0.0
    try:
        for _ in range(3):
            began = time.monotonic()
            assert await users.get_or_compute(1, load) == 7
            assert time.monotonic() - began < reconnect + 1.4
        assert await users.get(1) is None
        assert await users.get_many([1, 2]) == {}
        for call in (users.delete(1), users.set(1, 2)):
            with pytest.raises(Unavailable):
                await call
    finally:
        if how == "stopped":
            os.kill(mortal.pid, signal.SIGCONT)
    stats = users.stats()
    assert stats.requests["bypass"] >= 6
    assert stats.failures >= 6


async def test_the_bulkhead_bounds_computations_without_a_server(front: Any, mortal: EmbeddedServer) -> None:
    users = front.cache("user", int, ttl=QUARTER, bulkhead=4)
    mortal.kill()
    now = most = 0

    async def load() -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return 7

    assert await asyncio.gather(*(users.get_or_compute(n % 3 + 1, load) for n in range(24))) == [7] * 24
    assert most == 4


async def test_the_cache_comes_back_with_the_server(front: Any, mortal: EmbeddedServer) -> None:
    users = front.cache("user", int, ttl=QUARTER, timeout=timedelta(seconds=1))
    calls = 0

    async def load() -> int:
        nonlocal calls
        calls += 1
        return calls

    os.kill(mortal.pid, signal.SIGSTOP)
    try:
        assert await users.get_or_compute(1, load) == 1
    finally:
        os.kill(mortal.pid, signal.SIGCONT)
    async with asyncio.timeout(60):
        while await users.get(1) is None:
            await users.get_or_compute(1, load)
    settled = calls
    assert await users.get_or_compute(1, load) == settled


async def test_one_line_is_logged_per_outage(
    front: Any, mortal: EmbeddedServer, caplog: pytest.LogCaptureFixture
) -> None:
    users = front.cache("user", int, ttl=QUARTER)
    mortal.kill()
    for user in range(3):
        await users.get(f"secret-{user}")
    lines = [record.getMessage() for record in caplog.records if record.name == "hustlex.cache"]
    assert len(lines) == 1
    assert "cache user: going on without the server" in lines[0]
    assert "secret" not in lines[0]
