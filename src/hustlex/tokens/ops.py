"""Operations of the tokens room: values to send, and how to read the answers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Effect, Op, Reply, command
from hustlex.errors import Misuse
from hustlex.tokens.jwt import Claims
from hustlex.tokens.mint import Mint, Standing
from hustlex.tokens.names import Keys
from hustlex.tokens.refresh_token import KEY_VERSION, RefreshToken, fingerprint
from hustlex.tokens.types import (
    How,
    RefreshRefused,
    Refusal,
    Rejected,
    Rejection,
    RevokedAll,
    SessionInfo,
    TooManySessions,
)

_LOGIN = load("hustlex.tokens", "login")
_CHECK = load("hustlex.tokens", "check")
_REFRESH = load("hustlex.tokens", "refresh")
_LOGOUT = load("hustlex.tokens", "logout")
_REVOKE = load("hustlex.tokens", "revoke")
_REVOKE_ALL = load("hustlex.tokens", "revoke_all")
_SESSIONS = load("hustlex.tokens", "sessions")
_SET_DATA = load("hustlex.tokens", "set_data")
_DATA = load("hustlex.tokens", "data")

_CLIENT = re.compile(r"[A-Za-z0-9._~-]{1,64}", re.ASCII)
_METHOD = re.compile(r"[a-z0-9_-]{1,16}", re.ASCII)
_MOST_METHODS = 8
_LONGEST_DEVICE = 64

_REJECTIONS = {
    "gone": Rejection.SESSION_GONE,
    "revoke_all": Rejection.REVOKED_ALL,
    "absolute": Rejection.EXPIRED_ABSOLUTE,
    "idle": Rejection.EXPIRED_IDLE,
}
_REFUSALS = {
    "gone": Refusal.UNKNOWN,
    "absolute": Refusal.EXPIRED_ABSOLUTE,
    "idle": Refusal.EXPIRED_IDLE,
}


class Newcomer(msgspec.Struct, frozen=True):
    """Who logs in, from where. device: a label for people. amr: authentication methods."""

    user_id: str
    client_id: str
    device: str
    amr: tuple[str, ...]


def newcomer(user_id: str, client_id: str, device: str, amr: Sequence[str]) -> Newcomer:
    """device is cut at 64 characters: clients choose it. Raises Misuse for a client or method that is no plain word."""
    if not _CLIENT.fullmatch(client_id):
        raise Misuse("a client id has 1 to 64 letters, digits, or . _ ~ -", hint="name the application, as 'android'")
    if isinstance(amr, str) or len(amr) > _MOST_METHODS or not all(_METHOD.fullmatch(method) for method in amr):
        raise Misuse("amr is a sequence of at most 8 short lower-case words", hint="as ('sms', 'pin'), see RFC 8176")
    return Newcomer(user_id, client_id, device.encode("utf-8", "replace").decode()[:_LONGEST_DEVICE], tuple(amr))


class Turn(msgspec.Struct, frozen=True):
    """The server's answer to a refresh. salt turns the token shown into the current one, whose hash is ``current``."""

    how: How
    gen: int
    version: str
    salt: bytes
    current: bytes
    standing: Standing


def login(mint: Mint, who: Newcomer, first: RefreshToken, now_ms: int) -> Op[Standing | TooManySessions]:
    """Open the session that ``first`` belongs to."""
    names, policy = mint.names(first.uref), mint.policy

    def decode(reply: Reply) -> Standing | TooManySessions:
        if reply[0] == 1:
            return TooManySessions(policy.cap)
        return Standing(who.user_id, who.client_id, reply[1], reply[2], reply[1], who.amr)

    return _LOGIN.op(
        (names.record(first.sid), names.index, names.marker, names.data(first.sid)),
        (now_ms, first.sid, who.user_id, who.client_id, who.device, " ".join(who.amr), fingerprint(first.secret),
         first.version, policy.refresh_ms, policy.idle_ms, policy.keep_ms, policy.cap, int(policy.evict)),
        decode,
    )  # fmt: skip


def check(mint: Mint, claims: Claims, now_ms: int) -> Op[Rejected | None]:
    """May the token with these claims be used now; None: yes."""
    names, policy = mint.names(mint.uref(claims.sub)), mint.policy
    return _CHECK.op(
        (*_session(names, claims.sid), names.blacklist(claims.jti)),
        (now_ms, claims.sid, claims.ims, mint.from_ms(claims), mint.until_ms(claims), policy.touch_ms, policy.keep_ms),
        _rejected,
    )


def _rejected(reply: Reply) -> Rejected | None:
    status = reply[0]
    if status == 0:
        return None
    if status == 4:
        why = reply[1].decode()
        reason = _REJECTIONS.get(why)
        return Rejected(reason) if reason else Rejected(Rejection.SESSION_REVOKED, why)
    return Rejected((Rejection.EXPIRED, Rejection.NOT_YET_VALID, Rejection.REVOKED_TOKEN)[status - 1])


