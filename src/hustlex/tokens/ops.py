"""Operations of the tokens room: values to send, and how to read the answers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from hustlex.core.check import Id, identity, instance, text
from hustlex.core.lua import load
from hustlex.core.op import Effect, Op, Reply, command
from hustlex.errors import Misuse
from hustlex.tokens.dpop import FUTURE_MS, PAST_MS, DpopProof
from hustlex.tokens.issuer import Genuine, SessionClaims, TokenIssuer
from hustlex.tokens.names import UserKeys, network_of, proof_key
from hustlex.tokens.refresh_token import RefreshToken, fingerprint
from hustlex.tokens.types import (
    Alarm,
    BadProof,
    CheckResult,
    Flaw,
    How,
    Proven,
    RefreshRefused,
    Refusal,
    Rejected,
    Rejection,
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
_FORBID = load("hustlex.tokens", "forbid")
_PROVE = load("hustlex.tokens", "prove")

_CLIENT = re.compile(r"[A-Za-z0-9._~-]{1,64}", re.ASCII)
_METHOD = re.compile(r"[a-z0-9_-]{1,16}", re.ASCII)
_PLAIN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{0,64}", re.ASCII)
_SCOPE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{0,64}", re.ASCII)
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_MOST_METHODS = 8
_LONGEST_DEVICE = 64

_REJECTIONS = {
    "gone": Rejection.SESSION_GONE,
    "revoke_all": Rejection.REVOKED_ALL,
    "absolute": Rejection.EXPIRED_ABSOLUTE,
    "idle": Rejection.EXPIRED_IDLE,
}
_ALARMS = {
    "reuse": Refusal.REUSE_DETECTED,
    "client": Refusal.CLIENT_MISMATCH,
    "binding": Refusal.BINDING_MISMATCH,
}
"""What ends a session when its refresh token is shown."""

_REFUSALS = {
    "gone": Refusal.UNKNOWN,
    "absolute": Refusal.EXPIRED_ABSOLUTE,
    "idle": Refusal.EXPIRED_IDLE,
}


class SessionRequest(msgspec.Struct, frozen=True):
    """Who logs in, from where. device: a label for people. amr: authentication methods. network: already coarse."""

    user_id: str
    client_id: str
    device: str = ""
    amr: tuple[str, ...] = ()
    platform: str = ""
    network: str = ""
    acr: str = ""
    scope: str = ""
    jkt: str = ""


def session_request(
    user_id: Id,
    client_id: str,
    *,
    device: str = "",
    amr: Sequence[str] = (),
    platform: str = "",
    ip: str = "",
    acr: str = "",
    scope: str = "",
    jkt: str = "",
) -> SessionRequest:
    """device is one line of at most 64 characters, whatever came: clients choose it, and it ends up in logs and
    messages. Raises Misuse for what does not have its form."""
    instance("amr", amr, list, tuple, hint="pass a list of words, as ('sms', 'pin')")
    methods = tuple(_word("amr", method) for method in amr)
    if len(methods) > _MOST_METHODS or not all(_METHOD.fullmatch(method) for method in methods):
        raise Misuse("amr is a sequence of at most 8 short lower-case words", hint="as ('sms', 'pin'), see RFC 8176")
    platform, acr, scope = _word("platform", platform), _word("acr", acr), _word("scope", scope)
    if not _PLAIN.fullmatch(platform) or not _PLAIN.fullmatch(acr) or not _SCOPE.fullmatch(scope):
        raise Misuse(
            "platform, acr and scope have at most 64 plain characters", hint="as 'android', 'aal2', 'read pay'"
        )
    return SessionRequest(
        identity("user_id", user_id),
        client(client_id),
        label(device),
        methods,
        platform,
        network_of(ip),
        acr,
        scope,
        thumbprint(jkt),
    )


def client(client_id: Id) -> str:
    """The name of an application. Raises Misuse."""
    plain = identity("client_id", client_id)
    if not _CLIENT.fullmatch(plain):
        raise Misuse("a client id has 1 to 64 letters, digits, or . _ ~ -", hint="name the application, as 'android'")
    return plain


def label(device: str) -> str:
    """One line of at most 64 characters, whatever came. Raises Misuse for what is no text."""
    instance("device", device, str)
    line = device.encode("utf-8", "replace").decode()[:_LONGEST_DEVICE]
    return "".join(character if character.isprintable() else " " for character in line)


def thumbprint(jkt: str) -> str:
    """Of a key that was proved, or "". Raises Misuse."""
    instance("jkt", jkt, str)
    if jkt and not _THUMBPRINT.fullmatch(jkt):
        raise Misuse("jkt is the thumbprint of a key that was proved", hint="pass the jkt of Proven")
    return jkt


def _word(name: str, value: str) -> str:
    return text(name, value, blank=True)


class RefreshAnswer(msgspec.Struct, frozen=True):
    """The server's answer to a refresh. salt turns the token shown into the current one, whose hash is ``current``.
    alarm: it was spent a moment ago, elsewhere."""

    how: How
    gen: int
    version: str
    salt: bytes
    current: bytes
    standing: SessionClaims
    alarm: Alarm | None = None


class Opened(msgspec.Struct, frozen=True):
    """A new session, and the ids of those that were ended for it."""

    standing: SessionClaims
    evicted: list[str]


def login(issuer: TokenIssuer, who: SessionRequest, first: RefreshToken, now_ms: int) -> Op[Opened | TooManySessions]:
    """Open the session that ``first`` belongs to."""
    names, policy = issuer.names(first.uref), issuer.policy

    def decode(reply: Reply) -> Opened | TooManySessions:
        if reply[0] == 1:
            return TooManySessions(policy.cap)
        born, ends, evicted = reply[1:]
        standing = SessionClaims(who.user_id, who.client_id, born, ends, born, who.amr, who.acr, who.scope, who.jkt)
        return Opened(standing, [sid.decode() for sid in evicted])

    return _LOGIN.op(
        (names.record(first.sid), names.index, names.marker, names.data(first.sid)),
        (now_ms, first.sid, policy.refresh_ms, policy.idle_ms, policy.keep_ms, policy.cap, int(policy.evict),
         "cur", fingerprint(first.secret), "kv", first.version, *_fields(who)),
        decode,
    )  # fmt: skip


def _fields(who: SessionRequest) -> list[str]:
    """The session's fields that tell of the login; empty ones are not kept, but those that older readers expect."""
    kept = {"uid": who.user_id, "cid": who.client_id, "dn": who.device, "amr": " ".join(who.amr)}
    rest = {"pf": who.platform, "ip0": who.network, "ip1": who.network, "acr": who.acr, "scp": who.scope}
    kept |= {name: text for name, text in {**rest, "jkt": who.jkt}.items() if text}
    return [text for field in kept.items() for text in field]


