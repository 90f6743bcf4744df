"""A cache yields: it stores nothing more while the server's memory is nearly used up, and the rest is left to others.

Where the server may evict, it makes room by itself, and nobody has to yield.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hustlex.cache import ops
from hustlex.core.op import Flow, do
from hustlex.errors import Error

if TYPE_CHECKING:
    from hustlex.cache.plan import CachePlan

_EVERY_S = 5.0
_log = logging.getLogger("hustlex.cache")


class Budget:
    """What this process knows of the server's memory. used: the part of it that is; 0 where there is no limit."""

    def __init__(self) -> None:
        self.used = 0.0
        self._due: float | None = None
        self._warned = False

    def due(self, now: float) -> bool:
        """Whether it is time to ask, which one caller is told; the first one is not, as it may be the only one."""
        if self._due is not None and now < self._due:
            return False
        first, self._due = self._due is None, now + _EVERY_S
        return not first

    def yields(self, name: str, share: float) -> bool:
        """Whether a cache that takes up to this share stores nothing now. Logs when that begins."""
        full = self.used > share
        if full and not self._warned:
            _log.warning("cache %s: %d%% of the server's memory are used, nothing is stored", name, self.used * 100)
        self._warned = full
        return full


def yields(plan: CachePlan[Any], entry: str) -> Flow[bool]:
    """Whether a result is not to be stored now. Asks the server every few seconds."""
    share, budget = plan.policy.memory_share, plan.space.budget
    if share < 1 and budget.due(plan.entropy.monotonic()):
        with suppress(Error):  # the store that follows will tell
            budget.used = yield from do(ops.memory(entry, plan.policy.timeout_ms))
    return share < 1 and budget.yields(plan.name, share)
