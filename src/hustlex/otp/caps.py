"""Caps, breakers and budgets around a message: all places are asked in one write, and a refusal of one, or of the phone
itself, gives back what the others gave. A crash in between leaves a unit taken: too strict for a window, never too lax.
"""

from __future__ import annotations

import msgspec

from hustlex.core.op import Batch, Flow
from hustlex.errors import Error
from hustlex.otp import meters, tickets
from hustlex.otp.meters import Reserved
from hustlex.otp.room import Room
from hustlex.otp.telemetry import OtpEvent
from hustlex.otp.tickets import Place, Taken
from hustlex.otp.types import ChallengeRequired, Denied, Scope


class Admission(msgspec.Struct, frozen=True):
    """A message that the caps let through. strong: its code must be a longer one."""

    units: list[Taken]
    strong: bool = False
    events: list[OtpEvent] = msgspec.field(default_factory=list)

    @property
    def ticket(self) -> str:
        """What the challenge's record keeps."""
        return tickets.write(self.units)


def admit(room: Room, places: list[Place], human: bool, now_ms: int) -> Flow[Admission | Denied]:
    """Take a unit in every place, or in none. A refusal that time lifts comes before one that a human check lifts."""
    if room.options.caps is None or not places:
        return Admission([])
    ops = [meters.reserve(room.options, room.prefix, place, human, now_ms) for place in places]
    answers: list[Reserved | Denied | Error] = yield Batch(tuple(ops))
    units = [answer.unit for answer in answers if isinstance(answer, Reserved)]
    refusals = [answer for answer in answers if not isinstance(answer, Reserved)]
    if refusals:
        yield from give_back(room, units, now_ms)
        worst = min(refusals, key=_rank)
        if isinstance(worst, Error):
            raise worst
        return worst
    return _admission([answer for answer in answers if isinstance(answer, Reserved)])


def _rank(refusal: Denied | Error) -> int:
    return 0 if isinstance(refusal, Error) else 2 if isinstance(refusal, ChallengeRequired) else 1


def _admission(answers: list[Reserved]) -> Admission:
    places = [answer.unit.place for answer in answers]
    passed = max(answer.passed for answer in answers)
    events = [OtpEvent(event="budget", outcome="spent", country=tickets.country(places), percent=passed)] * bool(passed)
    return Admission([answer.unit for answer in answers], any(answer.strong for answer in answers), events)


def give_back(room: Room, units: list[Taken], now_ms: int, *, sent: bool = False, but_ip: bool = False) -> Flow[None]:
    """Undo what was taken for a message. sent: it was counted as sent. but_ip: the address' unit stays taken.

    Best effort: what cannot be given back now leaves its window by itself.
    """
    if units and room.options.caps is not None:
        keep = [but_ip and unit.place.scope is Scope.IP for unit in units]
        ops = [
            meters.unreserve(room.options, room.prefix, unit, now_ms, sent=sent, keep_unit=kept)
            for unit, kept in zip(units, keep, strict=True)
        ]
        yield Batch(tuple(ops))
