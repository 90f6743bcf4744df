"""A driver whose writes are waited for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from hustlex.core.durability.committed import committed, not_durable
from hustlex.core.durability.level import MEMORY, Durability
from hustlex.core.op import AsyncDriver, Effect, Flow, Op
from hustlex.errors import Error

T = TypeVar("T")


def waiting(driver: AsyncDriver, durability: Durability) -> AsyncDriver:
    """The driver; a write that does not get as far raises NotDurable, which has its answer."""
    if durability.word == MEMORY:
        return driver
    made: Any = _Waiting(driver, durability)
    wrapped: AsyncDriver = made
    return wrapped


class _Waiting:
    """Reads take the short way."""

    def __init__(self, driver: AsyncDriver, durability: Durability) -> None:
        self._driver = driver
        self._durability = durability

    async def run(self, op: Op[T]) -> T:
        if op.effect is Effect.READ:
            return await self._driver.run(op)
        found = await self._driver.commit(op, self._durability)
        if not found.reached:
            raise not_durable(self._durability, found).during(op.name)
        return found.value

    async def run_many(self, ops: Sequence[Op[T]]) -> list[T | Error]:
        found = await self._driver.commit_many(ops, self._durability)
        return [
            each if isinstance(each, Error) else each.value if each.reached else not_durable(self._durability, each)
            for each in found
        ]

    async def follow(self, flow: Flow[T]) -> T:
        found = await self._driver.follow(committed(flow, self._durability))
        if not found.reached:
            raise not_durable(self._durability, found)
        return found.value

    def __getattr__(self, name: str) -> Any:
        """What writes nothing."""
        return getattr(self._driver, name)