def refresh(
    mint: Mint, shown: RefreshToken, successor: RefreshToken, salt: bytes, client_id: str, now_ms: int
) -> Op[Turn | RefreshRefused]:
    """Swap one token for the next. successor: what follows ``shown`` under ``salt``."""
    names, policy = mint.names(shown.uref), mint.policy
    return _REFRESH.op(
        _session(names, shown.sid),
        (now_ms, shown.sid, client_id, shown.gen, fingerprint(shown.secret), fingerprint(successor.secret), salt,
         KEY_VERSION, policy.grace_ms, policy.coalesce_ms, policy.most_replays, policy.keep_ms),
        lambda reply: _turn(reply, client_id),
    )  # fmt: skip


def _turn(reply: Reply, client_id: str) -> Turn | RefreshRefused:
    status = reply[0]
    if status == 3:
        why = reply[1].decode()
        reason = _REFUSALS.get(why)
        return RefreshRefused(reason) if reason else RefreshRefused(Refusal.REVOKED, why)
    if status >= 4:
        return RefreshRefused((Refusal.REUSE_DETECTED, Refusal.CLIENT_MISMATCH, Refusal.UNKNOWN_GENERATION)[status - 4])
    issued_ms, gen, version, salt, current, user, auth_ms, amr, ends_ms = reply[1:]
    standing = Standing(user.decode(), client_id, issued_ms, int(ends_ms), int(auth_ms), tuple(amr.decode().split()))
    how = (How.ROTATED, How.REPLAYED, How.COALESCED)[status]
    return Turn(how, int(gen), version.decode(), salt, current, standing)


def logout(mint: Mint, claims: Claims, now_ms: int) -> Op[bool]:
    """End the session and forbid the token. True: this call ended the session."""
    names = mint.names(mint.uref(claims.sub))
    return _LOGOUT.op(
        (names.record(claims.sid), names.index, names.data(claims.sid), names.blacklist(claims.jti)),
        (now_ms, claims.sid, mint.until_ms(claims), mint.policy.keep_ms),
        _ended,
    )


def revoke(mint: Mint, uref: str, sid: str, reason: str) -> Op[bool]:
    """End one session. True: this call ended it."""
    names = mint.names(uref)
    return _REVOKE.op((names.record(sid), names.index, names.data(sid)), (sid, reason, mint.policy.keep_ms), _ended)


def _ended(reply: Reply) -> bool:
    return int(reply[1]) == 1


def revoke_all(mint: Mint, uref: str, kept_sid: str, now_ms: int) -> Op[RevokedAll]:
    """End everything of a user. kept_sid: "" keeps none."""
    names = mint.names(uref)
    return _REVOKE_ALL.op(
        (names.index, names.marker, names.record(kept_sid)),
        (now_ms, kept_sid, mint.policy.life_ms),
        lambda reply: RevokedAll(int(reply[1]), reply[2] == 1),
    )


def listed(names: Keys) -> Op[list[str]]:
    """The session ids in a user's index, oldest first; some may be over."""
    return command("tokens.listed", Effect.READ, "ZRANGE", names.index, 0, -1, keys=(names.index,),
                   decode=lambda reply: [sid.decode() for sid in reply])  # fmt: skip


def sessions(names: Keys, sids: Sequence[str], now_ms: int) -> Op[list[SessionInfo]]:
    """Those of these sessions that live, newest first."""
    return _SESSIONS.op(
        (names.index, names.marker, *(names.record(sid) for sid in sids)),
        (now_ms, *sids),
        lambda reply: [_info(entry) for entry in reversed(reply[1])],
    )


def _info(entry: Sequence[bytes]) -> SessionInfo:
    sid, client, device = (text.decode() for text in entry[:3])
    born, last, ends = (datetime.fromtimestamp(int(ms) / 1000, UTC) for ms in entry[3:])
    return SessionInfo(sid, client, device, born, last, ends)


def set_data(names: Keys, sid: str, values: Mapping[str, str], now_ms: int) -> Op[bool]:
    """Replace a session's application data. False: the session is over."""
    pairs = [text for pair in values.items() for text in pair]
    return _SET_DATA.op(_session(names, sid), (now_ms, sid, *pairs), lambda reply: bool(reply[0] == 0))


def data(names: Keys, sid: str, now_ms: int) -> Op[dict[str, str] | None]:
    """A session's application data. None: the session is over."""
    return _DATA.op(_session(names, sid), (now_ms, sid), _data)


def _data(reply: Reply) -> dict[str, str] | None:
    if reply[0] == 1:
        return None
    flat = [text.decode() for text in reply[1]]
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _session(names: Keys, sid: str) -> tuple[str, str, str, str]:
    return names.record(sid), names.index, names.marker, names.data(sid)
