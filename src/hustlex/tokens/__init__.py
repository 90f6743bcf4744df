"""Access tokens (JWT), rotating refresh tokens, and sessions that can be seen and ended."""

from hustlex.tokens.api import Tokens
from hustlex.tokens.keyset import Jwk, KeySet
from hustlex.tokens.types import (
    Access,
    CheckResult,
    How,
    LoggedOut,
    LoginResult,
    LogoutRefused,
    LogoutResult,
    Refreshed,
    RefreshRefused,
    RefreshResult,
    Refusal,
    Rejected,
    Rejection,
    RevokedAll,
    SessionInfo,
    TokenPair,
    TooManySessions,
)

__all__ = [
    "Access",
    "CheckResult",
    "How",
    "Jwk",
    "KeySet",
    "LoggedOut",
    "LoginResult",
    "LogoutRefused",
    "LogoutResult",
    "RefreshRefused",
    "RefreshResult",
    "Refreshed",
    "Refusal",
    "Rejected",
    "Rejection",
    "RevokedAll",
    "SessionInfo",
    "TokenPair",
    "Tokens",
    "TooManySessions",
]
