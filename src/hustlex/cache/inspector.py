"""The operator's side: why is this entry as it is? To drop it there is ``Caches.delete``."""

from __future__ import annotations

from hustlex.cache import look, sizes, tally
from hustlex.cache.look import EntryState
from hustlex.cache.sizes import CacheSize
from hustlex.cache.stats import Stats
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
        """One entry of the cache ``name``: age, life, lease, tags, and why. Raises Misuse, Unavailable.

        Source: lua/look.lua.
        """
        return await self._driver.follow(look.look(self._prefix, name, key, self._clock()))

    async def key(self, key: str) -> EntryState:
        """The same by the entry's name in Redis, as ``cache:user:42``. Raises Misuse, Unavailable.

        Source: lua/look.lua.
        """
        return await self._driver.follow(look.look_by_name(self._prefix, key, self._clock()))

    async def size(self, name: str) -> CacheSize:
        """How many entries a cache has on the server, and how large they are; looks at up to 200,000 keys of each
        server, a thousand at a time with pauses. Raises Misuse, Unavailable.
        """
        return await self._driver.follow(sizes.size(self._prefix, name))

    async def fleet(self) -> dict[str, Stats]:
        """What all processes counted of each cache in the last hour, by its name. Each adds what is new every ten
        seconds at most, with a read that it sends anyway, so the last moments are missing, and a process that ended at
        once. Raises Unavailable. Source: lua/report.lua.
        """
        return await self._driver.follow(tally.fleet(self._prefix, self._clock))
