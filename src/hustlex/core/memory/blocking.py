"""A driver for state that must not be evicted, for threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hustlex.core.memory.facts import check
from hustlex.core.op import BlockingDriver, Flow, Op
from hustlex.errors import Error

T = TypeVar("T")


class Guarded:
    """Checks the server's memory before the first call, then steps aside: from then on its methods are the driver's."""

    def __init__(self, driver: BlockingDriver) -> None:
        self._driver = driver

    def _checked(self) -> BlockingDriver:
        self._driver.follow(check())
        for name in ("run", "run_many", "follow"):
            setattr(self, name, getattr(self._driver, name))
        return self._driver

    def run(self, op: Op[T]) -> T:
        """See ``BlockingDriver``. Raises ConfigurationError while the server may evict."""
        return self._checked().run(op)

    def run_many(self, ops: Sequence[Op[T]]) -> list[T | Error]:
        """See ``BlockingDriver``."""
        return self._checked().run_many(ops)

    def follow(self, flow: Flow[T]) -> T:
        """See ``BlockingDriver``."""
        return self._checked().follow(flow)

    def close(self) -> None:
        """See ``BlockingDriver``."""
        self._driver.close()