def check(issuer: TokenIssuer, token: Genuine, now_ms: int) -> Op[CheckResult]:
    """May this token be used now."""
    names, policy, claims = issuer.names(token.uref), issuer.policy, token.claims
    good = token.strict

    def decode(reply: Reply) -> CheckResult:
        return good if reply[0] == 0 else _rejected(reply)

    return _CHECK.op(
        (*_session(names, claims.sid), names.blacklist(claims.jti)),
        (now_ms, claims.sid, claims.ims, token.from_ms, token.until_ms, policy.touch_ms, policy.keep_ms),
        decode,
    )


def _rejected(reply: Reply) -> Rejected:
    status = reply[0]
    if status == 4:
        why = reply[1].decode()
        reason = _REJECTIONS.get(why)
        return Rejected(reason) if reason else Rejected(Rejection.SESSION_REVOKED, why)
    return Rejected((Rejection.EXPIRED, Rejection.NOT_YET_VALID, Rejection.REVOKED_TOKEN)[status - 1])


class Refresher(msgspec.Struct, frozen=True):
    """Who refreshes. jkt: the key that was proved. network: where from, already coarse. device: its label, one line."""

    client_id: str
    jkt: str = ""
    network: str = ""
    device: str = ""


def refresher(client_id: Id, jkt: str, ip: str, device: str) -> Refresher:
    """Raises Misuse for what does not have its form."""
    return Refresher(identity("client_id", client_id), _word("jkt", jkt), network_of(ip), label(device))


