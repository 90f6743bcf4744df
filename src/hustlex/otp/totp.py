"""Codes of an authenticator (RFC 6238: SHA-1, 6 digits, 30 s, as every authenticator speaks).

The application keeps the secret, sealed for its user with this environment's key. The code is compared here, for all
steps near this machine's clock; the server decides by its own which of them count, and that each counts once.
"""

from __future__ import annotations

import hmac
import time
from base64 import b32encode
from datetime import timedelta
from typing import ClassVar
from urllib.parse import quote, urlencode

from hustlex.core import check
from hustlex.core.check import Id
from hustlex.core.context import Context, context_digest
from hustlex.core.lua import load
from hustlex.core.op import Flow, Op, Reply, do
from hustlex.core.outcome import Secretive
from hustlex.errors import BadReply, Misuse
from hustlex.otp import arguments
from hustlex.otp.codes import bytes_of, same, sealed_text, text_of, typed_digits
from hustlex.otp.event_recorder import EventRecorder
from hustlex.otp.flows import waited
from hustlex.otp.names import Grant, Lane, SubjectKeys
from hustlex.otp.ops import GRANT_MS
from hustlex.otp.room import OtpServices
from hustlex.otp.types import Enrolment, Gone, Malformed, Reason, SubjectLocked, Verified, VerifyResult, Wrong

ENTROPY = 32
GRANT_ENTROPY = 28
"""Random bytes that enrol needs: 20 for the secret, 12 for the seal."""

_TOTP = load("hustlex.otp", "totp")
_SECRET_BYTES = 20
_DIGITS = 6
_PERIOD_MS = 30_000
_WINDOW = 1
_SKEW = 10
"""Steps by which this machine's clock may be off; what is found there only counts if the server's clock agrees."""


class Typed(Secretive, frozen=True, eq=False):
    """What ``totp_verify`` was called with. subject: as text."""

    subject: str
    sealed: str
    code: str
    purpose: str
    ctx: Context | None
    lane: Lane
    hidden: ClassVar[frozenset[str]] = frozenset({"subject", "sealed", "code", "ctx"})


def hotp(secret: bytes, step: int, digits: int = _DIGITS, algorithm: str = "sha1") -> str:
    """The code of one step (RFC 4226 section 5.3)."""
    mac = hmac.digest(secret, step.to_bytes(8, "big"), algorithm)
    at = mac[-1] & 15
    return str((int.from_bytes(mac[at : at + 4], "big") & 0x7FFFFFFF) % 10**digits).zfill(digits)


def enrol(room: OtpServices, subject: Id, issuer: str, account: str, entropy: bytes) -> Enrolment:
    """A new secret. entropy: ENTROPY random bytes. Raises Misuse for names that an authenticator cannot show."""
    if ":" in check.text("issuer", issuer) + check.text("account", account):
        raise Misuse("issuer and account hold no colons", hint="an authenticator puts one between them")
    owner = _owner(subject_of(subject))
    secret = entropy[:_SECRET_BYTES]
    shown = b32encode(secret).decode()
    sealed = sealed_text(room.codes.seal(text_of(secret), owner, entropy[_SECRET_BYTES:]))
    query = urlencode({"secret": shown, "issuer": issuer, "algorithm": "SHA1", "digits": _DIGITS, "period": 30})
    return Enrolment(f"otpauth://totp/{quote(issuer)}:{quote(account)}?{query.replace('+', '%20')}", shown, sealed)


def reseal(room: OtpServices, subject: Id, sealed: str, nonce: bytes) -> str:
    """The same secret, sealed with the secret in use. nonce: 12 random bytes. Raises BadReply as verify."""
    owner = _owner(subject_of(subject))
    opened = room.codes.unseal(check.typed("sealed", sealed).encode("utf-8", "replace"), owner)
    return sealed_text(room.codes.seal(opened, owner, nonce))


def verify(room: OtpServices, typed: Typed, entropy: bytes, now_ms: int) -> Flow[VerifyResult]:
    """Check a code. entropy: GRANT_ENTROPY random bytes. Raises BadReply when sealed is not this subject's."""
    policy = arguments.policy(room.options.policies, typed.purpose)
    arguments.lane(typed.lane)
    recorder = EventRecorder(room, "totp", purpose=typed.purpose, lane=typed.lane)
    if policy.needs_context and typed.ctx is None:
        raise Misuse(f"purpose {typed.purpose!r} needs ctx", hint="name what is being approved")
    secret = bytes_of(
        room.codes.unseal(check.typed("sealed", typed.sealed).encode("utf-8", "replace"), _owner(typed.subject))
    )
    recorder.subject(room.codes.hidden(typed.subject))
    digits = typed_digits(check.typed("code", typed.code), _DIGITS)
    if digits is None:
        return recorder.end(Malformed())
    now = (now_ms or time.time_ns() // 1_000_000) // _PERIOD_MS
    steps = [step for step in range(max(0, now - _SKEW), now + _SKEW + 1) if same(hotp(secret, step), digits)]
    result = yield from do(_spend(room, typed, steps, entropy, now_ms))
    return recorder.end((yield from waited(room, result)))


def _spend(room: OtpServices, typed: Typed, steps: list[int], entropy: bytes, now_ms: int) -> Op[VerifyResult]:
    ref, salt = room.codes.reference(typed.subject), text_of(entropy[:16])
    keys, grant = SubjectKeys(room.prefix, ref), Grant(ref, room.codes.secret("otp-grant", b"totp", salt))

    def decode(reply: Reply) -> VerifyResult:
        if reply[0] == 1:
            return Verified(grant.text(), ref, typed.purpose, False)
        if reply[0] == 6:
            return SubjectLocked(timedelta(milliseconds=reply[1]))
        if reply[0] not in (2, 4):
            raise BadReply(f"status {reply[0]!r} is not in the contract")
        return Gone(Reason.USED) if reply[0] == 2 else Wrong(None)

    return _TOTP.op(
        (keys.step, keys.fail(typed.lane), keys.lock(typed.lane), keys.grant(grant.secret)),
        (
            now_ms,
            salt,
            ",".join(map(str, steps)),
            _PERIOD_MS,
            _WINDOW,
            typed.purpose,
            context_digest(typed.ctx),
            room.codes.seal(typed.subject, ref, entropy[16:]),
            GRANT_MS,
            *room.guard,
        ),
        decode,
    )


def subject_of(subject: object) -> str:
    """A user's id or phone, the same text for equal ids."""
    return check.identity("user_id", subject)


def _owner(subject: str) -> str:
    """Whose secret it is: it opens for nobody else, and nothing else opens as one. It goes into no key name, so it
    need not change with what stands for a subject there."""
    return f"totp:{subject}"
