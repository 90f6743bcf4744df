"""Run an engine on the fastest loop there is, until a signal asks it to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

from hustlex.core.op import Effect, command
from hustlex.drivers.aio import Driver, Options
from hustlex.errors import ConfigurationError, Error

Engine = Callable[[], Awaitable[None]]


def open_driver(given: str | None, url: str, name: str) -> Driver:
    """A driver for ``url``. given: the option it comes from, if it was given; an error names that or the variable."""
    try:
        return Driver(url, Options(name=name))
    except ConfigurationError as error:
        raise named("HUSTLEX_URL" if given is None else "--url", error) from None


def named(source: str, error: Error) -> ConfigurationError:
    """The same error, told of the option or variable that holds what is wrong."""
    return ConfigurationError(f"{source}: {error.message}", hint=error.hint)


def run_until_signal(run: Engine, stop: Callable[[], object], driver: Driver) -> None:
    """SIGTERM and SIGINT call ``stop`` once; the engine's own end, or its error, ends the process."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(_supervised(run, stop, driver))
    else:
        uvloop.run(_supervised(run, stop, driver))


async def _supervised(run: Engine, stop: Callable[[], object], driver: Driver) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with driver:
        await driver.run(command("server.ping", Effect.READ, "PING", decode=bool))  # a wrong URL ends here, clearly
        await run()
