"""Collects what may be told of one call, and tells it at its end. Costs next to nothing while nobody listens."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TypeVar

from hustlex.core.addresses import network
from hustlex.otp.email import Mailbox
from hustlex.otp.names import Challenge
from hustlex.otp.phone import Phone
from hustlex.otp.reservations import country, read
from hustlex.otp.room import OtpServices
from hustlex.otp.telemetry import Event, OtpEvent, listening, outcome_of, report
from hustlex.otp.types import DestinationBlocked, Wrong

T = TypeVar("T")


class EventRecorder:
    """One call. Its end is a result (``end``), or a word (``note``)."""

    def __init__(
        self, room: OtpServices, event: Event, *, purpose: str = "", lane: str = "", ip: str | None = None
    ) -> None:
        self._start = time.perf_counter()
        self._room = room
        self._event = event
        self._purpose = purpose
        self._lane = lane
        self._ip = ip
        self._challenge = self._prefix = self._ref = self.country = ""
        self._age = 0.0
        self._unusual = False

    def challenge(self, known: Challenge | None) -> None:
        """Which challenge it is about."""
        if known is not None:
            self._purpose, self._lane, self._challenge, self._ref = known.purpose, known.lane, known.cid, known.ref

    def to(self, to: Phone | Mailbox) -> None:
        """Whose phone or mailbox it is about."""
        self._ref = self._ref or to.number
        if isinstance(to, Phone):
            self.country, self._prefix, self._unusual = to.country, to.number[1:8], not to.known

    def place(self, country: str) -> None:
        """Of which country the phone is; the domain of an e-mail address, which holds a colon, is not told."""
        self.country = "" if ":" in country else country

    def subject(self, ref: str) -> None:
        """Who it is about."""
        self._ref = ref

    def verified(self, taken: str, at: int) -> None:
        """The code's messages took these tickets; at: the server's time, ms."""
        if listening(self._room.options.watch, "verified"):
            units = read(taken)
            self.country = country([unit.place for unit in units])
            self._age = max(0.0, (at - min((unit.at for unit in units), default=at)) / 1000)

    def also(self, events: Iterable[OtpEvent]) -> None:
        """Something else that was found out on the way."""
        for event in events:
            report(self._room.options.watch, event)

    def end(self, result: T) -> T:
        """Tell the result, and hand it on."""
        outcome = outcome_of(result)
        if listening(self._room.options.watch, outcome):
            left = result.left if isinstance(result, Wrong) and result.left is not None else -1
            self.note(outcome, scope=_scope(result), left=left)
        return result

    def note(self, outcome: str, *, scope: str = "", channel: str = "", left: int = -1) -> None:
        """Tell an outcome."""
        if not listening(self._room.options.watch, outcome):
            return
        event = OtpEvent(
            event=self._event,
            outcome=outcome,
            purpose=self._purpose,
            lane=self._lane,
            challenge=self._challenge[:6],
            subject=self._short_subject(),
            country=self.country,
            prefix=self._prefix,
            unusual=self._unusual,
            network=_network(self._ip),
            scope=scope,
            channel=channel,
            left=left,
            seconds=time.perf_counter() - self._start,
            age=self._age,
        )
        report(self._room.options.watch, event)

    def _short_subject(self) -> str:
        """Never a phone or an address, not even in the plain layout."""
        plain = self._ref.startswith("+") or "@" in self._ref
        return (self._room.codes.hidden(self._ref) if plain else self._ref)[:8]


def _scope(result: object) -> str:
    return result.option if isinstance(result, DestinationBlocked) else str(getattr(result, "scope", ""))


def _network(ip: str | None) -> str:
    """The /24 or /48 around an address."""
    if ip is None:
        return ""
    try:
        return str(network(ip, v4=24, v6=48))
    except ValueError:
        return ""
