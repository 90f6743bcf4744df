"""One real server per test process, emptied before each test; the front in both styles from one body.

``--server valkey9|cluster9|cluster6|sentinel|valkey8|redis8|redis7|redis7tls`` (or HUSTLEX_TEST_SERVER) chooses.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import hypothesis
import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.testing import patient
from tests.support import servers
from tests.support.blocking import Blocking
from tests.support.cpu import CpuTimes
from tests.support.depth import examples
from tests.support.needs import pytest_make_collect_report, pytest_runtest_makereport  # noqa: F401 - hooks
from tests.support.order import long_first
from tests.support.proxy import Proxy

# A busy machine is slow now and then: an example that took long is no failure.
hypothesis.settings.register_profile("patient", deadline=None, max_examples=examples(100))
hypothesis.settings.load_profile("patient")

SECRET = b"a test secret of thirty-two bytes or more"
PATIENCE = timedelta(seconds=5)
"""With a crowded machine's server: the most that a front may be told."""
LONG = timedelta(seconds=30)
"""The same for a driver."""
_KEPT = ("HUSTLEX_TEST_SERVER", "HUSTLEX_TEST_DEEP", "HUSTLEX_SERVER_BINARY")


def pytest_addoption(parser: pytest.Parser) -> None:
    chosen = os.environ.get("HUSTLEX_TEST_SERVER", "valkey9")
    parser.addoption("--server", choices=sorted(servers.KINDS), default=chosen, help="the real server to run on")
    parser.addoption("--cpu", action="store_true", help="tell which tests take the processors' time")


def pytest_configure(config: pytest.Config) -> None:
    """The desk's own settings must not decide what a test sees."""
    _hear_again(signal.SIGHUP, signal.SIGINT)
    for name in [name for name in os.environ if name.startswith("HUSTLEX_") and name not in _KEPT]:
        del os.environ[name]
    if config.getoption("--cpu"):
        config.pluginmanager.register(CpuTimes(), "cpu-times")
    config.addinivalue_line("markers", "one_server: says something of one server that nobody else uses")
    config.addinivalue_line("markers", "across_slots: needs a server whose calls may name keys of several slots")


def _hear_again(*signals: signal.Signals) -> None:
    """``nohup``, and ``&`` in a script, make a process ignore these, and so all that it starts: programs of tests would
    not end by them. A handler that does nothing is this process's alone."""
    for each in signals:
        if signal.getsignal(each) is signal.SIG_IGN:
            signal.signal(each, lambda *_: None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collecting makes a heap that nothing frees: the collector would go through it again and again, now and later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if (processes := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))) > 1:
        items[:] = long_first(items, processes)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what several servers answer otherwise."""
    kind = item.config.getoption("--server")
    if kind in servers.SEVERAL and item.get_closest_marker("one_server"):
        pytest.skip(f"says something of one server, and {kind} is several")
    if "cluster" in kind and item.get_closest_marker("across_slots"):
        pytest.skip(f"needs calls over several slots, and {kind} refuses them")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Any:
    """A running server, shared by the tests of this process. Stop or kill only servers of your own."""
    kind = request.config.getoption("--server")
    if kind in servers.SEVERAL:
        pytest.skip(f"looks at one server, and {kind} is several")
    return request.getfixturevalue("arrangement")


@pytest.fixture(scope="session")
def arrangement(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The running servers, whatever their arrangement; ``url`` leads to them."""
    with servers.arranged(request.config.getoption("--server")) as running:
        yield running


@pytest.fixture(scope="session")
def _oracle(arrangement: Any) -> Iterator[redis.Redis]:
    with servers.oracle(arrangement) as client:
        yield client


@pytest.fixture
def raw(_oracle: redis.Redis) -> redis.Redis:
    """redis-py on the emptied server, replies as bytes: the oracle. Opened once: that takes longer than most tests."""
    _oracle.flushall()
    return _oracle


@pytest.fixture
def url(arrangement: Any, raw: redis.Redis) -> str:
    """The URL of the emptied server."""
    address: str = arrangement.url
    return address


@pytest.fixture
def clock() -> FixedClock:
    """The clock of ``hx``: stands still until the test moves it."""
    return FixedClock()


@pytest.fixture
async def driver(url: str) -> AsyncIterator[Any]:
    """The async driver."""
    from hustlex.drivers.aio import Driver

    driver = Driver(url, timeout=LONG)
    yield driver
    await driver.close()


@pytest.fixture
def blocking_driver(url: str) -> Iterator[Any]:
    """The blocking driver."""
    from hustlex.drivers.blocking import Driver

    driver = Driver(url, timeout=LONG)
    yield driver
    driver.close()


@pytest.fixture
def rooms() -> dict[str, Any]:
    """Options of rooms for ``hx``, as ``{"tokens": TokenOptions(...)}``; a test module overrides it."""
    return {"ratelimit": unhurried()}


@pytest.fixture(params=["aio", "blocking"])
async def hx(request: pytest.FixtureRequest, url: str, clock: FixedClock, rooms: dict[str, Any]) -> AsyncIterator[Any]:
    """The front, async and blocking: ``await hx.otp.verify(...)`` works for both (``tests/support/blocking.py``)."""
    options = {**patient(), "ratelimit": None, "secret": SECRET, "clock": clock, **rooms}
    if request.param == "aio":
        from hustlex.app import HustleX

        async with HustleX(url, **options) as front:
            yield front
    else:
        from hustlex.sync import HustleX as BlockingHustleX

        with BlockingHustleX(url, **options) as blocking_front:
            yield Blocking(blocking_front)


def unhurried() -> Any:
    """Limits that wait for a crowded machine's server, instead of deciding without it."""
    from hustlex.ratelimit import RateLimitOptions

    return RateLimitOptions(timeout=timedelta(seconds=10))


@pytest.fixture
def faulty(server: EmbeddedServer, url: str) -> Iterator[Proxy]:
    """A TCP proxy in front of the server that cuts, delays and loses things on demand."""
    if url.startswith("rediss"):
        pytest.skip("looks into the traffic, which is encrypted")
    with Proxy(url) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def browser_address() -> Iterator[str]:
    """A real Chromium for the tests of this process: ``connected(browser_address)`` has a profile of its own."""
    from tests.support.browser import started

    with started() as address:
        yield address
