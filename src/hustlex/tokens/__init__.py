"""Access tokens (JWT), rotating refresh tokens, and sessions that can be seen and ended.

How a call flows: ``api.py`` is the door. Login and refresh are flows (``flows.py``): ``signing.py`` says which key
signs, ``issuer.py`` makes the pair with ``jwt.py`` and ``refresh_token.py``, ``ops.py`` keeps the session in one
script of ``lua/``. A check goes to ``guard.py``: the issuer reads the token (``signature_cache.py`` remembers good
signatures), then ``revocation_cache.py`` answers a bounded check from memory, or ``ops.py`` asks Redis.
``revoker.py`` ends sessions and announces it in ``revocation_log.py``, which ``core/follower`` follows in every
process. ``dpop.py`` proves the possession of a key, ``options.py`` is what can be set.

``inspector.py`` answers what an operator asks, by ``look.py``.
"""

from hustlex.tokens.api import Tokens
from hustlex.tokens.inspector import TokenInspector
from hustlex.tokens.keyset import Jwk, Key, KeySet
from hustlex.tokens.look import EndedSession, SessionState, UserState
from hustlex.tokens.options import Mode, TokenOptions
from hustlex.tokens.revocation_cache import Feeding
from hustlex.tokens.signing import MAX_AGE_S as JWKS_MAX_AGE_S
from hustlex.tokens.types import (
    Access,
    Alarm,
    BadProof,
    ChannelAccess,
    CheckResult,
    Flaw,
    Forbidden,
    How,
    KeyInfo,
    LoggedOut,
    LoginResult,
    LogoutRefused,
    LogoutResult,
    NotOurs,
    ProofResult,
    Proven,
    Refreshed,
    RefreshRefused,
    RefreshResult,
    Refusal,
    Rejected,
    Rejection,
    RevokedAll,
    RevokedSession,
    RevokeResult,
    SessionInfo,
    SubscriptionResult,
    SubscriptionToken,
    TokenPair,
    TooManySessions,
)

__all__ = [
    "JWKS_MAX_AGE_S",
    "Access",
    "Alarm",
    "BadProof",
    "ChannelAccess",
    "CheckResult",
    "EndedSession",
    "Feeding",
    "Flaw",
    "Forbidden",
    "How",
    "Jwk",
    "Key",
    "KeyInfo",
    "KeySet",
    "LoggedOut",
    "LoginResult",
    "LogoutRefused",
    "LogoutResult",
    "Mode",
    "NotOurs",
    "ProofResult",
    "Proven",
    "RefreshRefused",
    "RefreshResult",
    "Refreshed",
    "Refusal",
    "Rejected",
    "Rejection",
    "RevokeResult",
    "RevokedAll",
    "RevokedSession",
    "SessionInfo",
    "SessionState",
    "SubscriptionResult",
    "SubscriptionToken",
    "TokenInspector",
    "TokenOptions",
    "TokenPair",
    "Tokens",
    "TooManySessions",
    "UserState",
]