def refresh(
    issuer: TokenIssuer, shown: RefreshToken, successor: RefreshToken, salt: bytes, who: Refresher, now_ms: int
) -> Op[RefreshAnswer | RefreshRefused | Alarm]:
    """Swap one token for the next. successor: what follows ``shown`` under ``salt``."""
    names, policy = issuer.names(shown.uref), issuer.policy
    return _REFRESH.op(
        _session(names, shown.sid),
        (now_ms, shown.sid, who.client_id, who.jkt, who.network, who.device, shown.gen, fingerprint(shown.secret),
         fingerprint(successor.secret), salt, successor.version, policy.grace_ms, policy.coalesce_ms,
         policy.most_replays, policy.keep_ms),
        lambda reply: _turn(reply, shown.sid, who),
    )  # fmt: skip


def _turn(reply: Reply, sid: str, who: Refresher) -> RefreshAnswer | RefreshRefused | Alarm:
    status = reply[0]
    if status == 3:
        why = reply[1].decode()
        reason = _REFUSALS.get(why)
        return RefreshRefused(reason) if reason else RefreshRefused(Refusal.REVOKED, why)
    if status == 4:
        why, user, device, network = ((text or b"").decode() for text in reply[1:5])
        return Alarm(_ALARMS[why], user, sid, device, network, who.network, int(reply[5]))
    if status == 6:
        return RefreshRefused(Refusal.UNKNOWN_GENERATION)
    elsewhere = status == 5
    issued_ms, gen, version, salt, current, user, auth_ms, amr, ends_ms, *rest = reply[3 if elsewhere else 1 :]
    acr, scope, jkt = ((text or b"").decode() for text in rest)
    standing = SessionClaims(
        user.decode(),
        who.client_id,
        issued_ms,
        int(ends_ms),
        int(auth_ms),
        tuple(amr.decode().split()),
        acr,
        scope,
        jkt,
    )
    if elsewhere:
        device, network = ((text or b"").decode() for text in reply[1:3])
        odd = Alarm(Refusal.SPENT_ELSEWHERE, user.decode(), sid, device, network, who.network, 1, False, who.device)
        return RefreshAnswer(How.REPLAYED, int(gen), version.decode(), salt, current, standing, odd)
    how = (How.ROTATED, How.REPLAYED, How.COALESCED)[status]
    return RefreshAnswer(how, int(gen), version.decode(), salt, current, standing)


class Ended(msgspec.Struct, frozen=True):
    """by_this_call: else the session was over, or never was. matters: others may hold tokens that are good no more."""

    by_this_call: bool
    matters: bool


def logout(issuer: TokenIssuer, token: Genuine, now_ms: int) -> Op[Ended]:
    """End the session and forbid the token."""
    names = issuer.names(token.uref)
    return _LOGOUT.op(
        (names.record(token.sid), names.index, names.data(token.sid), names.blacklist(token.jti)),
        (now_ms, token.sid, token.until_ms, issuer.policy.keep_ms),
        _ended,
    )


def forbid(issuer: TokenIssuer, token: Genuine, now_ms: int) -> Op[bool]:
    """Forbid one access token. False: it is dead already."""
    return _FORBID.op(
        (issuer.names(token.uref).blacklist(token.jti),), (now_ms, token.until_ms), lambda reply: bool(reply[1] > 0)
    )


