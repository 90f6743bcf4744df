"""Caps, breakers and budgets around a message: all places are asked in one write, and a refusal of one, or of the phone
itself, gives back what the others gave. A crash in between leaves a unit taken: too strict for a window, never too lax.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from hustlex.core.op import Batch, Flow
from hustlex.errors import Error
from hustlex.otp import quota_ops, reservations
from hustlex.otp.quota_ops import ScopeStanding, UnitReserved, Way
from hustlex.otp.reservations import CapScope, CapUnit
from hustlex.otp.room import OtpServices
from hustlex.otp.telemetry import OtpEvent
from hustlex.otp.types import BreakerOpen, CapReached, ChallengeRequired, Denied, Scope


class Admission(msgspec.Struct, frozen=True):
    """A message that the caps let through. strong: its code must be a longer one."""

    units: list[CapUnit]
    strong: bool = False
    events: list[OtpEvent] = msgspec.field(default_factory=list)

    @property
    def ticket(self) -> str:
        """What the challenge's record keeps."""
        return reservations.write(self.units)


def admit(room: OtpServices, places: list[CapScope], human: bool, now_ms: int) -> Flow[Admission | Denied]:
    """Take a unit in every place, or in none. A refusal that time lifts comes before one that a human check lifts."""
    if room.options.caps is None or not places:
        return Admission([])
    answers = yield from _ask(room, places, "human" if human else "", now_ms)
    standing = next((_standing(answer) for answer in answers if _scope(answer) is Scope.IP), ScopeStanding.NEUTRAL)
    closed = [place for place, answer in zip(places, answers, strict=True) if _passable(place, answer)]
    if standing is ScopeStanding.CREDIT and closed:
        again = iter((yield from _ask(room, closed, "credit", now_ms)))
        answers = [next(again) if place in closed else answer for place, answer in zip(places, answers, strict=True)]
    taken = [answer for answer in answers if isinstance(answer, UnitReserved)]
    refusals = [answer for answer in answers if not isinstance(answer, UnitReserved)]
    if standing is ScopeStanding.SUSPECT:
        refusals += [_turned_away(room, answer) for answer in taken if answer.unit.probe and _scope(answer) in _SHARED]
    if refusals:
        yield from give_back(room, [answer.unit for answer in taken], now_ms)
        worst = min(refusals, key=_rank)
        if isinstance(worst, Error):
            raise worst
        return worst
    return _admission(taken)


_SHARED = (Scope.COUNTRY, Scope.PREFIX, Scope.BLOCK, Scope.DOMAIN, Scope.MAILBOX)
"""Scopes that a caller's address tells apart, while theirs are under attack."""


def _ask(room: OtpServices, places: list[CapScope], way: Way, now_ms: int) -> Flow[list[UnitReserved | Denied | Error]]:
    ways: list[Way] = ["known" if place.known else way for place in places]
    ops = [quota_ops.reserve(room.options, room.prefix, *pair, now_ms) for pair in zip(places, ways, strict=True)]
    answers: list[UnitReserved | Denied | Error] = yield Batch(tuple(ops))
    return answers


def _passable(place: CapScope, answer: UnitReserved | Denied | Error) -> bool:
    """Refused, but not to those from an address where codes are typed. A country's cap is its owner's word."""
    if isinstance(answer, CapReached):
        return place.scope in (Scope.PREFIX, Scope.BLOCK, Scope.MAILBOX, Scope.DOMAIN)
    return place.scope in _SHARED and isinstance(answer, BreakerOpen | ChallengeRequired)


def _turned_away(room: OtpServices, answer: UnitReserved) -> BreakerOpen:
    """The few messages that pass a breaker are not for addresses that use up their own."""
    place = answer.unit.place
    return BreakerOpen(place.scope, timedelta(milliseconds=quota_ops.gap_ms(room.options, place)))


def _rank(refusal: Denied | Error) -> int:
    return 0 if isinstance(refusal, Error) else 2 if isinstance(refusal, ChallengeRequired) else 1


def _scope(answer: UnitReserved | Denied | Error) -> Scope | None:
    return answer.unit.place.scope if isinstance(answer, UnitReserved) else None


def _standing(answer: UnitReserved | Denied | Error) -> ScopeStanding:
    return answer.standing if isinstance(answer, UnitReserved) else ScopeStanding.NEUTRAL


def _admission(answers: list[UnitReserved]) -> Admission:
    places = [answer.unit.place for answer in answers]
    passed = max(answer.passed for answer in answers)
    country = reservations.country(places)
    events = [OtpEvent(event="budget", outcome="spent", country=country, percent=passed)] if passed else []
    return Admission(_counted(answers), any(answer.strong for answer in answers), events)


_WIDER = {
    Scope.IP: (Scope.PREFIX, Scope.COUNTRY, Scope.DOMAIN),
    Scope.PREFIX: (Scope.COUNTRY,),
    Scope.MAILBOX: (Scope.DOMAIN,),
}
"""Breakers for which a message counts too, if this scope lends itself."""


def _counted(answers: list[UnitReserved]) -> list[CapUnit]:
    """Which breakers a message counts for: a suspect address shows its prefix nothing more this hour, and neither shows
    the country anything: who sends from one place closes that place."""
    suspect = {_scope(answer) for answer in answers if answer.standing is ScopeStanding.SUSPECT}
    silent = {wider for scope in suspect if scope for wider in _WIDER.get(scope, ())} if suspect else set()

    def marked(unit: CapUnit) -> CapUnit:
        scope = unit.place.scope
        lent = scope in _WIDER and scope not in suspect | silent
        return msgspec.structs.replace(unit, counted=unit.probe > 0 or scope not in silent, lent=lent)

    return [answer.unit if answer.unit.place.known else marked(answer.unit) for answer in answers]


def give_back(
    room: OtpServices, units: list[CapUnit], now_ms: int, *, sent: bool = False, but_ip: bool = False
) -> Flow[None]:
    """Undo what was taken for a message. sent: it was counted as sent. but_ip: the address' unit stays taken.

    Best effort: what cannot be given back now leaves its window by itself.
    """
    if units and room.options.caps is not None:
        keep = [but_ip and unit.place.scope is Scope.IP for unit in units]
        ops = [
            quota_ops.unreserve(room.options, room.prefix, unit, now_ms, sent=sent, keep_unit=kept)
            for unit, kept in zip(units, keep, strict=True)
        ]
        yield Batch(tuple(ops))
