"""The operator's side: is somebody locked out? To lift a lock there is ``Pins.reset``."""

from __future__ import annotations

from hustlex.core.answer.aio import answering
from hustlex.core.check import Id
from hustlex.core.op import AsyncDriver
from hustlex.pins import look
from hustlex.pins.flows import PinServices
from hustlex.pins.look import PinState


@answering
class PinInspector:
    """Looks at attempts and locks. Changes nothing, and shows no PIN and no verifier."""

    def __init__(self, driver: AsyncDriver, room: PinServices) -> None:
        self._driver = driver
        self._room = room

    async def user(self, user_id: Id) -> PinState:
        """Attempts and lock of one user; one round trip. Raises Misuse. Source: lua/look.lua."""
        return await self._driver.run(look.look(self._room.tries(user_id), self._room.options, self._room.clock()))