def revoke(issuer: TokenIssuer, uref: str, sid: str, reason: str, client_id: str = "") -> Op[Ended | None]:
    """End one session. None: it is not this client's."""
    names = issuer.names(uref)
    return _REVOKE.op(
        (names.record(sid), names.index, names.data(sid)),
        (sid, reason, client_id, issuer.policy.keep_ms),
        lambda reply: None if reply[0] == 1 else _ended(reply),
    )


def _ended(reply: Reply) -> Ended:
    return Ended(reply[1] == 1, reply[2] == 1)


class UserCutoff(msgspec.Struct, frozen=True):
    """Up to which moment everything of a user is void, how many sessions that ended, and whether one was kept."""

    at_ms: int
    ended: int
    kept: bool


def revoke_all(issuer: TokenIssuer, uref: str, kept_sid: str, now_ms: int) -> Op[UserCutoff]:
    """End everything of a user. kept_sid: "" keeps none."""
    names = issuer.names(uref)
    return _REVOKE_ALL.op(
        (names.index, names.marker, names.record(kept_sid)),
        (now_ms, kept_sid, issuer.policy.life_ms),
        lambda reply: UserCutoff(int(reply[3]), int(reply[1]), reply[2] == 1),
    )


def prove(issuer: TokenIssuer, proof: DpopProof, now_ms: int) -> Op[Proven | BadProof]:
    """Take a proof once, while it is fresh."""

    def decode(reply: Reply) -> Proven | BadProof:
        return Proven(proof.jkt) if reply[0] == 0 else BadProof((Flaw.REPLAYED, Flaw.STALE)[reply[0] - 1])

    key = proof_key(issuer.prefix, proof.jkt, proof.jti, proof.url)
    return _PROVE.op((key,), (now_ms, proof.made_ms, PAST_MS, FUTURE_MS), decode)


def listed(names: UserKeys) -> Op[list[str]]:
    """The session ids in a user's index, oldest first; some may be over."""
    return command("tokens.listed", Effect.READ, "ZRANGE", names.index, 0, -1, keys=(names.index,),
                   decode=lambda reply: [sid.decode() for sid in reply])  # fmt: skip


def sessions(names: UserKeys, sids: Sequence[str], current: str, now_ms: int) -> Op[list[SessionInfo]]:
    """Those of these sessions that live, newest first. current: the one that asks."""
    return _SESSIONS.op(
        (names.index, names.marker, *(names.record(sid) for sid in sids)),
        (now_ms, *sids),
        lambda reply: [_info(entry, current) for entry in reversed(reply[1])],
    )


def _info(entry: Sequence[bytes | None], current: str) -> SessionInfo:
    sid, *rest = ((text or b"").decode() for text in entry)
    born, last, ends = (datetime.fromtimestamp(int(ms) / 1000, UTC) for ms in rest[:3])
    client, device, platform, network, last_network = rest[3:]
    return SessionInfo(sid, client, device, platform, network, last_network, born, last, ends, sid == current)


def set_data(names: UserKeys, sid: str, values: Mapping[str, str], now_ms: int) -> Op[bool]:
    """Replace a session's application data. False: the session is over."""
    pairs = [text for pair in values.items() for text in pair]
    return _SET_DATA.op(_session(names, sid), (now_ms, sid, *pairs), lambda reply: bool(reply[0] == 0))


def data(names: UserKeys, sid: str, now_ms: int) -> Op[dict[str, str] | None]:
    """A session's application data. None: the session is over."""
    return _DATA.op(_session(names, sid), (now_ms, sid), _data)


def _data(reply: Reply) -> dict[str, str] | None:
    if reply[0] == 1:
        return None
    flat = [text.decode() for text in reply[1]]
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _session(names: UserKeys, sid: str) -> tuple[str, str, str, str]:
    return names.record(sid), names.index, names.marker, names.data(sid)
