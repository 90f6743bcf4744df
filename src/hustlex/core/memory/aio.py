"""A driver for state that must not be evicted, for tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from hustlex.core.memory.facts import check
from hustlex.core.op import AsyncDriver, Flow, Message, Op
from hustlex.errors import Error

T = TypeVar("T")


class Guarded:
    """Checks the server's memory before the first call, then steps aside: from then on its methods are the driver's."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    async def _checked(self) -> AsyncDriver:
        await self._driver.follow(check())
        for name in ("run", "run_many", "follow", "block"):
            setattr(self, name, getattr(self._driver, name))
        return self._driver

    async def run(self, op: Op[T]) -> T:
        """See ``AsyncDriver``. Raises ConfigurationError while the server may evict."""
        return await (await self._checked()).run(op)

    async def run_many(self, ops: Sequence[Op[T]]) -> list[T | Error]:
        """See ``AsyncDriver``."""
        return await (await self._checked()).run_many(ops)

    async def follow(self, flow: Flow[T]) -> T:
        """See ``AsyncDriver``."""
        return await (await self._checked()).follow(flow)

    async def block(self, op: Op[T], seconds: float) -> T:
        """See ``AsyncDriver``."""
        return await (await self._checked()).block(op, seconds)

    def subscribe(self, *channels: str) -> AbstractAsyncContextManager[AsyncIterator[Message]]:
        """See ``AsyncDriver``. A subscription rests on no key."""
        return self._driver.subscribe(*channels)

    async def close(self) -> None:
        """See ``AsyncDriver``."""
        await self._driver.close()
