"""Tokens with which a user hears one channel for a while: made where the application decides, shown where it listens.

Such a token is the access token that it was made for, narrowed to a channel: it has that one's session, id and time of
issue, so whatever ends that one ends it too, by the same check; and it never lives longer.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime, timedelta

from hustlex.core import check
from hustlex.core.op import Flow, Op, do
from hustlex.core.time import to_ms
from hustlex.errors import Misuse
from hustlex.tokens import jwt
from hustlex.tokens.guard import Guard
from hustlex.tokens.issuer import TokenIssuer
from hustlex.tokens.jwt import SubscriptionClaims
from hustlex.tokens.options import Mode
from hustlex.tokens.revocation_cache import RevocationCache
from hustlex.tokens.signing import Signing
from hustlex.tokens.types import Access, ChannelAccess, Rejected, Rejection, SubscriptionResult, SubscriptionToken

TTL = timedelta(minutes=5)
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(hours=1)
_LONGEST_NAME = 255
_LONGEST_PLACE = 128
_OTHER = Rejected(Rejection.OTHER_CHANNEL)


class SubscriptionTokens:
    """guard: checks this kind of token."""

    def __init__(self, issuer: TokenIssuer, signing: Signing, view: RevocationCache, guard: Guard) -> None:
        self._issuer = issuer
        self._signing = signing
        self._view = view
        self._guard = guard

    def issue(self, access: Access, channel: str, ttl: timedelta, since: str) -> Flow[SubscriptionToken]:
        """Sign one. Asks the server for nothing but the keys, when that is due."""
        check.instance("access", access, Access, hint="pass what check answered")
        if not access.issued_ms:
            raise Misuse("access says nothing of its time of issue", hint="pass what check answered")
        name = check.text("channel", channel, longest=_LONGEST_NAME)
        place = check.text("since", since, longest=_LONGEST_PLACE, blank=True)
        life_ms = to_ms(check.duration("ttl", ttl, _SHORTEST, _LONGEST))
        yield from self._signing.current()
        now_ms = self._view.now_ms()
        claims = self._claims(access, name, place, now_ms + life_ms)
        left = timedelta(milliseconds=max(0, claims.exp * 1000 - now_ms))
        return SubscriptionToken(jwt.write(claims, self._issuer.keys.signing), name, left)

    def _claims(self, access: Access, channel: str, since: str, until_ms: int) -> SubscriptionClaims:
        policy = self._issuer.policy
        return SubscriptionClaims(
            iss=policy.issuer,
            sub=access.user_id,
            aud=policy.audience,
            exp=min(-(-until_ms // 1000), int(access.expires_at.timestamp())),
            iat=access.issued_ms // 1000,
            jti=access.jti,
            client_id=access.client_id,
            sid=access.session_id,
            ims=access.issued_ms,
            auth_time=int(access.authenticated_at.timestamp()),
            channel=channel,
            since=since,
        )

    def check(self, token: str, channel: str, mode: Mode) -> Flow[SubscriptionResult]:
        """Whether it is good for this channel, as sure as an access token's check in this mode."""
        name = check.typed("channel", channel)
        step = self._guard.begin(check.typed("token", token), mode, None)
        if isinstance(step, Op):
            step = yield from do(step)
        elif isinstance(step, Generator):
            step = yield from step
        if isinstance(step, Rejected):
            return step
        known = self._issuer.read_subscription(token)
        if isinstance(known, Rejection):  # its key was retired just now
            return Rejected(known)
        claims = known.claims
        assert isinstance(claims, SubscriptionClaims)
        if claims.channel != name:
            return _OTHER
        ends = datetime.fromtimestamp(claims.exp, UTC)
        return ChannelAccess(claims.sub, claims.sid, claims.channel, ends, claims.since)
