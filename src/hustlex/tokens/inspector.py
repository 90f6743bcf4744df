"""The operator's side: who is logged in, and why is somebody not? To end sessions there is ``Tokens.revoke_*``."""

from __future__ import annotations

from hustlex.core.answer.aio import answering
from hustlex.core.check import Id
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock
from hustlex.tokens import look
from hustlex.tokens.issuer import TokenIssuer
from hustlex.tokens.look import EndedSession, SessionState, UserState
from hustlex.tokens.signing import Signing
from hustlex.tokens.types import KeyInfo


@answering
class TokenInspector:
    """Looks at sessions, revocations and signing keys. Changes nothing, and shows no token."""

    def __init__(self, driver: AsyncDriver, issuer: TokenIssuer, signing: Signing, clock: Clock) -> None:
        self._driver = driver
        self._issuer = issuer
        self._signing = signing
        self._clock = clock

    async def user(self, user_id: Id) -> UserState:
        """A user's living sessions, and up to when all is revoked; three round trips. Raises Misuse."""
        return await self._driver.follow(look.user(self._issuer, user_id, self._clock()))

    async def session(self, user_id: Id, session_id: Id) -> SessionState:
        """What became of one session, and why; one round trip. Raises Misuse. Source: lua/look.lua."""
        return await self._driver.follow(look.session(self._issuer, user_id, session_id, self._clock()))

    async def ended(self, user_id: Id) -> tuple[EndedSession, ...]:
        """Sessions of a user that were ended lately, and why, the newest first: four at most.

        It is known for as long as an access token lives, and among the last 1,000 revocations of all users; one round
        trip, and one for each. Those that ran out are not among them. Raises Misuse.
        """
        return await self._driver.follow(look.ended(self._issuer, user_id, self._clock()))

    async def keys(self) -> list[KeyInfo]:
        """The signing keys that are trusted, and the stage of each. Source: lua/keys.lua."""
        await self._driver.follow(self._signing.read())
        return self._signing.infos()
