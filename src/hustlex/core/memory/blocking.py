"""A driver for state that must not be evicted, for threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from hustlex.core.memory.facts import check
from hustlex.core.op import BlockingDriver, Flow, Op
from hustlex.errors import Error

T = TypeVar("T")


def guarded(driver: BlockingDriver) -> BlockingDriver:
    """The driver, once the server was found to keep what it is told; until then ConfigurationError."""
    return cast("BlockingDriver", _Guarded(driver))


class _Guarded:
    """Checks before the first call, then steps aside: from then on these methods are the driver's, at no cost."""

    def __init__(self, driver: BlockingDriver) -> None:
        self._driver = driver

    def _checked(self) -> BlockingDriver:
        self._driver.follow(check())
        for name in ("run", "run_many", "follow"):
            setattr(self, name, getattr(self._driver, name))
        return self._driver

    def run(self, op: Op[T]) -> T:
        return self._checked().run(op)

    def run_many(self, ops: Sequence[Op[T]]) -> list[T | Error]:
        return self._checked().run_many(ops)

    def follow(self, flow: Flow[T]) -> T:
        return self._checked().follow(flow)

    def __getattr__(self, name: str) -> Any:
        """What touches no key, as ``close``, needs no check."""
        return getattr(self._driver, name)
