"""What an operator sees of a phone or a country: counts, pauses and locks, never a code or a phone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from hustlex.core import check
from hustlex.core.lua import load
from hustlex.core.op import Batch, Effect, Flow, Op, Reply, command, do
from hustlex.core.time import to_ms
from hustlex.errors import Error, Misuse
from hustlex.otp import arguments, quota_ops, reservations
from hustlex.otp.email import Email, Mailbox
from hustlex.otp.flows import read_destination
from hustlex.otp.names import COUNTED, CountedLane, SubjectKeys, meter
from hustlex.otp.phone import Phone
from hustlex.otp.reservations import CapScope
from hustlex.otp.room import OtpServices
from hustlex.otp.types import Scope

_LOOK = load("hustlex.otp", "look")
_LOOK_SCOPE = load("hustlex.otp", "look_scope")
T = TypeVar("T")

_MOST_PURPOSES, _MOST_SENDS = 50, 20


class LaneState(msgspec.Struct, frozen=True):
    """How one lane of a phone stands."""

    lane: CountedLane
    """Strangers share "anon"; "known" is for devices and sessions that proved themselves; "extra" serves
    strangers while theirs is used up or locked."""
    sends: int
    """Messages of the last 24 hours."""
    next_send_in: timedelta
    """Rest of the pause after the last one; 0 when there is none."""
    wrong: int
    """Wrong codes of the last 24 hours, but those of challenges that were solved."""
    locked_for: timedelta
    """Rest of the lock; 0 when there is none. ``Otp.unlock`` lifts it."""
    locks: int
    """Locks in a row; each is longer than the one before."""


class OpenCode(msgspec.Struct, frozen=True):
    """A code that can still be used."""

    purpose: str
    """What it is for."""
    lane: CountedLane
    """In which lane it was asked for; "anon" under subject binding."""
    expires_in: timedelta
    """Rest of its life."""


class ScopeState(msgspec.Struct, frozen=True):
    """What counts several phones together."""

    scope: Scope
    """What is counted together: the country, the block of a thousand numbers, the prefix, the mailbox or the domain."""
    used: int
    """Units of the cap that are in use."""
    most: int
    """How many there are, by these options; a scope in credit may have more."""
    sent: int
    """Messages of the last hour."""
    verified: int
    """Codes of them that were typed."""
    slowed: bool
    """Whether the breaker lets only a few pass."""
    spent: int
    """Money of this UTC day, in the units of ``Country.price``."""
    budget: int
    """What may be spent in a day; 0: no end."""
    longer_codes: bool
    """Whether codes are longer now, because somebody guesses."""


class PhoneState(msgspec.Struct, frozen=True):
    """How one phone or e-mail address stands."""

    ref: str
    """Its keyed stand-in, as in logs and key names; the phone itself is not told."""
    lanes: tuple[LaneState, ...]
    """The three lanes."""
    open: tuple[OpenCode, ...]
    """Codes that can still be used."""
    devices: int
    """Devices that are remembered."""
    scopes: tuple[ScopeState, ...]
    """The scopes that a message to it is counted in, without the address it is asked from; none without caps."""


def phone(room: OtpServices, to: str | Email, purposes: Sequence[str], now_ms: int) -> Flow[PhoneState]:
    """Lanes, open codes and scopes; two round trips. Raises Misuse for what is not served."""
    found = _served(room, to)
    names = _purposes(room, purposes)
    devices, lanes, codes = yield from do(_lanes(room, room.codes.reference(found.number), names, now_ms))
    places = reservations.places(room.codes, found, None, "anon") if room.options.caps is not None else []
    scopes = yield from _scopes(room, places, now_ms)
    return PhoneState(room.codes.hidden(found.number), lanes, codes, devices, scopes)


def sends(room: OtpServices, to: str | Email) -> Flow[dict[CountedLane, tuple[datetime, ...]]]:
    """When messages were sent, by lane. Raises Misuse for what is not served."""
    keys = SubjectKeys(room.prefix, room.codes.reference(_served(room, to).number))
    found = yield from _together([_times(keys.sends(lane)) for lane in COUNTED])
    return dict(zip(COUNTED, found, strict=True))


def country(room: OtpServices, region: str, now_ms: int) -> Op[ScopeState]:
    """One country. Raises Misuse for what is none, and without caps."""
    if not check.text("region", region).isascii() or len(region) != 2 or not region.isalpha() or not region.isupper():
        raise Misuse("a region is two capital letters (ISO 3166)", hint='as "NG", "GB" or "US"')
    if room.options.caps is None:
        raise Misuse("without caps nothing is counted per country", hint="OtpOptions(caps=Caps())")
    return _scope(room, CapScope(Scope.COUNTRY, f"cc:{region}"), now_ms)


def _served(room: OtpServices, to: str | Email) -> Phone | Mailbox:
    arguments.destination(to)
    found = read_destination(room, to)
    if not isinstance(found, Phone | Mailbox):
        raise Misuse("this is not a phone or address that is served", hint="pass it as the user typed it, or in E.164")
    return found


def _together(asked: Sequence[Op[T]]) -> Flow[list[T]]:
    """All in one write. Raises the first error."""
    answers: list[T | Error] = (yield Batch(tuple(asked))) if asked else []
    found = list[T]()
    for answer in answers:
        if isinstance(answer, Error):
            raise answer
        found.append(answer)
    return found


def _times(key: str) -> Op[tuple[datetime, ...]]:
    """The newest sends of a lane; what else its set holds lies below 0."""

    def decode(reply: Reply) -> tuple[datetime, ...]:
        pairs = reply if not reply or isinstance(reply[0], list | tuple) else zip(reply[::2], reply[1::2], strict=True)
        return tuple(datetime.fromtimestamp(float(score) / 1000, UTC) for _, score in pairs)

    return command(
        "otp.sends", Effect.READ, "ZRANGE", key, "+inf", "(0", "BYSCORE", "REV", "LIMIT", 0, _MOST_SENDS, "WITHSCORES",
        keys=(key,), decode=decode,
    )  # fmt: skip


def _purposes(room: OtpServices, more: Sequence[str]) -> list[str]:
    check.instance("purposes", more, list, tuple, hint="pass a list of names, as ['login']")
    names = list(dict.fromkeys([*room.options.policies, *(check.text("a purpose", each) for each in more)]))
    if len(names) > _MOST_PURPOSES:
        raise Misuse(f"these are {len(names)} purposes", hint=f"at most {_MOST_PURPOSES} are looked at")
    return names


def _lanes(
    room: OtpServices, ref: str, purposes: list[str], now_ms: int
) -> Op[tuple[int, tuple[LaneState, ...], tuple[OpenCode, ...]]]:
    keys = SubjectKeys(room.prefix, ref)
    places = [(purpose, lane) for purpose in purposes for lane in COUNTED]
    own = [key for lane in COUNTED for key in (keys.sends(lane), keys.cool(lane), keys.fail(lane), keys.lock(lane))]

    def decode(reply: Reply) -> tuple[int, tuple[LaneState, ...], tuple[OpenCode, ...]]:
        devices, lanes, opened = reply
        states = tuple(_lane(lane, row) for lane, row in zip(COUNTED, lanes, strict=True))
        codes = zip(places, opened, strict=True)
        return devices, states, tuple(OpenCode(*place, _ms(rest)) for place, rests in codes for rest in rests)

    return _LOOK.op((keys.devices, *own, *(keys.active(*place) for place in places)), (now_ms,), decode)


def _lane(lane: CountedLane, row: Sequence[int]) -> LaneState:
    sends, pause, wrong, rest, locks = row
    return LaneState(lane, sends, _ms(pause), wrong, _ms(rest), locks)


def _scopes(room: OtpServices, places: list[CapScope], now_ms: int) -> Flow[tuple[ScopeState, ...]]:
    return tuple((yield from _together([_scope(room, place, now_ms) for place in places])))


def _scope(room: OtpServices, place: CapScope, now_ms: int) -> Op[ScopeState]:
    options, cap = room.options, reservations.cap(room.options, place)
    budget = reservations.settings(options, place).budget

    def decode(reply: Reply) -> ScopeState:
        used, sent, verified, slowed, spent, strong = reply
        return ScopeState(place.scope, used, cap.most, sent, verified, bool(slowed), spent, budget, bool(strong))

    least, young = quota_ops.judged_by(options, place)
    args = (now_ms, to_ms(cap.per), least, options.breaker.percent, young)
    return _LOOK_SCOPE.op((meter(room.prefix, place.tag),), args, decode)


def _ms(milliseconds: int) -> timedelta:
    return timedelta(milliseconds=milliseconds)
