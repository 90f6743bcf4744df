"""What became of codes, told to caps, breakers and guess counts in groups.

A right code gives units back in up to three slots, a wrong one is counted in its country's. Told one by one, that would
be three calls for each verify; so of all callers at once one tells, and the others only leave a note. Nothing waits for
a timer: whoever finds nobody telling tells at once, and goes on while notes come in, so a note is at most a round trip
old. A process that dies takes its last notes along, and a cap is too strict by them until its window has passed.
"""

from __future__ import annotations

import threading
from collections import deque

from hustlex.core.logs import logger
from hustlex.core.op import Batch, Flow
from hustlex.errors import Error
from hustlex.otp import quota_ops, reservations
from hustlex.otp.quota_ops import Change
from hustlex.otp.reservations import CapScope, CapUnit
from hustlex.otp.rules import OtpOptions
from hustlex.otp.telemetry import OtpEvent

_log = logger("hustlex.otp")
_ROUNDS = 4
"""So that no caller tells for ever; whoever comes next takes over."""


class OutcomeBuffer:
    """One per room, shared by its tasks or threads."""

    def __init__(self) -> None:
        self._notes: deque[Change | str] = deque()
        self._telling = threading.Lock()

    def sent(self, units: list[CapUnit]) -> None:
        """A message was sent. Counted only now: a hundred requests at once of which the phone lets one through must
        not look like a hundred messages that nobody answers.
        """
        self._notes.extend(Change(unit.place, sent=1, lent=unit.lent) for unit in units if unit.counted)

    def verified(self, taken: str) -> None:
        """A challenge was verified; its messages took these tickets, at least one. Read when they are told."""
        self._notes.append(taken)

    def wrong(self, where: str) -> None:
        """A wrong code was typed for a phone of this country, or an address of this domain."""
        self._notes.append(Change(reservations.guessed(where), wrong=1))

    def nonsense(self, place: CapScope) -> None:
        """An address sent what can never work."""
        self._notes.append(Change(place, taken=1))

    def flush(self, options: OtpOptions, prefix: str, now_ms: int) -> Flow[list[OtpEvent]]:
        """Tell all notes, unless another caller is at it. What is worth an event; never raises a store's error."""
        events: list[OtpEvent] = []
        for _ in range(_ROUNDS):
            # Asked again after every round: a note may have come in between the last look and the release.
            if not self._notes or not self._telling.acquire(blocking=False):
                break
            try:
                changes = self._sum_up()
                ops = tuple(quota_ops.adjust(options, prefix, change, now_ms) for change in changes)
                answers = yield Batch(ops)
            finally:
                self._telling.release()
            failed = [answer for answer in answers if isinstance(answer, Error)]
            if failed:
                _log.warning("caps were not told what became of codes: %s", type(failed[0]).__name__)
                break
            for change, guessing in zip(changes, answers, strict=True):
                if guessing:
                    events.append(
                        OtpEvent(event="guesses", outcome="guessing", country=reservations.country([change.place]))
                    )
        return events

    def _sum_up(self) -> list[Change]:
        """Take all notes, one change for each place."""
        sums: dict[str, Change] = {}
        for _ in range(len(self._notes)):
            note = self._notes.popleft()
            if isinstance(note, str):
                _verified(sums, note)
                continue
            sums.setdefault(note.place.tag, Change(note.place)).add(note)
        return list(sums.values())


def _verified(sums: dict[str, Change], taken: str) -> None:
    """One challenge is one conversion in each place, however many messages it took."""
    seen = set()
    for unit in reservations.read(taken):
        place = unit.place
        known = sums.get(place.tag) or sums.setdefault(place.tag, Change(place))
        known.convert(unit, first=place.tag not in seen)
        seen.add(place.tag)
