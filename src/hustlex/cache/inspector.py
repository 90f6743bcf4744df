"""The operator's side: why is this entry as it is? To drop it there is ``Cache.delete``."""

from __future__ import annotations

from hustlex.cache import look
from hustlex.cache.look import EntryState
from hustlex.cache.types import Key
from hustlex.core.answer.aio import answering
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock


@answering
class CacheInspector:
    """Looks at entries of any cache, by its name. Changes nothing, and shows no value."""

    def __init__(self, driver: AsyncDriver, prefix: str, clock: Clock) -> None:
        self._driver = driver
        self._prefix = prefix
        self._clock = clock

    async def entry(self, name: str, key: Key) -> EntryState:
        """One entry of the cache ``name``: age, life, lease, and why; one round trip. Raises Misuse, Unavailable.

        Source: lua/look.lua.
        """
        return await self._driver.run(look.look(self._prefix, name, key, self._clock()))
