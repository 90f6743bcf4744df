"""Fixtures on a real server: ``hustlex_server``, ``hustlex_url``, ``hustlex_clock``, ``hustlex``.

Loaded by every run of pytest where the package is installed (``-p no:hustlex`` leaves it out), so it imports nothing
until a fixture is used. Async tests need pytest-asyncio or anyio's plugin.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

if TYPE_CHECKING:
    from hustlex.app import HustleX
    from hustlex.core.time import FixedClock
    from hustlex.drivers.embedded import EmbeddedServer

Function = TypeVar("Function", bound=Callable[..., Any])

SECRET = b"the secret of a test, no secret at all"
"""What ``hustlex`` derives its keys from."""


_SCOPES = ("function", "class", "module", "package", "session")


def _asyncio_fixture(scope: str, function: Function) -> Function:
    """One that pytest-asyncio runs in both of its modes, in the event loop of that scope."""
    try:
        from pytest_asyncio import fixture
    except ImportError:
        return function
    return cast("Function", fixture(loop_scope=scope, name=f"_hustlex_in_{scope}_loop")(function))  # type: ignore[call-overload]


def _loop_scope(request: pytest.FixtureRequest) -> str:
    """Of the loop in which pytest-asyncio runs this test: what is opened in another one is of no use to it."""
    marker = request.node.get_closest_marker("asyncio")
    asked = marker.kwargs.get("loop_scope") or marker.kwargs.get("scope") if marker else None
    if asked is None:
        try:
            asked = request.config.getini("asyncio_default_test_loop_scope")
        except (KeyError, ValueError):
            asked = None
    return asked if asked in _SCOPES else "function"


@pytest.fixture(scope="session")
def hustlex_server() -> Iterator[EmbeddedServer]:
    """A server of this test process alone, started once, on a free port of 127.0.0.1. Override it for another one."""
    from hustlex.drivers.embedded import EmbeddedServer

    with EmbeddedServer() as server:
        yield server


@pytest.fixture
def hustlex_url(hustlex_server: Any) -> str:
    """The URL of the emptied server."""
    from hustlex.drivers.embedded import EmbeddedServer, empty

    if isinstance(hustlex_server, EmbeddedServer):
        empty(hustlex_server)
    else:
        _emptied(hustlex_server.url)
    url: str = hustlex_server.url
    return url


def _emptied(url: str) -> None:
    from hustlex.core.op import Effect, command
    from hustlex.drivers.blocking import Driver

    driver = Driver(url)
    driver.run(command("testing.flush", Effect.IDEMPOTENT, "FLUSHALL", decode=bool))
    driver.close()


@pytest.fixture
def hustlex_clock() -> FixedClock:
    """The clock of ``hustlex``: stands still, at the start of the second the test began in, until the test moves it."""
    from hustlex.core.time import FixedClock

    return FixedClock(int(time.time()) * 1000)


@pytest.fixture
def hustlex(request: pytest.FixtureRequest) -> HustleX:
    """A ``HustleX`` on the emptied server, with ``hustlex_clock``."""
    anyio = "anyio_backend" in request.fixturenames
    front: HustleX = request.getfixturevalue(
        "_hustlex_of_anyio" if anyio else f"_hustlex_in_{_loop_scope(request)}_loop"
    )
    return front


def _in_the_loop_of(scope: str) -> Callable[..., Any]:
    async def hustlex_in_loop(hustlex_url: str, hustlex_clock: FixedClock) -> AsyncIterator[HustleX]:
        async with _front(hustlex_url, hustlex_clock) as front:
            yield front

    return _asyncio_fixture(scope, hustlex_in_loop)


_in_function, _in_class, _in_module, _in_package, _in_session = map(_in_the_loop_of, _SCOPES)


@pytest.fixture
async def _hustlex_of_anyio(hustlex_url: str, hustlex_clock: FixedClock) -> AsyncIterator[HustleX]:
    async with _front(hustlex_url, hustlex_clock) as front:
        yield front


def _front(url: str, clock: FixedClock) -> HustleX:
    from hustlex.app import HustleX
    from hustlex.testing.patience import patient

    return HustleX(url, secret=SECRET, clock=clock, **patient())
