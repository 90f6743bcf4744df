"""Run an engine on the fastest loop there is, until a signal asks it to stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from hustlex.cli.ending import MARGIN_S, Ending
from hustlex.core.op import Effect, command
from hustlex.core.telemetry import Hook
from hustlex.drivers.aio import Driver, Options
from hustlex.errors import ConfigurationError, Error

_STOPPED = "Event loop stopped before"
"""As both loops word it."""
Engine = Callable[[], Awaitable[None]]


def open_driver(given: str | None, url: str, name: str, *, blocking: int = 0, hook: Hook | None = None) -> Driver:
    """A driver for ``url``. given: the option it comes from, if it was given; an error names that or the variable.

    blocking: commands that wait on the server at once, as a worker has one for each of its queues.
    """
    try:
        return Driver(url, Options(name=name, blocking=max(Options().blocking, blocking)), hook=hook)
    except ConfigurationError as error:
        raise named("HUSTLEX_URL" if given is None else "--url", error) from None


def named(source: str, error: Error) -> ConfigurationError:
    """The same error, told of the option or variable that holds what is wrong."""
    return ConfigurationError(f"{source}: {error.message}", hint=error.hint)


def run_until_signal(
    run: Engine, stop: Callable[[], object], driver: Driver, *, hurry: Callable[[], object], grace_s: float = 0.0
) -> None:
    """SIGTERM and SIGINT call ``stop``, then ``hurry``; the engine's own end, or its error, ends the process.

    grace_s: what ``stop`` waits for running work; ten seconds after it the process ends whatever hangs.
    """
    log_plainly()
    engine = _supervised(run, stop, hurry, grace_s, driver)
    try:
        _run(engine)
    except (asyncio.CancelledError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not str(error).startswith(_STOPPED):
            raise
        raise Error(
            "the event loop was ended from within", hint="a handler stopped it, or cancelled tasks that are not its own"
        ) from None


def _run(engine: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(engine)
    else:
        uvloop.run(engine)


async def _supervised(
    run: Engine, stop: Callable[[], object], hurry: Callable[[], object], grace_s: float, driver: Driver
) -> None:
    ending, code = Ending(stop, hurry, grace_s + MARGIN_S), 1
    ending.listen()
    try:
        async with driver:
            await driver.run(command("server.ping", Effect.READ, "PING", decode=bool))  # a wrong URL ends here, clearly
            await run()
            code = 0
    finally:
        ending.over(code)


def log_plainly() -> None:
    """Lines on stderr, from what an engine says of itself on, unless the application's module has set up its log."""
    if not logging.getLogger("hustlex.worker").hasHandlers():
        logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        logging.getLogger("hustlex").setLevel(logging.INFO)
