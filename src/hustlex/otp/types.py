"""What the otp room answers. Every expected outcome is a value; none has a truth value, so none can be misread."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import ClassVar

from hustlex.core.outcome import Failure, Secretive


class Reason(enum.StrEnum):
    """Why something is gone. Tell the client one text for all; the difference is for logs."""

    EXPIRED = "expired"
    UNKNOWN = "unknown"
    USED = "used"
    SUPPRESSED = "suppressed"
    """For deliveries only: a decoy, nothing is to be sent."""
    CLAIMED = "claimed"
    """For deliveries only: another job sends it, or has."""


class DeliveryStatus(enum.StrEnum):
    """What became of a message. UNQUEUED: its job could not be queued. SENT: a provider took it. FAILED: it will never
    arrive.
    """

    UNQUEUED = "unqueued"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"


class Scope(enum.StrEnum):
    """What a cap, a breaker or a budget counts together."""

    COUNTRY = "country"
    BLOCK = "block"
    """The 1,000 numbers that differ in the last three digits only."""
    PREFIX = "prefix"
    """All numbers with the same first seven digits, country code included."""
    MAILBOX = "mailbox"
    """All spellings of an e-mail address that differ in capitals, dots or what follows a plus."""
    DOMAIN = "domain"
    """All e-mail addresses of one domain."""
    IP = "ip"
    """One IPv4 address, or one IPv6 /64."""


class Obstacle(enum.StrEnum):
    """Why a human check, or another way than a text message, is asked for."""

    LOW_CONVERSION = "low_conversion"
    USED_UP = "used_up"
    """The phone's messages for strangers are used up, or its wrong codes, by whomever."""
    SIM_SWAP = "sim_swap"


class Issued(Secretive, frozen=True, eq=False):
    """A challenge stands; queue its delivery."""

    challenge: str
    """Opaque, for the client and the delivery job."""
    ref: str
    """Three letters, shown on the screen and in the message."""
    expires_in: timedelta
    """Life of the code."""
    resend_in: timedelta
    """Earliest resend."""
    sends_left: int
    """Resends that remain for this challenge."""
    hidden: ClassVar[frozenset[str]] = frozenset({"challenge"})


class Suppressed(Issued, frozen=True, eq=False):
    """A decoy (``deliver=False``): treat it exactly as Issued, delivery job included. No message goes out, and no code
    is right.
    """


class Resent(Issued, frozen=True, eq=False):
    """Queue the delivery once more. new_code: False when the code sent before stays good, its life and attempts too."""

    new_code: bool


class Cooldown(Failure, frozen=True):
    """Too soon after the last send; nothing was sent."""

    retry_after: timedelta


class SendsExhausted(Failure, frozen=True):
    """This challenge was sent as often as it may be; start a new one. retry_after: until it expires."""

    retry_after: timedelta


class DailyCap(Failure, frozen=True):
    """This phone's lane had its sends of the rolling 24 hours. retry_after: until the oldest leaves."""

    retry_after: timedelta


class SubjectLocked(Failure, frozen=True):
    """Too many wrong codes for this phone over all its challenges. retry_after: rest of the lock."""

    retry_after: timedelta


class CapReached(Failure, frozen=True):
    """The scope had its messages; nothing was sent. retry_after: until the next one may go out."""

    scope: Scope
    retry_after: timedelta


class BreakerOpen(Failure, frozen=True):
    """Hardly anybody in this scope types the codes sent there, as when somebody earns on the messages; only single ones
    pass. retry_after: until the next one does.
    """

    scope: Scope
    retry_after: timedelta


class BudgetExhausted(Failure, frozen=True):
    """The country's money for today is spent. retry_after: until midnight UTC."""

    retry_after: timedelta


class ChallengeRequired(Failure, frozen=True):
    """Ask for a human check (then call with ``human=True``), or for SIM_SWAP another channel than this phone.

    retry_after: until it goes without a human check; None: never.
    """

    obstacle: Obstacle
    retry_after: timedelta | None = None


class InvalidPhone(Failure, frozen=True):
    """Not a phone number that can exist, or one with an extension. Without a country code it was read as one of the
    default region, ``HustleX(region=...)``.
    """


