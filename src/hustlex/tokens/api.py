"""The door of the tokens room."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from hustlex.core.keyring import Keyring
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.tokens import flows, ops
from hustlex.tokens.keyset import Jwk, KeySet
from hustlex.tokens.mint import Mint
from hustlex.tokens.policy import policy
from hustlex.tokens.types import CheckResult, LoginResult, LogoutResult, RefreshResult, RevokedAll, SessionInfo


class Tokens:
    """Access tokens, refresh tokens and the sessions behind them.

    keys: what signs access tokens; default one ES256 key derived from the keyring. access_ttl: life of an access token.
    refresh_ttl: the absolute end of a session, counted from login and never moved. idle: a session not used this long
    is over. leeway: tolerated between clocks. grace: how long a spent refresh token still gets the same successor.
    sessions_per_user: at the cap, a login ends the oldest session, or is refused with ``evict_oldest=False`` (then a
    session that ran idle keeps its place until its absolute end).

    Raises Misuse or ConfigurationError for settings that do not fit.
    """

    def __init__(
        self,
        driver: AsyncDriver,
        keyring: Keyring,
        *,
        prefix: str = "",
        clock: Clock = server_clock,
        keys: KeySet | None = None,
        issuer: str = "hustlex",
        audience: str = "hustlex",
        access_ttl: timedelta = timedelta(minutes=15),
        refresh_ttl: timedelta = timedelta(days=7),
        idle: timedelta = timedelta(days=3),
        leeway: timedelta = timedelta(seconds=30),
        grace: timedelta = timedelta(seconds=30),
        sessions_per_user: int = 10,
        evict_oldest: bool = True,
    ) -> None:
        rules = policy(
            issuer=issuer,
            audience=audience,
            access_ttl=access_ttl,
            refresh_ttl=refresh_ttl,
            idle=idle,
            leeway=leeway,
            grace=grace,
            sessions_per_user=sessions_per_user,
            evict_oldest=evict_oldest,
        )
        self._driver = driver
        self._clock = clock
        self._mint = Mint(keyring, rules, keys, prefix)

    async def login(
        self, user_id: str, *, client_id: str = "app", device: str = "", amr: Sequence[str] = ()
    ) -> LoginResult:
        """Open a new session for a user who was authenticated just now, and issue its first tokens.

        user_id: 1 to 255 characters; it stands in the tokens and the session, so no phone or e-mail. client_id: the
        application, 1 to 64 of ``[A-Za-z0-9._~-]``; only the same one may refresh. device: a label for people, cut at
        64 characters. amr: how it was proved, as ("sms",) (RFC 8176).

        Returns TokenPair or TooManySessions. Raises Misuse. Source: lua/login.lua.
        """
        who = ops.newcomer(user_id, client_id, device, amr)
        sid, nonce, secret = secrets.token_urlsafe(16), secrets.token_urlsafe(16), secrets.token_bytes(32)
        return await self._driver.follow(
            flows.login(self._mint, who, self._clock(), sid=sid, nonce=nonce, secret=secret)
        )

    async def check(self, access: str, *, strict: bool = True) -> CheckResult:
        """Decide whether a request with this access token may go on.

        strict: one round trip; sees every logout and revocation at once, and notes that the session is alive.
        ``strict=False``: none; signature and age only, so a revoked token still passes until it expires.

        Returns Access or Rejected; never raises for what a client sent. Raises Unavailable when the server cannot
        be asked: answer 503, not 401, or clients drop good tokens. Source: lua/check.lua.
        """
        return await self._driver.follow(
            flows.check(self._mint, access, self._clock(), _wall(self._clock), strict=strict)
        )

    async def refresh(self, refresh_token: str, *, client_id: str = "app") -> RefreshResult:
        """Swap a refresh token for its successor and a new access token.

        Safe to repeat and to race: within the grace everyone who shows the same token gets the same successor. A token
        spent longer ago means that two parties hold the session; it ends for both.

        Returns Refreshed or RefreshRefused. Source: lua/refresh.lua.
        """
        nonce, salt = secrets.token_urlsafe(16), secrets.token_bytes(16)
        return await self._driver.follow(
            flows.refresh(self._mint, refresh_token, client_id, self._clock(), nonce=nonce, salt=salt)
        )

    async def logout(self, access: str, refresh_token: str | None = None) -> LogoutResult:
        """End the session of these tokens at once, and forbid the access token for the rest of its life.

        Either token is enough, expired ones too; without a genuine access token there is none to forbid, and
        ``check(strict=False)`` lets it pass until it expires. May be repeated.

        Returns LoggedOut or LogoutRefused. Works on a server whose memory is full. Source: lua/logout.lua.
        """
        return await self._driver.follow(flows.logout(self._mint, access, refresh_token, self._clock()))

    async def revoke_session(self, user_id: str, session_id: str) -> bool:
        """End one session of a user. Returns False when there was none of that id to end. Source: lua/revoke.lua."""
        return await self._driver.follow(flows.revoke(self._mint, user_id, session_id))

    async def revoke_all(self, user_id: str, *, except_session: str | None = None) -> RevokedAll:
        """End all sessions and tokens a user has now, however many; do so when a password or PIN changes.

        except_session: the id of one that lives on, with its tokens. Source: lua/revoke_all.lua.
        """
        return await self._driver.follow(flows.revoke_all(self._mint, user_id, except_session, self._clock()))

    async def sessions(self, user_id: str) -> list[SessionInfo]:
        """The user's living sessions, newest first. Two round trips. Source: lua/sessions.lua."""
        return await self._driver.follow(flows.sessions(self._mint, user_id, self._clock()))

    async def set_data(self, user_id: str, session_id: str, values: Mapping[str, str]) -> bool:
        """Replace what the application keeps with a session; it goes when the session does.

        values: at most 32 entries, names to 64 and values to 1024 characters; else Misuse. Not for secrets.
        Returns False when the session is over. Source: lua/set_data.lua.
        """
        return await self._driver.follow(flows.set_data(self._mint, user_id, session_id, values, self._clock()))

    async def data(self, user_id: str, session_id: str) -> dict[str, str] | None:
        """What ``set_data`` stored, {} for nothing, None when the session is over. Source: lua/data.lua."""
        return await self._driver.follow(flows.data(self._mint, user_id, session_id, self._clock()))

    def jwks(self) -> dict[str, list[Jwk]]:
        """The public keys as a JWK Set (RFC 7517), for other services that verify access tokens."""
        return self._mint.keys.jwks()


def _wall(clock: Clock) -> int:
    """Milliseconds since 1970 by the injected clock, or this process's."""
    return clock() or time.time_ns() // 1_000_000
