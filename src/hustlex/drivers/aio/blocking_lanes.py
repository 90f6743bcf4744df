"""Connections for blocking commands, one caller each, because a blocked connection answers nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hustlex.drivers.aio.dial import Where
from hustlex.drivers.aio.lane import Lane
from hustlex.drivers.aio.options import Options
from hustlex.errors import Overloaded

_MARGIN = 1.0


class BlockingLanes:
    """A small pool that grows to ``Options.blocking`` connections."""

    def __init__(self, where: Where, options: Options, on_failure: Callable[[], None] | None = None) -> None:
        self._where = where
        self._options = options
        self._on_failure = on_failure
        self._left = False
        self._idle: list[Lane] = []
        self._busy: set[Lane] = set()

    async def run(self, packed: bytes, seconds: float, *, asking: bool = False) -> Any:
        """The raw reply. The command waits up to ``seconds`` on the server; one second more is granted."""
        lane = self._take()
        finished = False
        try:
            deadline = asyncio.get_running_loop().time() + seconds + _MARGIN
            reply = await lane.exchange(packed, deadline, asking=asking)
            finished = True
            return reply
        finally:
            self._busy.discard(lane)
            if finished and not self._left:
                self._idle.append(lane)
            else:
                await self._drop(lane)

    async def _drop(self, lane: Lane) -> None:
        """The server may still be waiting on this connection: it cannot be used again."""
        lane.abort("a blocking command was abandoned")
        await lane.close()

    def _take(self) -> Lane:
        if self._idle:
            lane = self._idle.pop()
        elif len(self._busy) < self._options.blocking:
            lane = Lane(self._where, self._options, on_failure=self._on_failure, tended=False)
        else:
            raise Overloaded(
                f"{self._options.blocking} blocking commands are running already", hint="raise Options.blocking"
            )
        self._busy.add(lane)
        return lane

    def distrust(self, since: float) -> None:
        """As ``Lane.distrust``, for those that wait for a caller; one that is blocked hears it from the server."""
        for lane in self._idle:
            lane.distrust(since)

    @property
    def stuck(self) -> bool:
        """As ``Lane.stuck`` of any of them."""
        return any(lane.stuck for lane in self._busy)

    def leave(self) -> None:
        """As ``Lane.leave`` for each of them."""
        self._left = True
        for lane in [*self._busy, *self._idle]:
            lane.leave()

    async def close_idle(self) -> None:
        """Close those that wait for a caller."""
        while self._idle:
            await self._idle.pop().close()

    def forsake(self) -> None:
        """As ``Connection.forsake``."""
        for lane in [*self._busy, *self._idle]:
            lane.forsake()

    async def close(self) -> None:
        """Abandon what is blocked, close what is idle."""
        for lane in [*self._busy]:
            lane.abort("the driver was closed")
        for lane in [*self._busy, *self._idle]:
            await lane.close()
        self._idle.clear()
