"""What is told of every attempt, good or bad: to the log, and to one hook. Never a code, a phone or a context."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from hustlex.core.logs import logger
from hustlex.otp.types import CapReached, Gone, Issued, Suppressed, Wrong

log = logger("hustlex.otp")

_LEVELS = {
    "locked": logging.WARNING,
    "subject_locked": logging.WARNING,
    "used": logging.WARNING,
    "context_mismatch": logging.WARNING,
    "breaker_open": logging.WARNING,
    "budget_exhausted": logging.WARNING,
    "spent": logging.WARNING,
    "guessing": logging.WARNING,
    "unlocked": logging.WARNING,
    "malformed": logging.DEBUG,
}


Event = Literal["issue", "resend", "verify", "totp", "open", "grant", "cancel", "report", "unlock", "budget", "guesses"]


class OtpEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, for ``OtpOptions.watch``. Texts are "" where they are unknown."""

    event: Event
    """What was asked."""
    outcome: str
    """What was answered, as "verified", "wrong", "ip_cap"."""
    purpose: str = ""
    """What the code is for."""
    lane: str = ""
    """Which lane it counts in."""
    challenge: str = ""
    """First 6 characters of its id."""
    subject: str = ""
    """First 8 characters of the phone's keyed stand-in."""
    country: str = ""
    """The region, as "NG"."""
    prefix: str = ""
    """The number's first 7 digits."""
    unusual: bool = False
    """The number is in no known range (``Numbers.accept_possible``)."""
    network: str = ""
    """The client's network, an IPv4 /24 or IPv6 /48."""
    scope: str = ""
    """Which cap, breaker or budget decided."""
    channel: str = ""
    """What the message went by, as "sms"."""
    left: int = -1
    """Attempts that remain, -1 when unknown."""
    percent: int = 0
    """Percentage of the day's budget, for "spent"."""
    seconds: float = 0.0
    """How long the call took."""
    age: float = 0.0
    """Since the code was sent, for "verified"; else 0."""

    @property
    def level(self) -> int:
        """The log level."""
        return _LEVELS.get(self.outcome, logging.INFO)


Watch = Callable[[OtpEvent], None]
"""Called in the caller's task or thread; must not block and must not raise."""

_CAPITALS = re.compile(r"(?<!^)(?=[A-Z])")
_PLAIN: dict[type, str] = {}


def outcome_of(result: Any) -> str:
    """What a result is called in events, logs and metrics: a small, closed set."""
    kind = type(result)
    if kind is Issued or kind is Suppressed:
        return "sent" if kind is Issued else "suppressed"
    if kind is Gone:
        return str(result.reason)
    if kind is CapReached:
        return f"{result.scope}_cap"
    if kind is Wrong and result.context_changed:
        return "context_mismatch"
    if kind not in _PLAIN:
        _PLAIN[kind] = _CAPITALS.sub("_", kind.__name__).lower()
    return _PLAIN[kind]


def listening(watch: Watch | None, outcome: str) -> bool:
    """Whether anybody wants an event of this outcome; building one costs more than asking."""
    return watch is not None or log.isEnabledFor(_LEVELS.get(outcome, logging.INFO))


def report(watch: Watch | None, event: OtpEvent) -> None:
    """To the log ``hustlex.otp``, as a line of name=value and with the fields as ``record.otp``; and to the hook."""
    if log.isEnabledFor(event.level):
        fields = msgspec.structs.asdict(event)
        fields |= {"seconds": round(event.seconds, 4), "age": round(event.age, 1)}
        shown = {name: value for name, value in fields.items() if value not in ("", -1, 0, 0.0)}
        line = " ".join(f"{name}={value}" for name, value in shown.items())
        log.log(event.level, "otp %s", line, extra={"otp": shown})
    if watch is not None:
        watch(event)
