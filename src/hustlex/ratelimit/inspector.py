"""The operator's side: who is banned, and who has a limit of their own? What is left tells ``RateLimit.peek``."""

from __future__ import annotations

from datetime import timedelta

from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.check import Id
from hustlex.core.op import AsyncDriver
from hustlex.core.time import to_ms
from hustlex.ratelimit.engine import bans, look
from hustlex.ratelimit.engine.bans import BanPage
from hustlex.ratelimit.engine.compiler import Policies
from hustlex.ratelimit.engine.limiter import Limiter
from hustlex.ratelimit.engine.look import PenaltyState

_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(hours=24)


@answering
class LimitInspector:
    """Looks at what is remembered of a caller besides the counts, sets and lifts bans."""

    def __init__(self, driver: AsyncDriver, limiter: Limiter) -> None:
        self._driver = driver
        self._limiter = limiter

    async def caller(self, policy: Policies, identity: Id, *, endpoint: Id) -> tuple[PenaltyState, ...]:
        """Strikes, ban and own limit, of each policy that has such; one round trip. Raises Misuse, Unavailable.

        Pass the policies that are judged together, as for ``check``: their keys depend on it. Source: lua/look.lua.
        """
        op = look.penalties(self._limiter.subject(policy, identity, endpoint), self._limiter.clock())
        return () if op is None else await self._driver.run(op)

    async def ban(self, policy: Policies, identity: Id, *, endpoint: Id, length: timedelta) -> None:
        """Refuse every call of a caller for so long, 1 s to 24 h, whatever it used; a longer ban becomes this one.

        Pass the policies that are judged together; one of them must have a penalty, where bans stand.
        Processes that take units in advance may let some through for up to a second. Raises Misuse, Unavailable.
        Source: lua/ban.lua.
        """
        length_ms = to_ms(check.duration("length", length, _SHORTEST, _LONGEST))
        subject = self._limiter.subject(policy, identity, endpoint)
        await self._driver.run(look.ban(subject, length_ms, self._limiter.clock()))

    async def unban(self, policy: Policies, identity: Id, *, endpoint: Id) -> bool:
        """Forget strikes and bans; what was used stays used (``reset`` forgets that, too). True when there were any.

        Other processes may repeat a ban from memory for up to 60 s. Raises Misuse, Unavailable.
        """
        op = look.unban(self._limiter.subject(policy, identity, endpoint))
        return False if op is None else await self._driver.run(op)

    async def bans(self, *, cursor: str = "") -> BanPage:
        """Who is banned now, by strikes or by hand.

        There is no list of them, so the servers' keys are gone through, at most 10,000 at a call: go on with the page's
        ``cursor``. Raises Misuse for a cursor that was not given out, Unavailable. Source: lua/look_bans.lua.
        """
        return await self._driver.follow(bans.banned(self._limiter.prefix, cursor, self._limiter.clock()))

    async def lift(self, record: str) -> bool:
        """``unban`` of one that was found, whose policies need not be known here. record: of a ``BannedCaller``. True
        when there was something. Every process may repeat a ban from memory for up to 60 s. Raises Misuse, Unavailable.
        """
        return await self._driver.run(bans.lift(self._limiter.prefix, record))
