"""Signs of life of those who are there by this process: one script per place, whatever their number."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterator
from contextlib import suppress

from hustlex.core.op import AsyncDriver, Op
from hustlex.core.time import Clock
from hustlex.errors import Error
from hustlex.events import presence_ops as ops
from hustlex.events.presence_ops import Keys

_BEAT_S = 25.0
_AT_ONCE = 512
"""Members of one script: it holds the server up for others."""


class PresenceKeeper:
    """Of one front."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver
        self._places: dict[Keys, dict[str, str]] = {}
        self._clock: Clock | None = None
        self._task: asyncio.Task[None] | None = None

    async def hold(self, where: Keys, member: str, user: str, clock: Clock) -> None:
        """A member is there until it is let go."""
        self._clock = clock
        self._places.setdefault(where, {})[member] = user
        self._begin()
        try:
            await self._driver.run(ops.enter(where, {member: user}, clock()))
        except BaseException:
            self._forget(where, member)
            raise

    async def let_go(self, where: Keys, member: str) -> None:
        """It is gone; where the server cannot be told, it is forgotten within a minute."""
        self._forget(where, member)
        with suppress(Error):
            await self._driver.run(ops.leave(where, [member]))

    def _forget(self, where: Keys, member: str) -> None:
        there = self._places.get(where, {})
        there.pop(member, None)
        if not there:
            self._places.pop(where, None)
        if not self._places and self._task is not None:
            self._task.cancel()
            self._task = None

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._beat(), context=contextvars.Context())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            with suppress(Error):
                await self._driver.run_many(self._signs())

    def _signs(self) -> list[Op[int]]:
        now_ms = self._clock() if self._clock else 0
        return [
            ops.enter(where, part, now_ms)
            for where, there in self._places.items()
            for part in _parts(list(there.items()))
        ]


def _parts(members: list[tuple[str, str]]) -> Iterator[dict[str, str]]:
    for start in range(0, len(members), _AT_ONCE):
        yield dict(members[start : start + _AT_ONCE])
