"""Each publish of a thread is a call of its own."""

from __future__ import annotations

from hustlex.core.op import BlockingDriver
from hustlex.core.time import Clock
from hustlex.events import ops
from hustlex.events.cursors import new_epoch
from hustlex.events.ops import Publishing
from hustlex.events.types import Position


class SharedPublishes:
    """As its twin; nothing is shared."""

    def __init__(self, driver: BlockingDriver, clock: Clock) -> None:
        self._driver = driver
        self._clock = clock

    def answer(self, publishing: Publishing) -> Position:
        """The position that this message gets."""
        return self._driver.run(ops.append(publishing, new_epoch(), self._clock()))

    def flush(self) -> None:
        """Nothing waits for company."""
