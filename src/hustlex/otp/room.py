"""What the operations share: the room itself, a code to issue, a code to check."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from hustlex.core import check
from hustlex.core.keyring import Keyring
from hustlex.core.outcome import Secretive
from hustlex.core.time import to_ms
from hustlex.otp.codes import Codes
from hustlex.otp.names import Challenge, CountedLane
from hustlex.otp.outcome_buffer import OutcomeBuffer
from hustlex.otp.rules import OtpOptions, Policy
from hustlex.otp.types import VerifyResult

_TOMBSTONE_MS = 60_000
_NEVER = 10**9


class OtpServices(msgspec.Struct, frozen=True, eq=False):
    """What every operation needs to know of the room it belongs to."""

    codes: Codes
    """Derives codes, stand-ins and seals from the secret."""
    prefix: str
    """Put before every key."""
    options: OtpOptions
    """All that was set."""
    outcomes: OutcomeBuffer
    """What calls led to, until a later call takes it along."""
    guard: tuple[int, ...]
    """What a wrong code leads to, as the scripts take it: the day's wrong codes, then the length of each lock, ms."""

    def guard_of(self, lane: CountedLane) -> tuple[int, ...]:
        """The guard of a lane. Lane extra has no lock, which strangers could close it with: guesses there are held by
        how few and how long its codes are."""
        return self.guard if lane != "extra" else (_NEVER, *self.guard[1:])

    def keep_ms(self) -> int:
        """How long a record tells after its end what has become of it; the plain layout lives as long as its code."""
        return 0 if self.options.layout == "plain" else _TOMBSTONE_MS


def services_of(keyring: Keyring, prefix: str, options: OtpOptions) -> OtpServices:
    """A room, with what never changes worked out once."""
    check.instance("options", options, OtpOptions)
    guard = (options.limits.wrong, *map(to_ms, options.limits.locks))
    return OtpServices(Codes(keyring, plain=options.layout == "plain"), prefix, options, OutcomeBuffer(), guard)


class NewCode(Secretive, frozen=True, eq=False):
    """A code to issue."""

    to: str
    """E.164, or an e-mail address."""
    purpose: str
    """What it is for."""
    context: str = ""
    """Digest, or ""."""
    lane: CountedLane = "anon"
    """In which lane it counts."""
    uid: str = ""
    """The application's, comes back with the grant."""
    about: str = ""
    """What is approved, for the person."""
    deliver: bool = True
    """False: a decoy."""
    strong: bool = False
    """Whether the code is a longer one."""
    guessed: str = ""
    """Where wrong codes are counted."""
    ticket: str = ""
    """What it took of the caps."""
    day_sends: int = 10
    """Most sends of this phone's lane in 24 hours."""
    by: str = ""
    """In lane extra, who takes one: ``n:<network>``, or ``h`` behind a human check."""
    hidden: ClassVar[frozenset[str]] = frozenset({"to", "about", "uid"})


class CodeAttempt(Secretive, frozen=True, eq=False):
    """A code to check."""

    challenge: Challenge
    """What it is typed for."""
    code: str
    """Of the right number of digits."""
    context: str = ""
    """Digest, or ""."""
    nonce: str = ""
    """The caller's, or ""."""
    salt: str = ""
    """22 random characters, a secret where there is no nonce."""
    remember: bool = False
    """Whether the device is to be remembered."""
    by_phone: bool = False
    """It is for whatever challenge the subject has."""
    hidden: ClassVar[frozenset[str]] = frozenset({"code", "nonce", "salt"})


class Checked(msgspec.Struct, frozen=True):
    """A result, and what the outcomes learns from it. at: the server's time, ms, of a right code; else 0."""

    result: VerifyResult
    tickets: str = ""
    country: str = ""
    at: int = 0


def digits_of(room: OtpServices, policy: Policy, strong: bool) -> int:
    """How many digits a code has."""
    return max(policy.digits, room.options.guesses.digits) if strong else policy.digits


def sends_of(policy: Policy, request: NewCode) -> int:
    """How often a challenge may be sent; in lane extra each message takes a place of its own."""
    return policy.sends if request.lane != "extra" else 1
