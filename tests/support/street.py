"""Either driver, awaited the same way: one text for what both must do."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from hustlex.core.op import Op
from hustlex.drivers import aio, blocking

KINDS: dict[str, Callable[..., Any]] = {"aio": aio.Driver, "blocking": blocking.Driver}


class Street:
    """A driver of either kind."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    async def call(self, verb: str, *args: Any) -> Any:
        method = getattr(self.driver, verb)
        if inspect.iscoroutinefunction(method):
            return await method(*args)
        return await asyncio.to_thread(method, *args)

    async def run(self, op: Op[Any]) -> Any:
        return await self.call("run", op)

    async def many(self, ops: list[Op[Any]]) -> list[Any]:
        answers: list[Any] = await self.call("run_many", ops)
        return answers
