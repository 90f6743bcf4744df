"""A driver for state that must not be evicted, for tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from hustlex.core.memory.facts import check
from hustlex.core.op import AsyncDriver, Flow, Op
from hustlex.errors import Error

T = TypeVar("T")


def guarded(driver: AsyncDriver) -> AsyncDriver:
    """The driver, once the server was found to keep what it is told; until then ConfigurationError."""
    return cast("AsyncDriver", _Guarded(driver))


class _Guarded:
    """Checks before the first call, then steps aside: from then on these methods are the driver's, at no cost."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    async def _checked(self) -> AsyncDriver:
        await self._driver.follow(check())
        for name in ("run", "run_many", "follow", "block"):
            setattr(self, name, getattr(self._driver, name))
        return self._driver

    async def run(self, op: Op[T]) -> T:
        return await (await self._checked()).run(op)

    async def run_many(self, ops: Sequence[Op[T]]) -> list[T | Error]:
        return await (await self._checked()).run_many(ops)

    async def follow(self, flow: Flow[T]) -> T:
        return await (await self._checked()).follow(flow)

    async def block(self, op: Op[T], seconds: float) -> T:
        return await (await self._checked()).block(op, seconds)

    def __getattr__(self, name: str) -> Any:
        """What touches no key, as ``subscribe`` and ``close``, needs no check."""
        return getattr(self._driver, name)
