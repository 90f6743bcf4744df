"""Operations on what caps, breakers and budgets count; each scope is one hash in a slot of its own."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Literal

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Op, Reply
from hustlex.core.time import to_ms
from hustlex.errors import BadReply
from hustlex.otp import reservations
from hustlex.otp.names import meter
from hustlex.otp.reservations import CapScope, CapUnit
from hustlex.otp.rules import OtpOptions
from hustlex.otp.types import BreakerOpen, BudgetExhausted, CapReached, ChallengeRequired, Denied, Obstacle, Scope

_RESERVE = load("hustlex.otp", "reserve")
_UNRESERVE = load("hustlex.otp", "unreserve")
_ADJUST = load("hustlex.otp", "adjust")

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_PART_MS = 180_000
"""A twentieth of the breaker's hour."""
_MARKS = (50, 80, 100)
_WIDE = frozenset({Scope.COUNTRY, Scope.DOMAIN})
"""Scopes that hold many honest people, whatever one attacker does: more is needed to slow them down."""


Way = Literal["", "human", "credit", "known"]
"""How a message comes: after a human check, from an address in credit, of a known caller, or like anybody's."""


class ScopeStanding(enum.IntEnum):
    """What the hour's messages say of a scope."""

    NEUTRAL = 0
    SUSPECT = 1
    """Several codes were not typed, and too few were."""
    CREDIT = 2
    """Codes are typed there."""


class UnitReserved(msgspec.Struct, frozen=True):
    """A unit was taken. strong: codes of this country are longer for now. passed: 50, 80 or 100, when this message
    brought the day's spending to that percentage of the budget; else 0.
    """

    unit: CapUnit
    strong: bool
    passed: int
    standing: ScopeStanding


class Change(msgspec.Struct):
    """What became of codes in one place, summed up."""

    place: CapScope
    """The scope."""
    taken: int = 0
    """Units that are given back."""
    sent: int = 0
    """Messages, as far as they count for the breaker."""
    lent: int = 0
    """Messages that count for wider breakers too."""
    verified: int = 0
    """Codes, as far as they count for the breaker."""
    right: int = 0
    """Right codes."""
    wrong: int = 0
    """Wrong codes."""
    wins: int = 0
    """Verified messages that the breaker had let through."""
    healed: list[int | str] = msgspec.field(default_factory=list)
    """When the units that are given back were taken, ms; of distinct numbers ``<member>@<ms>``."""

    def add(self, note: Change) -> None:
        """What another note says of the same place."""
        self.taken += note.taken
        self.sent += note.sent
        self.lent += note.lent
        self.wrong += note.wrong

    def convert(self, unit: CapUnit, *, first: bool) -> None:
        """A right code, one of whose messages took this unit. first: of the challenge, in this place."""
        self.right += first
        self.verified += unit.counted and first
        self.wins += unit.probe > 0
        if not unit.place.known:
            self.healed.append(f"{unit.place.member}@{unit.at}" if unit.place.member else unit.at)


