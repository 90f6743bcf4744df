"""What the tokens room answers. Every expected outcome is a value; none has a truth value, so none can be misread."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec

from hustlex.core.outcome import Outcome, Secretive


class TokenPair(Secretive, frozen=True, eq=False):
    """What a client is given. access: a JWT, for each request. refresh: good for one exchange, secret, opaque.

    expires_in: life of the access token. Both tokens are hidden in repr, and a pair cannot be pickled.
    """

    access: str
    refresh: str
    expires_in: timedelta
    session_id: str
    hidden: ClassVar[frozenset[str]] = frozenset({"access", "refresh"})


class TooManySessions(Outcome, frozen=True):
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


class Access(Outcome, frozen=True):
    """The token is good: this user, in this session. amr: how the user proved it, as given at login."""

    user_id: str
    session_id: str
    client_id: str
    jti: str
    issued_at: datetime
    expires_at: datetime
    amr: tuple[str, ...]


class Rejected(Outcome, frozen=True):
    """The token is not good. detail: what ended the session (logout, revoked, reuse, client, evicted), or ""."""

    reason: Rejection
    detail: str = ""


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


class Refreshed(Outcome, frozen=True, eq=False):
    """The session goes on with this pair."""

    pair: TokenPair
    how: How


class RefreshRefused(Outcome, frozen=True):
    """The user must log in again. detail: what ended the session, when reason is REVOKED.

    Only REVOKED, REUSE_DETECTED and EXPIRED_* are a reason to clear a cookie: with the others, another tab may hold
    the right token.
    """

    reason: Refusal
    detail: str = ""


class LoggedOut(Outcome, frozen=True):
    """The session is over. ended: by this call; False when it was over before."""

    session_id: str
    ended: bool


class LogoutRefused(Outcome, frozen=True):
    """Neither token is genuine (reason: what is wrong with the access token), or they name different sessions."""

    reason: Rejection


class RevokedAll(Outcome, frozen=True):
    """Everything the user held is void. ended: sessions that were listed. kept: the excepted session lives on."""

    ended: int
    kept: bool


class SessionInfo(msgspec.Struct, frozen=True):
    """One living session, for a user's list of devices. last_seen_at: to the minute. expires_at: whatever is done."""

    session_id: str
    client_id: str
    device: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


LoginResult = TokenPair | TooManySessions
CheckResult = Access | Rejected
RefreshResult = Refreshed | RefreshRefused
LogoutResult = LoggedOut | LogoutRefused
