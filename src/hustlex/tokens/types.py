"""What the tokens room answers. Every expected outcome is a value; none has a truth value, so none can be misread."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import ClassVar, Literal

import msgspec

from hustlex.core.outcome import Failure, Outcome, Secretive


class TokenPair(Secretive, frozen=True, eq=False):
    """What a client is given. Both tokens are hidden in repr, and a pair cannot be pickled."""

    access: str
    """A JWT, for each request."""
    refresh: str
    """Good for one exchange, secret, opaque."""
    expires_in: timedelta
    """Life of the access token."""
    session_id: str
    """The session behind both."""
    session_expires_in: timedelta
    """Until the session's absolute end, after which no refresh helps."""
    jkt: str = ""
    """Thumbprint of the key that both are bound to; "" for bearer tokens."""
    hidden: ClassVar[frozenset[str]] = frozenset({"access", "refresh"})


class TooManySessions(Failure, frozen=True):
    """The user has as many sessions as allowed (``limit``) and the policy does not end the oldest."""

    limit: int


class Rejection(enum.StrEnum):
    """Why an access token is not accepted. Tell the client one text for all; the difference is for logs."""

    MALFORMED = "malformed"
    UNKNOWN_KID = "unknown_kid"
    BAD_SIGNATURE = "bad_signature"
    BAD_TYPE = "bad_type"
    BAD_ISSUER = "bad_issuer"
    BAD_AUDIENCE = "bad_audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    REVOKED_TOKEN = "revoked_token"  # noqa: S105 - a reason, not a password
    REVOKED_ALL = "revoked_all"
    SESSION_GONE = "session_gone"
    SESSION_REVOKED = "session_revoked"
    EXPIRED_ABSOLUTE = "expired_absolute"
    EXPIRED_IDLE = "expired_idle"
    BINDING_MISMATCH = "binding_mismatch"
    """A token bound to a key was shown without a fresh proof of that key (or a proof without such a token)."""
    OTHER_CHANNEL = "other_channel"
    """A subscription token was shown for another channel than its own."""


class Access(Outcome, frozen=True):
    """The token is good: this user, in this session."""

    user_id: str
    """Whose token it is."""
    session_id: str
    """The session behind it."""
    client_id: str
    """The application it was issued to."""
    jti: str
    """The token's own id."""
    issued_at: datetime
    """When it was issued."""
    expires_at: datetime
    """When it ends."""
    authenticated_at: datetime
    """When the user last proved it, to the second."""
    amr: tuple[str, ...]
    """How the user proved who they are (RFC 8176), as given at login."""
    acr: str = ""
    """As given at login."""
    scope: str = ""
    """As given at login."""
    jkt: str = ""
    """The thumbprint of the key the token is bound to, which was proved; "" for a bearer token."""
    mode: Literal["stateless", "bounded", "strict"] = "strict"
    """How sure the answer is: as the check was asked for."""
    issued_ms: int = 0
    """When it was issued, in milliseconds since 1970."""


class Rejected(Failure, frozen=True):
    """The token is not good. detail: what ended the session (logout, revoked, reuse, client, binding, evicted), or ""
    where only the server would know."""

    reason: Rejection
    detail: str = ""


class SubscriptionToken(Secretive, frozen=True, eq=False):
    """Good for hearing one channel, for a while. The token is hidden in repr, and this cannot be pickled."""

    token: str
    """A JWT, for the client that will subscribe."""
    channel: str
    """The name of the channel."""
    expires_in: timedelta
    """Its life."""
    hidden: ClassVar[frozenset[str]] = frozenset({"token"})


class ChannelAccess(Outcome, frozen=True):
    """The subscription token is good: this user may hear this channel."""

    user_id: str
    """Whose token it is."""
    session_id: str
    """The session behind it."""
    channel: str
    """The name of the channel."""
    expires_at: datetime
    """When it ends."""
    since: str = ""
    """The position it was made with."""


class How(enum.StrEnum):
    """How a refresh was answered; the difference is for metrics."""

    ROTATED = "rotated"
    """The token was swapped for its successor."""
    REPLAYED = "replayed"
    """It had been swapped within the grace; the same successor again."""
    COALESCED = "coalesced"
    """It is the successor of a swap made a moment ago; it stays, with a new access token."""


class Refusal(enum.StrEnum):
    """Why a refresh token is not accepted. Tell the client one text for all."""

    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    UNKNOWN_GENERATION = "unknown_generation"
    REVOKED = "revoked"
    EXPIRED_ABSOLUTE = "expired_absolute"
    EXPIRED_IDLE = "expired_idle"
    REUSE_DETECTED = "reuse_detected"
    CLIENT_MISMATCH = "client_mismatch"
    BINDING_MISMATCH = "binding_mismatch"
    SPENT_ELSEWHERE = "spent_elsewhere"
    """Of an alarm only: the answer was given."""