def reserve(options: OtpOptions, prefix: str, place: CapScope, way: Way, now_ms: int) -> Op[UnitReserved | Denied]:
    """Take a unit for one message."""
    money, breaker, wide = reservations.settings(options, place), options.breaker, place.scope in _WIDE
    least, young = judged_by(options, place)

    def decode(reply: Reply) -> UnitReserved | Denied:
        if reply[0] == 1:
            _, at, before, probe, strong, spent, standing = reply
            unit = CapUnit(place, at, before, probe)
            return UnitReserved(unit, bool(strong), _passed(spent, money.price, money.budget), ScopeStanding(standing))
        rest = timedelta(milliseconds=reply[1])
        if reply[0] == 5:
            return BudgetExhausted(rest)
        if reply[0] == 2:
            return CapReached(place.scope, rest)
        if reply[0] != 3:
            raise BadReply(f"status {reply[0]!r} is not in the contract")
        asked = reply[2] and way != "human"
        return ChallengeRequired(Obstacle.LOW_CONVERSION, rest) if asked else BreakerOpen(place.scope, rest)

    return _RESERVE.op(
        (meter(prefix, place.tag),),
        (
            now_ms,
            _keep_ms(options, place),
            way,
            *_cap(options, place, way),
            place.member,
            least,
            max(1, breaker.sends // 4),
            breaker.percent,
            gap_ms(options, place),
            breaker.country_probes if wide else breaker.probes,
            young,
            to_ms(options.guesses.per),
            money.price,
            money.budget if way == "known" else money.budget * (100 - money.kept) // 100,
        ),
        decode,
    )


def _cap(options: OtpOptions, place: CapScope, way: Way) -> tuple[int, int, int]:
    """Units, what is added of the verified ones, the window. In credit, the narrow ones hold as much again."""
    assert options.caps is not None
    cap, twice = (
        reservations.cap(options, place),
        way == "credit" and place.scope in (Scope.PREFIX, Scope.BLOCK, Scope.MAILBOX, Scope.DOMAIN),
    )
    most = (cap.most if place.usual else max(1, cap.most // 4)) * (2 if twice else 1)
    more = options.caps.more if place.scope in (Scope.PREFIX, Scope.DOMAIN, Scope.IP) else 0
    return most, more, to_ms(cap.per)


def judged_by(options: OtpOptions, place: CapScope) -> tuple[int, int]:
    """What a breaker judges by: fewest messages of an hour, and the newest buckets it leaves out."""
    breaker = options.breaker
    if place.scope not in _WIDE:
        return breaker.sends, 0
    return max(breaker.country_sends, breaker.sends), -(-to_ms(breaker.settle) // _PART_MS)


def gap_ms(options: OtpOptions, place: CapScope) -> int:
    """Time between two messages of a place that its breaker slows down."""
    probes = options.breaker.country_probes if place.scope in _WIDE else options.breaker.probes
    return -(-to_ms(options.breaker.pause) // probes)


def unreserve(
    options: OtpOptions, prefix: str, unit: CapUnit, now_ms: int, *, sent: bool, keep_unit: bool = False
) -> Op[None]:
    """Undo a reserve. sent: its message was counted as sent. keep_unit: the cap's unit stays taken."""
    place = unit.place
    return _UNRESERVE.op(
        (meter(prefix, place.tag),),
        (
            now_ms,
            to_ms(reservations.cap(options, place).per),
            place.member,
            unit.at,
            unit.before,
            unit.probe,
            gap_ms(options, place),
            reservations.settings(options, place).price,
            int(not keep_unit and not place.known),
            int(sent and unit.counted),
        ),
        lambda _: None,
    )


def adjust(options: OtpOptions, prefix: str, change: Change, now_ms: int) -> Op[bool]:
    """Tell a place what became of codes. True: codes of this country get longer from now on."""
    place, guesses, cap = change.place, options.guesses, reservations.cap(options, change.place)
    return _ADJUST.op(
        (meter(prefix, place.tag),),
        (
            now_ms,
            _keep_ms(options, place),
            to_ms(cap.per),
            change.taken,
            max(1, cap.most // 2),
            change.sent,
            change.lent,
            change.verified,
            change.right,
            change.wrong,
            change.wins,
            0 if place.scope in _WIDE else options.breaker.wins,
            options.breaker.percent,
            to_ms(guesses.per) if place.scope in _WIDE else 0,
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


def _keep_ms(options: OtpOptions, place: CapScope) -> int:
    """Everything that is counted in a place has left its window by then."""
    longest = max(to_ms(reservations.cap(options, place).per), _HOUR_MS, to_ms(options.breaker.pause))
    if place.scope in _WIDE:
        longest = max(longest, to_ms(options.guesses.per), to_ms(options.guesses.quiet))
        longest = max(longest, _DAY_MS if reservations.settings(options, place).price else 0)
    return longest + _HOUR_MS
