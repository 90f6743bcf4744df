"""The stories of the room: what is computed before and after the one script that decides. Followed by either driver."""

from __future__ import annotations

from collections.abc import Mapping

from hustlex.core.op import Flow, do
from hustlex.errors import BadReply, Misuse
from hustlex.tokens import ops
from hustlex.tokens.jwt import Claims
from hustlex.tokens.mint import Mint, access_of
from hustlex.tokens.names import is_random_id
from hustlex.tokens.refresh_token import KEY_VERSION, RefreshToken, fingerprint
from hustlex.tokens.types import (
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
    TooManySessions,
)

_MOST_ENTRIES = 32
_LONGEST_NAME = 64
_LONGEST_VALUE = 1024


def login(mint: Mint, who: ops.Newcomer, now_ms: int, *, sid: str, nonce: str, secret: bytes) -> Flow[LoginResult]:
    """Open a session, then sign with the time the server gave: so no token is older than a revocation before it."""
    first = RefreshToken(KEY_VERSION, mint.uref(who.user_id), sid, 1, secret)
    opened = yield from do(ops.login(mint, who, first, now_ms))
    return opened if isinstance(opened, TooManySessions) else mint.pair(opened, first, nonce)


def check(mint: Mint, access: str, now_ms: int, wall_ms: int, *, strict: bool) -> Flow[CheckResult]:
    """Strict: the server decides, by its clock. Stateless: signature and age only, by this process's clock."""
    claims = mint.read(access)
    if isinstance(claims, Rejection):
        return Rejected(claims)
    if strict:
        rejected = yield from do(ops.check(mint, claims, now_ms))
        return access_of(claims) if rejected is None else rejected
    untimely = mint.untimely(claims, wall_ms)
    return Rejected(untimely) if untimely else access_of(claims)


def refresh(mint: Mint, text: str, client_id: str, now_ms: int, *, nonce: str, salt: bytes) -> Flow[RefreshResult]:
    """Swap a token for its successor. salt: used if this call is the one that rotates."""
    shown = mint.chain.read(text)
    if shown is None:
        return RefreshRefused(Refusal.MALFORMED)
    turn = yield from do(ops.refresh(mint, shown, mint.chain.successor(shown, salt), salt, client_id, now_ms))
    if isinstance(turn, RefreshRefused):
        return turn
    current = shown if turn.how is How.COALESCED else mint.chain.successor(shown, turn.salt, turn.version)
    return Refreshed(mint.pair(turn.standing, _confirmed(current, turn), nonce), turn.how)


def _confirmed(token: RefreshToken, turn: ops.Turn) -> RefreshToken:
    """Never hand out a token that the server does not hold the hash of."""
    if fingerprint(token.secret) != turn.current:
        raise BadReply(
            "the successor is not the session's current token",
            op="tokens.refresh",
            hint="do all processes have the same secret?",
        )
    return token


def logout(mint: Mint, access: str, refresh_token: str | None, now_ms: int) -> Flow[LogoutResult]:
    """End the session that either token names. Their age does not matter: nothing is granted."""
    claims = mint.read(access)
    shown = mint.chain.read(refresh_token) if refresh_token else None
    if isinstance(claims, Claims):
        if shown is not None and (shown.uref, shown.sid) != (mint.uref(claims.sub), claims.sid):
            return LogoutRefused(Rejection.MALFORMED)
        return LoggedOut(claims.sid, (yield from do(ops.logout(mint, claims, now_ms))))
    if shown is None:
        return LogoutRefused(claims)
    return LoggedOut(shown.sid, (yield from do(ops.revoke(mint, shown.uref, shown.sid, "logout"))))


def revoke(mint: Mint, user_id: str, sid: str) -> Flow[bool]:
    """End one session. False: there was none of that id to end."""
    uref = mint.uref(user_id)
    return is_random_id(sid) and (yield from do(ops.revoke(mint, uref, sid, "revoked")))


def sessions(mint: Mint, user_id: str, now_ms: int) -> Flow[list[SessionInfo]]:
    """Look up the ids, then the sessions: a script may only touch keys it was told."""
    names = mint.names(mint.uref(user_id))
    sids = yield from do(ops.listed(names))
    return (yield from do(ops.sessions(names, sids, now_ms))) if sids else []


def set_data(mint: Mint, user_id: str, sid: str, values: Mapping[str, str], now_ms: int) -> Flow[bool]:
    """Replace a session's application data. Raises Misuse when it is not small."""
    small = len(values) <= _MOST_ENTRIES and all(
        0 < len(name) <= _LONGEST_NAME and len(value) <= _LONGEST_VALUE for name, value in values.items()
    )
    if not small:
        raise Misuse(
            f"session data has at most {_MOST_ENTRIES} entries of {_LONGEST_NAME} and {_LONGEST_VALUE} characters",
            hint="keep larger things under a key of your own",
        )
    names = mint.names(mint.uref(user_id))
    return is_random_id(sid) and (yield from do(ops.set_data(names, sid, values, now_ms)))


def data(mint: Mint, user_id: str, sid: str, now_ms: int) -> Flow[dict[str, str] | None]:
    """A session's application data. None: the session is over."""
    names = mint.names(mint.uref(user_id))
    return (yield from do(ops.data(names, sid, now_ms))) if is_random_id(sid) else None


def revoke_all(mint: Mint, user_id: str, kept: str | None, now_ms: int) -> Flow[RevokedAll]:
    """End everything of a user but the session ``kept``. An id that cannot be one keeps none."""
    uref = mint.uref(user_id)
    sid = kept if kept and is_random_id(kept) else ""
    return (yield from do(ops.revoke_all(mint, uref, sid, now_ms)))