class Refreshed(Outcome, frozen=True, eq=False):
    """The session goes on with this pair."""

    pair: TokenPair
    how: How


class RefreshRefused(Failure, frozen=True):
    """The user must log in again. detail: what ended the session, when reason is REVOKED.

    Only REVOKED, REUSE_DETECTED and EXPIRED_* are a reason to clear a cookie: with the others, another tab may hold
    the right token.
    """

    reason: Refusal
    detail: str = ""


class Alarm(msgspec.Struct, frozen=True):
    """A refresh token was in wrong hands, and its session was ended: tell its owner."""

    reason: Refusal
    """REUSE_DETECTED, CLIENT_MISMATCH or BINDING_MISMATCH; or SPENT_ELSEWHERE: within the grace a spent token came
    from another network or device than the one that spent it. A phone that changes its network looks the same, so
    that session goes on (``ended`` is False); the application may end it."""
    user_id: str
    """Whose session it was."""
    session_id: str
    """Which session."""
    device: str
    """The label given at login."""
    network: str
    """Where the session was last refreshed from."""
    seen_network: str
    """Where this came from ("" where no address was given)."""
    generations: int
    """How long ago the token was spent, in exchanges."""
    ended: bool = True
    """Whether the session was ended for it."""
    seen_device: str = ""
    """The label given with this refresh."""


class LoggedOut(Outcome, frozen=True):
    """The session is over. ended: by this call; False when it was over before. durable: see RevokedAll."""

    session_id: str
    ended: bool
    durable: bool | None = None


class RevokedSession(Outcome, frozen=True):
    """The session is over. ended: by this call; False when there was none of that id to end. durable: see
    RevokedAll."""

    ended: bool
    durable: bool | None = None


class LogoutRefused(Failure, frozen=True):
    """Neither token is genuine (reason: what is wrong with the access token), or they name different sessions."""

    reason: Rejection


class RevokedAll(Outcome, frozen=True):
    """Everything the user held is void. ended: sessions that were listed. kept: the excepted session lives on.

    durable: whether it was as safe as ``TokenOptions.durability`` says before the answer; None for "memory".
    False does not undo anything: it says that a failover right now might.
    """

    ended: int
    kept: bool
    durable: bool | None = None


class SessionInfo(msgspec.Struct, frozen=True):
    """One living session, for a user's list of devices."""

    session_id: str
    """Its id, for ``revoke_session``."""
    client_id: str
    """The application it was opened in."""
    device: str
    """The label given at login."""
    platform: str
    """As given at login."""
    network: str
    """Where it was opened from: an IPv4 /24 or IPv6 /48, or ""."""
    last_network: str
    """Where it was last refreshed from, likewise."""
    created_at: datetime
    """When it was opened."""
    last_seen_at: datetime
    """When it was used last, to the minute."""
    expires_at: datetime
    """When it ends, whatever is done."""
    current: bool = False
    """Whether it is the session that asked."""


class Proven(Outcome, frozen=True):
    """The caller holds this key: jkt is its thumbprint (RFC 7638), for ``login``, ``check`` and ``refresh``."""

    jkt: str


class Flaw(enum.StrEnum):
    """What is wrong with a proof of possession."""

    MALFORMED = "malformed"
    BAD_KEY = "bad_key"
    BAD_SIGNATURE = "bad_signature"
    WRONG_REQUEST = "wrong_request"
    WRONG_TOKEN = "wrong_token"  # noqa: S105 - a reason, not a password
    STALE = "stale"
    REPLAYED = "replayed"


class BadProof(Failure, frozen=True):
    """The proof does not count. Tell the client ``invalid_dpop_proof`` for all; the difference is for logs."""

    flaw: Flaw


class Forbidden(Outcome, frozen=True):
    """The access token is forbidden for the rest of its life. durable: see RevokedAll."""

    session_id: str
    jti: str
    durable: bool | None = None


class NotOurs(Failure, frozen=True):
    """Nothing was revoked: the token is not genuine, or it was issued to another client (``other_client``)."""

    other_client: bool = False


class KeyInfo(msgspec.Struct, frozen=True):
    """A signing key that is trusted. stage: published (known to others, not signing yet), active (signs) or retired
    (signs no more). since: when it came to that stage; None for a key that was never moved."""

    kid: str
    alg: str
    stage: str
    since: datetime | None


ProofResult = Proven | BadProof
RevokeResult = Forbidden | RevokedSession | NotOurs
LoginResult = TokenPair | TooManySessions
CheckResult = Access | Rejected
SubscriptionResult = ChannelAccess | Rejected
RefreshResult = Refreshed | RefreshRefused
LogoutResult = LoggedOut | LogoutRefused
