"""The stories of the room: what is computed before and after the one script that decides. Followed by either driver."""

from __future__ import annotations

from collections.abc import Mapping

from hustlex.core import check
from hustlex.core.check import Id
from hustlex.core.faults import loggable
from hustlex.core.logs import logger
from hustlex.core.op import Call, Flow, do
from hustlex.errors import BadReply, Misuse
from hustlex.tokens import ops
from hustlex.tokens.dpop import read_proof
from hustlex.tokens.issuer import TokenIssuer
from hustlex.tokens.names import sid_of
from hustlex.tokens.options import OnAlarm
from hustlex.tokens.refresh_token import RefreshToken, fingerprint
from hustlex.tokens.revocation_log import attend
from hustlex.tokens.revoker import Revoker
from hustlex.tokens.signing import Signing
from hustlex.tokens.types import (
    Alarm,
    BadProof,
    How,
    LoginResult,
    ProofResult,
    Refreshed,
    RefreshRefused,
    RefreshResult,
    Refusal,
    SessionInfo,
    TooManySessions,
)

_MOST_ENTRIES = 32
_LONGEST_NAME = 64
_LONGEST_VALUE = 1024
_log = logger("hustlex.tokens")


class SessionFlows:
    """Opens sessions and swaps refresh tokens."""

    def __init__(
        self, issuer: TokenIssuer, signing: Signing, revoker: Revoker, on_alarm: OnAlarm | None = None
    ) -> None:
        self._issuer = issuer
        self._on_alarm = on_alarm
        self._signing = signing
        self._revoker = revoker
        self._fed = False

    def login(self, who: ops.SessionRequest, now_ms: int, *, sid: str, nonce: str, secret: bytes) -> Flow[LoginResult]:
        """Open a session, then sign with the time the server gave: so no token is older than a revocation before it."""
        issuer = self._issuer
        yield from self._signing.current()
        if not self._fed:  # the feed's life begins before the first token: bounded checks take what is younger
            yield from do(attend(issuer.prefix, now_ms, issuer.policy.keep_ms))
            self._fed = True
        first = RefreshToken(issuer.chain.kid, issuer.uref(who.user_id), sid, 1, secret)
        opened = yield from do(ops.login(issuer, who, first, now_ms))
        if isinstance(opened, TooManySessions):
            return opened
        if opened.evicted:
            yield from self._revoker.evicted(first.uref, opened.evicted, now_ms)
        return issuer.pair(opened.standing, first, nonce)

    def refresh(self, text: str, who: ops.Refresher, now_ms: int, *, nonce: str, salt: bytes) -> Flow[RefreshResult]:
        """Swap a token for its successor. salt: used if this call is the one that rotates."""
        issuer, chain = self._issuer, self._issuer.chain
        shown = chain.read(text)
        if shown is None:
            return RefreshRefused(Refusal.MALFORMED)
        yield from self._signing.current()
        turn = yield from do(ops.refresh(issuer, shown, chain.successor(shown, salt), salt, who, now_ms))
        if isinstance(turn, RefreshRefused):
            return turn
        if isinstance(turn, Alarm):
            yield from self._ring(turn)
            yield from self._revoker.alarm(shown, now_ms)
            return RefreshRefused(turn.reason)
        if turn.alarm is not None:
            yield from self._ring(turn.alarm)
        current = shown if turn.how is How.COALESCED else chain.successor(shown, turn.salt, turn.version)
        return Refreshed(issuer.pair(turn.standing, _confirmed(current, turn), nonce), turn.how)

    def _ring(self, alarm: Alarm) -> Flow[None]:
        """Before the feed is told: who must know should know though that fails."""
        _log.warning("a refresh token was in two hands: %s", alarm.reason)
        ring = self._on_alarm
        if ring is None:
            return
        try:
            yield Call(lambda: ring(alarm))
        except Exception as fault:  # noqa: BLE001 - the application's own function
            _log.error("the alarm about a session could not be raised", exc_info=loggable(fault))


def _confirmed(token: RefreshToken, turn: ops.RefreshAnswer) -> RefreshToken:
    """Never hand out a token that the server does not hold the hash of."""
    if fingerprint(token.secret) != turn.current:
        raise BadReply(
            "the successor is not the session's current token",
            op="tokens.refresh",
            hint="do all processes have the same secret?",
        )
    return token


def prove(issuer: TokenIssuer, text: str, method: str, url: str, access: str, now_ms: int) -> Flow[ProofResult]:
    """Read a proof of possession, then let the server take it once."""
    for name, value in (("proof", text), ("method", method), ("url", url), ("access", access)):
        check.instance(name, value, str)
    proof = read_proof(text, method, url, access)
    return proof if isinstance(proof, BadProof) else (yield from do(ops.prove(issuer, proof, now_ms)))


def sessions(issuer: TokenIssuer, user_id: Id, current: Id, now_ms: int) -> Flow[list[SessionInfo]]:
    """Look up the ids, then the sessions: a script may only touch keys it was told."""
    names = issuer.names(issuer.uref(user_id))
    sids = yield from do(ops.listed(names))
    return (yield from do(ops.sessions(names, sids, sid_of(current), now_ms))) if sids else []


def set_data(issuer: TokenIssuer, user_id: Id, session_id: Id, values: Mapping[str, str], now_ms: int) -> Flow[bool]:
    """Replace a session's application data. Raises Misuse when it is not small, or not text."""
    kept, sid = _small(values), sid_of(session_id)
    names = issuer.names(issuer.uref(user_id))
    return bool(sid) and (yield from do(ops.set_data(names, sid, kept, now_ms)))


def _small(values: Mapping[str, str]) -> dict[str, str]:
    check.instance("values", values, Mapping)
    if len(values) > _MOST_ENTRIES:
        raise Misuse(f"values has {len(values)} entries", hint=f"at most {_MOST_ENTRIES} are kept")
    return {
        check.text("a name in values", name, longest=_LONGEST_NAME): _value(value) for name, value in values.items()
    }


def _value(value: str) -> str:
    """Any text: line breaks are the application's."""
    check.instance("a value in values", value, str)
    if len(value) > _LONGEST_VALUE:
        raise Misuse(f"a value in values has {len(value)} characters", hint=f"at most {_LONGEST_VALUE} are kept")
    return str.__str__(value)


def data(issuer: TokenIssuer, user_id: Id, session_id: Id, now_ms: int) -> Flow[dict[str, str] | None]:
    """A session's application data. None: the session is over."""
    names, sid = issuer.names(issuer.uref(user_id)), sid_of(session_id)
    return (yield from do(ops.data(names, sid, now_ms))) if sid else None
