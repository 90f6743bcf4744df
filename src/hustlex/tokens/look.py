"""What an operator sees of a user's sessions: no token, no secret, no address but its network."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from hustlex.core import check
from hustlex.core.check import Id
from hustlex.core.lua import load
from hustlex.core.op import Effect, Flow, Op, Reply, command, do
from hustlex.tokens import flows
from hustlex.tokens.issuer import TokenIssuer
from hustlex.tokens.names import UserKeys, sid_of
from hustlex.tokens.revocation_log import feed_key
from hustlex.tokens.types import SessionInfo

_LOOK = load("hustlex.tokens", "look")
_MOST_TOLD, _MOST_ENDED = 1_000, 4
"""Notices that are read; sessions that are looked at."""


class UserState(msgspec.Struct, frozen=True):
    """What stands for one user."""

    sessions: tuple[SessionInfo, ...]
    """The living ones, newest first."""
    revoked_before: datetime | None
    """Tokens and sessions made up to then are void; None when nothing is known of such a call."""


class SessionState(msgspec.Struct, frozen=True):
    """What became of one session."""

    alive: bool
    """Whether its tokens are good."""
    why: str
    """Why it is over: gone (never was, or forgotten), idle, absolute (its longest life), evicted (too many sessions),
    revoke_all, or the reason of a logout or revocation; "" while it lives."""
    generation: int
    """How often its refresh token was swapped, from 1; 0 when nothing is known any more."""
    client_id: str
    """The application that opened it; "" when nothing is known."""
    bound: bool
    """Whether its tokens need fresh proofs of a key (DPoP)."""
    created_at: datetime | None
    """When it was opened."""
    last_seen_at: datetime | None
    """When it was used last, to the minute."""
    expires_at: datetime | None
    """When it ends, whatever is done."""
    revoked_before: datetime | None
    """As in UserState."""


class EndedSession(msgspec.Struct, frozen=True):
    """A session that was ended a short while ago."""

    session_id: str
    """"" for all that the user had."""
    at: datetime
    """When that was told."""
    why: str
    """As in SessionState."""


def user(issuer: TokenIssuer, user_id: Id, now_ms: int) -> Flow[UserState]:
    """The sessions, and the line before which everything is void."""
    found = yield from flows.sessions(issuer, user_id, "", now_ms)
    line = yield from do(_line(issuer.names(issuer.uref(user_id))))
    return UserState(tuple(found), line)


def session(issuer: TokenIssuer, user_id: Id, session_id: Id, now_ms: int) -> Flow[SessionState]:
    """One session, alive or not."""
    names, sid = issuer.names(issuer.uref(user_id)), sid_of(check.identity("session_id", session_id))
    return (yield from do(_session(names, sid, now_ms)))


def ended(issuer: TokenIssuer, user_id: Id, now_ms: int) -> Flow[tuple[EndedSession, ...]]:
    """What the feed of revocations still says of a user, and why each session is over."""
    uref = issuer.uref(user_id)
    names, found = issuer.names(uref), list[EndedSession]()
    for at, sid in (yield from do(_told(issuer.prefix, uref)))[:_MOST_ENDED]:
        why = (yield from do(_session(names, sid, now_ms))).why if sid else "revoke_all"
        found.append(EndedSession(sid, at, why))
    return tuple(found)


def _line(names: UserKeys) -> Op[datetime | None]:
    return command("tokens.line", Effect.READ, "GET", names.marker, keys=(names.marker,), decode=_moment)


def _told(prefix: str, uref: str) -> Op[list[tuple[datetime, str]]]:
    """When which of a user's sessions ended, the newest first; "": all of them. What was told twice counts once."""

    def decode(reply: Reply) -> list[tuple[datetime, str]]:
        found, seen = list[tuple[datetime, str]](), set[str]()
        for entry_id, pairs in reply or ():
            said = {name.decode(): value.decode() for name, value in zip(pairs[::2], pairs[1::2], strict=True)}
            sid = said["name"] if said["kind"] == "sid" else ""
            if said.get("user") != uref or said["kind"] not in ("sid", "user") or sid in seen:
                continue
            seen |= {sid} - {""}
            found.append((datetime.fromtimestamp(int(entry_id.split(b"-")[0]) / 1000, UTC), sid))
        return found

    key = feed_key(prefix)
    words = ("XREVRANGE", key, "+", "-", "COUNT", _MOST_TOLD)
    return command("tokens.told", Effect.READ, *words, keys=(key,), decode=decode)


def _session(names: UserKeys, sid: str, now_ms: int) -> Op[SessionState]:
    def decode(reply: Reply) -> SessionState:
        why, client = bytes(reply[0]).decode(), bytes(reply[6]).decode()
        born, last, ends = map(_moment, reply[3:6])
        return SessionState(
            not why, why, int(reply[2] or 0), client, bool(reply[7]), born, last, ends, _moment(reply[1])
        )

    return _LOOK.op((names.record(sid), names.index, names.marker), (now_ms, sid), decode)


def _moment(ms: bytes | int | None) -> datetime | None:
    return datetime.fromtimestamp(int(ms) / 1000, UTC) if ms else None
