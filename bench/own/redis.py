"""A GET through this package's async driver: the operation is built for each call, as every room does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from hustlex.core.op import Effect, command
from hustlex.drivers.aio import Driver


def connect(url: str) -> tuple[Callable[[str], Awaitable[Any]], Callable[[], Awaitable[None]]]:
    """The driver's GET, and how to close it."""
    driver = Driver(url)

    def get(key: str) -> Awaitable[Any]:
        return driver.run(command("bench.get", Effect.READ, "GET", key, keys=(key,), decode=_same))

    return get, driver.close


def _same(reply: Any) -> Any:
    return reply
