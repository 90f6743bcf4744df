"""Who is there: members of a place come, give signs of life, and leave or are forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.check import Id
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock
from hustlex.events import presence_ops as ops
from hustlex.events.names import ChannelTemplate
from hustlex.events.presence_ops import Keys, Member, PresenceCount
from hustlex.events.types import Parameter

_MOST = 1000
_LONGEST_USER = 255


@answering
class Presence:
    """A family of places, as chat rooms. Made by ``Events.presence``."""

    def __init__(self, driver: AsyncDriver, keeper: Any, template: ChannelTemplate, clock: Clock) -> None:
        self._driver = driver
        self._keeper = keeper
        self.template = template
        self._clock = clock

    async def enter(self, member: Id, *, user: Id = "", **parameters: Parameter) -> bool:
        """Somebody is there; again within a minute, or they are forgotten (``join`` does that).

        member: of the connection; the same id is the same member. user: whose it is, "" for nobody known; no phone or
        e-mail. parameters: one value per placeholder of the name. True: it was not there. Raises Misuse. Source:
        lua/enter.lua.
        """
        entry = {check.identity("member", member): _user(user)}
        return await self._driver.run(ops.enter(self._where(parameters), entry, self._clock())) > 0

    async def leave(self, member: Id, **parameters: Parameter) -> None:
        """They are gone. May be repeated. Source: lua/leave.lua."""
        await self._driver.run(ops.leave(self._where(parameters), [check.identity("member", member)]))

    async def members(self, *, limit: int = 100, **parameters: Parameter) -> list[Member]:
        """Who is there. limit: 1 to 1,000. Raises Misuse. Source: lua/present.lua."""
        most = check.whole("limit", limit, 1, _MOST)
        return await self._driver.run(ops.members(self._where(parameters), most, self._clock()))

    async def count(self, **parameters: Parameter) -> PresenceCount:
        """How many are there; the cost does not depend on it. Source: lua/present.lua."""
        return await self._driver.run(ops.count(self._where(parameters), self._clock()))

    # async only: signs of life are given beside other work
    @asynccontextmanager
    async def join(self, member: Id, *, user: Id = "", **parameters: Parameter) -> AsyncIterator[None]:
        """They are there while the block runs; one question per place and process every 25 seconds keeps them.

        member, user, parameters: as for ``enter``. A process that dies is forgotten within a minute. Raises Misuse.
        """
        where, named = self._where(parameters), check.identity("member", member)
        await self._keeper.hold(where, named, _user(user), self._clock)
        try:
            yield
        finally:
            await self._keeper.let_go(where, named)

    # end of async only

    def _where(self, parameters: dict[str, Any]) -> Keys:
        return ops.keys(self.template, self.template.name(parameters))


def _user(given: object) -> str:
    return "" if given == "" else check.identity("user", given, longest=_LONGEST_USER)
