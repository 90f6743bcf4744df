"""A driver for state that must not be evicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from hustlex.core.memory.facts import check
from hustlex.core.op import AsyncDriver, Flow, Op
from hustlex.errors import Error

T = TypeVar("T")


def guarded(driver: AsyncDriver) -> AsyncDriver:
    """The driver, once the server was found to keep what it is told; until then ConfigurationError."""
    guard: Any = _Guarded(driver)
    checked: AsyncDriver = guard
    return checked


class _Guarded:
    """Checks before the first call, then steps aside: from then on these methods are the driver's, at no cost."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    async def _checked(self) -> AsyncDriver:
        await self._driver.follow(check())
        for name in [name for name in vars(_Guarded) if not name.startswith("_")]:
            setattr(self, name, getattr(self._driver, name))
        return self._driver

    async def run(self, op: Op[T]) -> T:
        driver = await self._checked()
        return await driver.run(op)

    async def run_many(self, ops: Sequence[Op[T]]) -> list[T | Error]:
        driver = await self._checked()
        return await driver.run_many(ops)

    async def follow(self, flow: Flow[T]) -> T:
        driver = await self._checked()
        return await driver.follow(flow)

    async def block(self, op: Op[T], seconds: float) -> T:
        driver = await self._checked()
        return await driver.block(op, seconds)

    def __getattr__(self, name: str) -> Any:
        """What touches no key, as ``subscribe`` and ``close``, needs no check."""
        return getattr(self._driver, name)
