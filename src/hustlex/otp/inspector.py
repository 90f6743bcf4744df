"""The operator's side: why does this phone get no code? To lift a lock there is ``Otp.unlock``, to end a breaker
``Otp.close_breaker``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from hustlex.core.answer.aio import answering
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock
from hustlex.otp import breakers, look
from hustlex.otp.breakers import BreakerPage
from hustlex.otp.email import Email
from hustlex.otp.look import PhoneState, ScopeState
from hustlex.otp.names import CountedLane
from hustlex.otp.room import OtpServices


@answering
class OtpInspector:
    """Looks at phones and countries. Changes nothing, and shows no code and no phone."""

    def __init__(self, driver: AsyncDriver, room: OtpServices, clock: Clock) -> None:
        self._driver = driver
        self._room = room
        self._clock = clock

    async def phone(self, phone: str | Email, *, purposes: Sequence[str] = ()) -> PhoneState:
        """Lanes, locks, open codes, caps and breakers of one phone; two round trips.

        phone: as for ``Otp.issue``. purposes: to look for besides those of the options. Raises Misuse, Unavailable.
        Source: lua/look.lua, lua/look_scope.lua.
        """
        return await self._driver.follow(look.phone(self._room, phone, purposes, self._clock()))

    async def sends(self, phone: str | Email) -> dict[CountedLane, tuple[datetime, ...]]:
        """When messages were sent to a phone, by lane, the newest first: 20 of each, of a day or more; one round trip.

        phone: as for ``Otp.issue``. Raises Misuse, Unavailable.
        """
        return await self._driver.follow(look.sends(self._room, phone))

    async def country(self, region: str) -> ScopeState:
        """Cap, breaker and budget of a country, as "NG"; one round trip. Raises Misuse. Source: lua/look_scope.lua."""
        return await self._driver.run(look.country(self._room, region, self._clock()))

    async def breakers(self, *, cursor: str = "") -> BreakerPage:
        """Countries, prefixes and other scopes whose messages are slowed down, because their codes are not typed.

        There is no list of them, so the servers' keys are gone through, at most 10,000 at a call: go on with the page's
        ``cursor``. Raises Misuse for a cursor that was not given out, Unavailable. Source: lua/look_breakers.lua.
        """
        return await self._driver.follow(breakers.opened(self._room.prefix, cursor, self._clock()))
