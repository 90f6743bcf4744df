"""The operator's side: which payment is in doubt?"""

from __future__ import annotations

from hustlex.core.answer.aio import answering
from hustlex.core.check import Id
from hustlex.core.op import AsyncDriver
from hustlex.idempotency import look
from hustlex.idempotency.flows import IdempotencyServices
from hustlex.idempotency.look import ClaimPage, ClaimState
from hustlex.idempotency.names import Scope


@answering
class ClaimInspector:
    """Looks at claims of keys and events, and gives back one that is stuck. Shows no request and no answer."""

    def __init__(self, driver: AsyncDriver, room: IdempotencyServices) -> None:
        self._driver = driver
        self._room = room

    async def claim(self, key: Id, scope: Scope) -> ClaimState:
        """What became of one key; one round trip. Raises Misuse. Source: lua/look.lua."""
        return await self._driver.run(look.look(look.of_key(self._room, key, scope), self._room.clock()))

    async def event(self, provider: str, event_id: Id) -> ClaimState:
        """What became of one event; one round trip. provider: its name. Raises Misuse. Source: lua/look.lua."""
        record = look.of_event(self._room, provider, event_id)
        return await self._driver.run(look.look(record, self._room.clock()))

    async def of_record(self, record: str) -> ClaimState:
        """The same by its name in Redis, ``ClaimState.record``; one round trip. Raises Misuse. Source: lua/look.lua."""
        return await self._driver.run(look.look(look.known(self._room.prefix, record), self._room.clock()))

    async def unfinished(self, *, cursor: str = "") -> ClaimPage:
        """Claims of keys that run or lapsed: the lapsed ones are stuck until somebody finds out what they did.

        There is no list of them, so the servers' keys are gone through, at most 10,000 at a call (20 steps of 1 ms),
        until 1,000 claims were looked at or 100 of them are not done: go on with the page's ``cursor``. Raises
        Misuse for a cursor that was not given out. Source: lua/look_several.lua.
        """
        return await self._driver.follow(look.unfinished(self._room.prefix, "idem", cursor, self._room.clock()))

    async def unfinished_events(self, *, cursor: str = "") -> ClaimPage:
        """The same of events that providers sent. A lapsed one needs no ``release``: when the provider sends it again,
        it is begun anew. Raises Misuse for a cursor that was not given out. Source: lua/look_several.lua.
        """
        return await self._driver.follow(look.unfinished(self._room.prefix, "webhook", cursor, self._room.clock()))

    async def release(self, record: str, *, fence: int) -> None:
        """Give back a claim whose owner is gone: the next request with the key takes it over, and executes.

        What the owner did before may have happened, a payment too: find that out first. The request goes on from the
        recovery point and under a higher fence. record, fence: of the ``ClaimState`` that was looked at. Raises
        Conflict when its owner lives, it is done, or another has it by now, NotFound, Misuse. Source: lua/release.lua.
        """
        await self._driver.run(look.release(self._room.prefix, record, fence, self._room.clock()))

    async def of_principal(self, principal: Id, *, cursor: str = "") -> ClaimPage:
        """The claims of one user, those that are done, too: was somebody charged twice, and by which keys?

        There is no list of them, so the servers' keys are gone through, at most 4,000 at a call: go on with the page's
        ``cursor``. principal: as of the ``Scope``. Raises Misuse. Source: lua/look_several.lua.
        """
        return await self._driver.follow(look.of_principal(self._room, principal, cursor, self._room.clock()))