class InvalidEmail(Failure, frozen=True):
    """Not an e-mail address, or one that no mail can be sent to: quoted, without a domain, or with one not in ASCII."""


class DestinationBlocked(Failure, frozen=True):
    """A real number or address that gets no message. country: the number's region, or "". option: the setting that
    closes that country or domain; "": none does, numbers of this kind get no text messages (premium, VoIP, ...).
    """

    country: str = ""
    option: str = ""

    def _words(self) -> str:
        why = f"{self.option} closes it" if self.option else "numbers of this kind get no text messages"
        return f"the outcome is DestinationBlocked({self.country}): {why}"


class Verified(Secretive, frozen=True, eq=False):
    """The code was right and is spent."""

    grant: str
    """Single-use, 10 minutes; the next step hands it to ``consume_grant``."""
    subject: str
    """Keyed stand-in for the phone."""
    purpose: str
    """What the code was for."""
    replayed: bool
    """This answer repeats an earlier one whose reply was lost (same nonce); the grant is the same."""
    device: str = ""
    """What makes this device known next time, when it was asked for (``remember=True``); hand it to ``issue``."""
    durable: bool | None = None
    """Whether it was as safe as ``Policy.durability`` says before the answer; None for "memory". False does
    not undo anything: it says that after a failover right now the code might be good once more."""
    hidden: ClassVar[frozenset[str]] = frozenset({"grant", "device"})


class Wrong(Failure, frozen=True):
    """Not the code. left: attempts that remain, 1 or more; None under subject binding, where it would tell a stranger
    that a challenge exists. context_changed: what is being approved is not what the code was issued for.
    """

    left: int | None
    context_changed: bool = False


class Locked(Failure, frozen=True):
    """All attempts of this challenge are used up; a new code is needed."""


class Gone(Failure, frozen=True):
    """The challenge or grant cannot be used. Cancelled, replaced and forged ones are UNKNOWN."""

    reason: Reason


class Malformed(Failure, frozen=True):
    """Not as many digits as a code has, so it cannot be right; no attempt was counted."""


class Delivery(Secretive, frozen=True, eq=False):
    """What a message must say, derived at the moment of sending and stored nowhere.

    phone: E.164, or "" where email, an address, is where it goes. about: what is being approved, as given to ``issue``.
    key: names this send of this code, for providers that take an idempotency key.
    """

    phone: str
    code: str
    ref: str
    purpose: str
    expires_in: timedelta
    about: str = ""
    key: str = ""
    email: str = ""
    hidden: ClassVar[frozenset[str]] = frozenset({"phone", "code", "about", "email"})


class Granted(Secretive, frozen=True, eq=False):
    """The grant was good and is spent: this phone (E.164), or this email, passed this purpose; the other one is "".

    subject: keyed stand-in for the phone. user_id: the opaque id given to ``issue``, or "". After an authenticator's
    code, phone is the user's id that was given there. durable: as in Verified, of the spent grant.
    """

    phone: str
    subject: str
    purpose: str
    user_id: str = ""
    durable: bool | None = None
    email: str = ""
    hidden: ClassVar[frozenset[str]] = frozenset({"phone", "email"})


class Enrolment(Secretive, frozen=True, eq=False):
    """A new authenticator secret. uri: ``otpauth://``, for a QR code, shown once. secret: the same for typing (base32).

    sealed: for the application's own database; it opens with this environment's secret, for this subject only.
    """

    uri: str
    secret: str
    sealed: str
    hidden: ClassVar[frozenset[str]] = frozenset({"uri", "secret", "sealed"})


class Mismatch(Failure, frozen=True):
    """The grant is for another purpose or another context; it was not spent."""


Denied = CapReached | BreakerOpen | BudgetExhausted | ChallengeRequired
IssueResult = Issued | Cooldown | DailyCap | SubjectLocked | InvalidPhone | InvalidEmail | DestinationBlocked | Denied
ResendResult = Resent | Cooldown | SendsExhausted | DailyCap | SubjectLocked | Gone | Denied
VerifyResult = Verified | Wrong | Locked | SubjectLocked | Gone | Malformed
OpenResult = Delivery | Gone
GrantResult = Granted | Gone | Mismatch
