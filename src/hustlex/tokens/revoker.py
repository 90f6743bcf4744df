"""What takes rights away: the script that decides first, then the feed, so that bounded checks learn of it.

Both are acknowledged before success is reported. What this process revoked, its own checks know at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from hustlex.core.check import Id
from hustlex.core.durability.committed import committed
from hustlex.core.op import Flow, Sleep, do
from hustlex.errors import Error, RevocationIncomplete
from hustlex.tokens import ops, revocation_log
from hustlex.tokens.issuer import Genuine, TokenIssuer
from hustlex.tokens.names import sid_of
from hustlex.tokens.refresh_token import RefreshToken
from hustlex.tokens.revocation_cache import RevocationCache, RevocationEntry
from hustlex.tokens.types import (
    Forbidden,
    LoggedOut,
    LogoutRefused,
    LogoutResult,
    NotOurs,
    Rejection,
    RevokedAll,
    RevokedSession,
    RevokeResult,
)

T = TypeVar("T")
_PAUSES_S = (0.02, 0.1)


class Revoker:
    """Stories that end sessions and tokens. now_ms: 0 means the server's clock."""

    def __init__(self, issuer: TokenIssuer, view: RevocationCache) -> None:
        self._issuer = issuer
        self._view = view

    # -- the stories

    def logout(self, access: str, refresh_token: str | None, now_ms: int) -> Flow[LogoutResult]:
        """End the session that either token names. Their age does not matter: nothing is granted."""
        return self._waited(self._logout(access, refresh_token, now_ms))

    def _logout(self, access: str, refresh_token: str | None, now_ms: int) -> Flow[LogoutResult]:
        token = self._issuer.read(access)
        shown = self._issuer.chain.read(refresh_token) if refresh_token else None
        if isinstance(token, Genuine):
            if shown is not None and (shown.uref, shown.sid) != (token.uref, token.sid):
                return LogoutRefused(Rejection.MALFORMED)
            ended = yield from do(ops.logout(self._issuer, token, now_ms))
            yield from self._announce_if_ended(ended, _session(token.uref, token.sid), now_ms)
            return LoggedOut(token.sid, ended.by_this_call)
        if shown is None:
            return LogoutRefused(token)
        revoked = yield from self._end(shown.uref, shown.sid, "logout", "", now_ms)
        return LoggedOut(shown.sid, bool(revoked))

    def session(self, user_id: Id, session_id: Id, now_ms: int) -> Flow[RevokedSession]:
        """End one session."""
        return self._waited(self._session(user_id, session_id, now_ms))

    def _session(self, user_id: Id, session_id: Id, now_ms: int) -> Flow[RevokedSession]:
        uref, sid = self._issuer.uref(user_id), sid_of(session_id)
        if not sid:
            return RevokedSession(False)
        ended = yield from self._end(uref, sid, "revoked", "", now_ms)
        return RevokedSession(bool(ended))

    def everything(self, user_id: Id, kept: Id | None, now_ms: int) -> Flow[RevokedAll]:
        """End everything of a user but the session ``kept``. An id that cannot be one keeps none."""
        uref = self._issuer.uref(user_id)
        return (yield from self._waited(self._everything(uref, "" if kept is None else sid_of(kept), now_ms)))

    def _everything(self, uref: str, kept: str, now_ms: int) -> Flow[RevokedAll]:
        line = yield from do(ops.revoke_all(self._issuer, uref, kept, now_ms))
        notice = RevocationEntry("user", uref, 0, line.at_ms, kept if line.kept else "", uref)
        yield from self.announce([notice], now_ms)
        return RevokedAll(line.ended, line.kept)

    def token(self, text: str, client_id: str, now_ms: int) -> Flow[RevokeResult]:
        """Forbid an access token, or end the session of a refresh token; only a client's own, when one is named."""
        return self._waited(self._token(text, client_id, now_ms))

    def _token(self, text: str, client_id: str, now_ms: int) -> Flow[RevokeResult]:
        token = self._issuer.read(text)
        if isinstance(token, Genuine):
            if client_id and token.claims.client_id != client_id:
                return NotOurs(other_client=True)
            if (yield from do(ops.forbid(self._issuer, token, now_ms))):
                yield from self.announce([RevocationEntry("jti", token.jti, token.until_ms, user=token.uref)], now_ms)
            return Forbidden(token.sid, token.jti)
        shown = self._issuer.chain.read(text)
        if shown is None:
            return NotOurs()
        ended = yield from self._end(shown.uref, shown.sid, "revoked", client_id, now_ms)
        if ended is None:
            return NotOurs(other_client=True)
        return RevokedSession(ended)

    def alarm(self, shown: RefreshToken, now_ms: int) -> Flow[None]:
        """A refresh token was in wrong hands, and its session is over: tell it."""
        yield from self._waited(self._alarm(shown, now_ms))

    def _alarm(self, shown: RefreshToken, now_ms: int) -> Flow[None]:
        if self._issuer.policy.end_user:
            yield from self._everything(shown.uref, "", now_ms)
        else:
            yield from self.announce([_session(shown.uref, shown.sid)], now_ms)

    def evicted(self, uref: str, sids: Sequence[str], now_ms: int) -> Flow[None]:
        """Sessions that a login pushed out. The login stands even if this cannot be told: strict checks know."""
        try:
            yield from self.announce([_session(uref, sid) for sid in sids], now_ms)
        except RevocationIncomplete:
            return

    # -- how

    def _end(self, uref: str, sid: str, reason: str, client_id: str, now_ms: int) -> Flow[bool | None]:
        ended = yield from do(ops.revoke(self._issuer, uref, sid, reason, client_id))
        if ended is None:
            return None
        yield from self._announce_if_ended(ended, _session(uref, sid), now_ms)
        return ended.by_this_call

    def _announce_if_ended(self, ended: ops.Ended, notice: RevocationEntry, now_ms: int) -> Flow[None]:
        """Only what was decided: who names another's session, or none, must find nothing told by it. What was over
        before is told again, for whoever repeats a call that could not tell."""
        if ended.matters:
            yield from self.announce([notice], now_ms)

    def announce(self, notices: Sequence[RevocationEntry], now_ms: int) -> Flow[None]:
        """Tell what was decided. Raises RevocationIncomplete when that fails three times."""
        self._learn(notices)
        for pause in (*_PAUSES_S, None):
            try:
                yield from do(
                    revocation_log.announce(self._issuer.prefix, notices, now_ms, self._issuer.policy.keep_ms)
                )
            except Error as error:
                if pause is None:
                    raise RevocationIncomplete(
                        "the revocation stands, but other processes' bounded checks were not told of it",
                        op="tokens.announce",
                        hint="repeat the call: it tells them again",
                    ) from error
                yield Sleep(pause)
            else:
                return

    def _learn(self, notices: Sequence[RevocationEntry]) -> None:
        until_ms = self._view.now_ms() + self._issuer.policy.keep_ms
        for notice in notices:
            self._view.learn(notice if notice.until_ms else msgspec.structs.replace(notice, until_ms=until_ms))

    def _waited(self, flow: Flow[T]) -> Flow[T]:
        """The same, once it is as safe as the options say; the answer says whether it is."""
        durability = self._issuer.policy.durability
        if durability is None:
            return (yield from flow)
        found = yield from committed(flow, durability)
        if not found.waited or "durable" not in getattr(found.value, "__struct_fields__", ()):
            return found.value
        return msgspec.structs.replace(found.value, durable=found.reached)  # type: ignore[type-var]


def _session(uref: str, sid: str) -> RevocationEntry:
    return RevocationEntry("sid", sid, 0, user=uref)
