"""Cache: who asks after an invalidation was answered gets nothing older; a copy nearby lives no longer than it says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from hustlex.errors import Error
from tests.chaos.ledgers import Ledger

_KEYS = 6
NEAR_S = 1.0


class CacheLedger(Ledger):
    name = "cache"

    async def prepare(self) -> None:
        self._versions = [0] * _KEYS
        self._floors: list[list[tuple[float, int]]] = [[(0.0, 0)] for _ in range(_KEYS)]
        life = timedelta(seconds=30)
        self._caches = [(front.cache("chaos", int, ttl=life), 0.0) for front in self.fronts]
        near = timedelta(seconds=NEAR_S)
        self._caches += [(front.cache("chaosnear", int, ttl=life, near=near), NEAR_S) for front in self.fronts]

    def actors(self) -> list[Coroutine[Any, Any, None]]:
        return [*(self._read() for _ in range(4)), self._write()]

    async def _read(self) -> None:
        while not self.stage.over:
            key = self.dice.randrange(_KEYS)
            cache, behind_s = self.dice.choice(self._caches)
            asked = time.monotonic() - behind_s
            found = await self.tried(cache.get_or_compute(key, lambda key=key: self._load(key)))
            self.counts["reads"] += 1
            if not isinstance(found, Error):
                floor = self._floor(key, self.stage.as_of(asked))
                self.hold(found >= floor, f"version {found} was served, and {floor} had been invalidated for")
            await self.pause(0.02)

    async def _load(self, key: int) -> int:
        version = self._versions[key]
        self.counts["computations"] += 1
        await asyncio.sleep(self.dice.uniform(0, 0.01))
        return version

    async def _write(self) -> None:
        """Change the row, then invalidate until that is answered."""
        while not self.stage.over:
            key = self.dice.randrange(_KEYS)
            self._versions[key] += 1
            version = self._versions[key]
            front = self.dice.randrange(len(self.fronts))
            for cache, _ in self._caches[front :: len(self.fronts)]:
                await self.answered(lambda cache=cache, key=key: cache.delete(key))
            self._floors[key].append((time.monotonic(), version))
            self.counts["invalidations"] += 1
            await self.pause(0.1)

    def _floor(self, key: int, at: float) -> int:
        """The newest version whose invalidation had been answered by then."""
        return next((version for when, version in reversed(self._floors[key]) if when <= at), 0)
