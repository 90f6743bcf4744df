"""A held place, as a task of its own keeps it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Self

from hustlex.core.lease_renewal import Lease
from hustlex.core.lease_renewal.aio import renewed
from hustlex.core.op import AsyncDriver
from hustlex.errors import Error, Misuse
from hustlex.ratelimit.engine import redeem
from hustlex.ratelimit.engine.limiter import Limiter
from hustlex.ratelimit.types import Decision


class Hold:
    """Inside the block: true when a place was had. decision: what the check said. lost: it was given away meanwhile."""

    decision: Decision

    def __init__(self, driver: AsyncDriver, limiter: Limiter, ask: Callable[[], Awaitable[Decision]]) -> None:
        self._driver = driver
        self._limiter = limiter
        self._ask = ask
        self._lease = Lease()
        self._kept = contextlib.AsyncExitStack()

    @property
    def lost(self) -> bool:
        return self._lease.lost

    def __bool__(self) -> bool:
        if "decision" not in self.__dict__:
            raise Misuse("a place that was not asked for is not had", hint="write: async with hold(...) as place")
        return self.decision.allowed and not self.lost

    async def __aenter__(self) -> Self:
        # Asked in a task of its own: a caller that is cancelled while the reply is on its way gives the place back.
        asking = asyncio.ensure_future(self._ask())
        try:
            self.decision = await asyncio.shield(asking)
        except asyncio.CancelledError:
            asking.add_done_callback(self._unwanted)
            raise
        renew = redeem.heartbeat(self._limiter, self.decision) if self.decision.lease else None
        if renew is not None:
            every_s = redeem.life_ms(self.decision) / 3000
            self._lease = await self._kept.enter_async_context(renewed(self._driver, renew, every_s))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._kept.aclose()
        if self.decision.lease:
            await asyncio.shield(asyncio.ensure_future(self._release(self.decision)))

    async def _release(self, decision: Decision) -> None:
        """What cannot be given back now ends by itself, one life later."""
        with contextlib.suppress(Error):
            op = redeem.release(self._limiter, decision)
            if op is not None:
                await self._driver.run(op)

    def _unwanted(self, asked: asyncio.Future[Decision]) -> None:
        if not asked.cancelled() and asked.exception() is None and asked.result().lease:
            releasing = asyncio.ensure_future(self._release(asked.result()))
            _RELEASING.add(releasing)
            releasing.add_done_callback(_RELEASING.discard)


_RELEASING: set[asyncio.Future[None]] = set()
