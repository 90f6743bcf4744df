"""What an operator sees of a claim: how far it came, never what was asked or answered."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import Literal

import msgspec

from hustlex.core import check
from hustlex.core.check import Id
from hustlex.core.lua import load
from hustlex.core.op import Flow, Op, Reply
from hustlex.core.reference import user_reference
from hustlex.core.walk import PER_STEP, literal, walk
from hustlex.core.words import duration
from hustlex.errors import Conflict, Misuse, NotFound
from hustlex.idempotency.flows import IdempotencyServices
from hustlex.idempotency.names import Scope, event_record, read_key, record_of

_LOOK = load("hustlex.idempotency", "look")
_LOOK_SEVERAL = load("hustlex.idempotency", "look_several")
_RELEASE = load("hustlex.idempotency", "release")

State = Literal["unknown", "running", "lapsed", "released", "done"]

_MOST, _MOST_OF_ONE = 20 * PER_STEP, 8 * PER_STEP
_LONGEST_RECORD = 600
_RECORD = re.compile(r"(idem:\{[^{}:\s]+\}:[^{}:\s]+:[0-9a-f]{32}|webhook:\{[^{}:\s]+\}:[^{}:\s]+)")
_DONE = 1
_STAYS = "it stays as it is"


class ClaimState(msgspec.Struct, frozen=True):
    """How one claim stands."""

    record: str
    """Its name in Redis: the user's stand-in or the provider, the route, and a digest of the key."""
    state: State
    """unknown: nothing is known of it. lapsed: its owner is gone, and nobody knows how far it came. released: an
    operator gave that one back, and the next request takes it over."""
    point: str
    """The last recovery point it reached; "none" when it reached none, "" when nothing is known."""
    fence: int
    """How many owners it had."""
    lease_left: timedelta
    """How long its owner still counts as alive; 0 when it does not."""
    status: int
    """Of the answer that is kept; 0 when there is none."""
    age: timedelta
    """Since it was claimed first."""
    expires_in: timedelta
    """When it is forgotten."""


class ClaimPage(msgspec.Struct, frozen=True):
    """Some of the claims that are not done, or of one user."""

    claims: tuple[ClaimState, ...]
    """Running, lapsed and released ones, of one user every one; the oldest first."""
    cursor: str
    """Where to go on; "" when all keys were looked at."""
    looked_at: int
    """At how many keys of the server, about."""


def of_key(room: IdempotencyServices, key: Id, scope: Scope) -> str:
    """The record of a key. Raises Misuse for what cannot be one: here nobody's client sent it."""
    plain = read_key(key)
    check.instance("scope", scope, Scope)
    if plain is None:
        raise Misuse("this cannot be a key", hint="pass 1 to 255 visible ASCII characters, as the client sent them")
    return record_of(room.prefix, user_reference(scope.principal, room.keyring), scope, plain)


def of_event(room: IdempotencyServices, provider: str, event_id: Id) -> str:
    """The record of an event. Raises Misuse."""
    record = event_record(room.prefix, check.text("provider", provider), event_id)
    if record is None:
        raise Misuse("this cannot be an event's id", hint="pass it as the provider sent it")
    return record


def look(record: str, now_ms: int) -> Op[ClaimState]:
    """The state of one record."""

    def decode(reply: Reply) -> ClaimState:
        if reply[0] == 0:
            nothing = timedelta(0)
            return ClaimState(record, "unknown", "", 0, nothing, 0, nothing, nothing)
        return _claim(record, *reply[1:])

    return _LOOK.op((record,), (now_ms,), decode)


def unfinished(prefix: str, kind: Literal["idem", "webhook"], cursor: str, now_ms: int) -> Flow[ClaimPage]:
    """Go through the servers' keys until enough was seen; those that are claims are looked at where they are."""
    return (yield from _walk(f"{literal(prefix)}{kind}:*", cursor, _MOST, now_ms))


def known(prefix: str, record: str) -> str:
    """A record's name, as a ClaimState has it. Raises Misuse."""
    text = check.text("record", record, longest=_LONGEST_RECORD)
    if not text.startswith(prefix) or not _RECORD.fullmatch(text, len(prefix)):
        raise Misuse("this is no record of a key or an event", hint="pass the record of a ClaimState, as it is")
    return text


def release(prefix: str, record: str, fence: int, now_ms: int) -> Op[None]:
    """Give a claim back whose owner is gone. Raises Misuse, NotFound, Conflict."""
    if known(prefix, record).startswith(f"{prefix}webhook:"):
        raise Misuse("an event of a provider needs no release", hint="have the provider send it again: that is enough")

    def decode(reply: Reply) -> None:
        match reply:
            case [0]:
                raise NotFound("nothing is known of this key", hint="the next request with it begins anew")
            case [2, -1]:
                raise Conflict("it has no lease: nobody can say that its owner is gone", hint=_STAYS)
            case [2, rest]:
                raise Conflict(f"its owner lives: the lease holds for {duration(_ms(rest))}", hint=_STAYS)
            case [3]:
                raise Conflict("it is done: its answer is kept and repeated", hint=_STAYS)
            case [4]:
                raise Conflict("it has another owner since it was looked at", hint="look at it anew")

    return _RELEASE.op((record,), (now_ms, check.whole("fence", fence, 1)), decode)


def of_principal(room: IdempotencyServices, principal: Id, cursor: str, now_ms: int) -> Flow[ClaimPage]:
    """The same for the claims of one user, and those that are done, too."""
    uref = user_reference(check.identity("principal", principal), room.keyring)
    pattern = f"{literal(f'{room.prefix}idem:{{{uref}}}:')}*"
    return (yield from _walk(pattern, cursor, _MOST_OF_ONE, now_ms, every=True))


def _walk(pattern: str, cursor: str, most: int, now_ms: int, *, every: bool = False) -> Flow[ClaimPage]:
    """most: keys that are looked at. every: whether claims that are done are answered."""
    page = yield from walk("idempotency", pattern, cursor, partial(_look_several, now_ms, every), most)
    return ClaimPage(_oldest_first(page.found), page.cursor, page.looked_at)


def _oldest_first(claims: list[ClaimState]) -> tuple[ClaimState, ...]:
    return tuple(sorted(claims, key=lambda claim: claim.age, reverse=True))


def _look_several(now_ms: int, every: bool, names: list[str]) -> Op[list[ClaimState]]:
    """Those that are not done, or every one."""

    def decode(reply: Reply) -> list[ClaimState]:
        return [_claim(names[row[0]], *row[1:]) for row in reply[1]]

    return _LOOK_SEVERAL.op((), (now_ms, int(every), *names), decode)


def _claim(record: str, done: int, rest: int, fence: int, point: bytes, code: int, age: int, left: int) -> ClaimState:
    state: State = "done" if done == _DONE else "running" if rest > 0 else "released" if done else "lapsed"
    return ClaimState(record, state, bytes(point).decode(), fence, _ms(rest), code, _ms(age), _ms(left))


def _ms(milliseconds: int) -> timedelta:
    return timedelta(milliseconds=max(0, milliseconds))
