"""Operations on what caps, breakers and budgets count; each scope is one hash in a slot of its own."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Op, Reply
from hustlex.core.time import to_ms
from hustlex.errors import BadReply
from hustlex.otp import tickets
from hustlex.otp.names import meter
from hustlex.otp.rules import OtpOptions
from hustlex.otp.tickets import Place, Taken
from hustlex.otp.types import BreakerOpen, BudgetExhausted, CapReached, ChallengeRequired, Denied, Obstacle, Scope

_RESERVE = load("hustlex.otp", "reserve")
_UNRESERVE = load("hustlex.otp", "unreserve")
_ADJUST = load("hustlex.otp", "adjust")

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_PART_MS = 180_000
"""A twentieth of the breaker's hour."""
_MARKS = (50, 80, 100)


class Reserved(msgspec.Struct, frozen=True):
    """A unit was taken. strong: codes of this country are longer for now. passed: 50, 80 or 100, when this message
    brought the day's spending to that percentage of the budget; else 0.
    """

    unit: Taken
    strong: bool
    passed: int


class Change(msgspec.Struct):
    """What became of codes in one place, summed up. healed: when the units that are given back were taken, ms."""

    place: Place
    taken: int = 0
    sent: int = 0
    verified: int = 0
    wrong: int = 0
    wins: int = 0
    healed: list[int] = msgspec.field(default_factory=list)


def reserve(options: OtpOptions, prefix: str, place: Place, human: bool, now_ms: int) -> Op[Reserved | Denied]:
    """Take a unit for one message."""
    cap, breaker, money = tickets.cap(options, place), options.breaker, tickets.settings(options, place)
    young = -(-to_ms(breaker.settle) // _PART_MS) if place.scope is Scope.COUNTRY else 0

    def decode(reply: Reply) -> Reserved | Denied:
        if reply[0] == 1:
            _, at, before, probe, strong, spent = reply
            unit = Taken(place, at, before, bool(probe))
            return Reserved(unit, bool(strong), _passed(spent, money.price, money.budget))
        if reply[0] == 4:
            return ChallengeRequired(Obstacle.LOW_CONVERSION)
        rest = timedelta(milliseconds=reply[1])
        if reply[0] == 5:
            return BudgetExhausted(rest)
        if reply[0] not in (2, 3):
            raise BadReply(f"status {reply[0]!r} is not in the contract")
        return CapReached(place.scope, rest) if reply[0] == 2 else BreakerOpen(place.scope, rest)

    return _RESERVE.op(
        (meter(prefix, place.tag),),
        (
            now_ms,
            _keep_ms(options, place),
            cap.most if place.usual else max(1, cap.most // 4),
            to_ms(cap.per),
            place.member,
            int(human),
            breaker.sends,
            breaker.percent,
            to_ms(breaker.pause),
            breaker.probes,
            young,
            to_ms(options.guesses.per),
            money.price,
            money.budget,
        ),
        decode,
    )


def unreserve(
    options: OtpOptions, prefix: str, unit: Taken, now_ms: int, *, sent: bool, keep_unit: bool = False
) -> Op[None]:
    """Undo a reserve. sent: its message was counted as sent. keep_unit: the cap's unit stays taken."""
    place = unit.place
    return _UNRESERVE.op(
        (meter(prefix, place.tag),),
        (
            now_ms,
            to_ms(tickets.cap(options, place).per),
            place.member,
            unit.at,
            unit.before,
            int(unit.probe),
            to_ms(options.breaker.pause),
            tickets.settings(options, place).price,
            int(not keep_unit),
            int(sent),
        ),
        lambda _: None,
    )


def adjust(options: OtpOptions, prefix: str, change: Change, now_ms: int) -> Op[bool]:
    """Tell a place what became of codes. True: codes of this country get longer from now on."""
    place, guesses = change.place, options.guesses
    return _ADJUST.op(
        (meter(prefix, place.tag),),
        (
            now_ms,
            _keep_ms(options, place),
            to_ms(tickets.cap(options, place).per),
            change.taken,
            change.sent,
            change.verified,
            change.wrong,
            change.wins,
            options.breaker.wins,
            to_ms(guesses.per) if place.scope is Scope.COUNTRY else 0,
            guesses.checks,
            guesses.percent,
            to_ms(guesses.quiet),
            *change.healed,
        ),
        lambda reply: bool(reply[1]),
    )


def _passed(spent: int, price: int, budget: int) -> int:
    """The highest mark that the last message reached."""
    if not budget:
        return 0
    return max((mark for mark in _MARKS if (spent - price) * 100 < mark * budget <= spent * 100), default=0)


def _keep_ms(options: OtpOptions, place: Place) -> int:
    """Everything that is counted in a place has left its window by then."""
    longest = max(to_ms(tickets.cap(options, place).per), _HOUR_MS, to_ms(options.breaker.pause))
    if place.scope is Scope.COUNTRY:
        longest = max(longest, to_ms(options.guesses.per), to_ms(options.guesses.quiet))
        longest = max(longest, _DAY_MS if tickets.settings(options, place).price else 0)
    return longest + _HOUR_MS
