"""This package's async driver: each operation is built for its call, as every room does it."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable
from typing import Any

from bench.commands import SCRIPT, VALUE, Commands
from hustlex.core.op import Effect, Script, command
from hustlex.drivers.aio import Driver

_READ = Script("bench.read", SCRIPT, hashlib.sha1(SCRIPT.encode()).hexdigest(), Effect.READ, (), ())


async def connect(url: str) -> Commands:
    """One driver, on one server or a cluster."""
    driver = Driver(url)

    def get(key: str) -> Awaitable[Any]:
        return driver.run(command("bench.get", Effect.READ, "GET", key, keys=(key,), decode=_same))

    def put(key: str) -> Awaitable[Any]:
        return driver.run(command("bench.set", Effect.IDEMPOTENT, "SET", key, VALUE, keys=(key,), decode=_same))

    def evalsha(key: str) -> Awaitable[Any]:
        return driver.run(_READ.op((key,), (), _same))

    return Commands(get, put, evalsha, driver.close)


def _same(reply: Any) -> Any:
    return reply
