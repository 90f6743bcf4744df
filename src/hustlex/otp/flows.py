"""The verbs as the caller sees them: arguments are checked and read here, most nonsense ends before any round trip."""

from __future__ import annotations

from hustlex.core.op import Flow, do
from hustlex.errors import Misuse
from hustlex.otp import ops
from hustlex.otp.codes import Context, context_digest, typed_digits
from hustlex.otp.names import Challenge, parse_challenge, parse_grant
from hustlex.otp.ops import Room
from hustlex.otp.phone import normalise
from hustlex.otp.rules import Policy
from hustlex.otp.types import Gone, GrantResult, IssueResult, Malformed, OpenResult, Reason, ResendResult, VerifyResult


def issue(room: Room, phone: str, purpose: str, ctx: Context | None, entropy: bytes, now_ms: int) -> Flow[IssueResult]:
    """Read the phone, then open a challenge for it."""
    if _policy(room, purpose).needs_context and ctx is None:
        raise Misuse(f"purpose {purpose!r} needs ctx", hint="name what is being approved")
    digest = context_digest(ctx)
    number = normalise(phone, room.numbers)
    if not isinstance(number, str):
        return number
    return (yield from do(ops.issue(room, number, purpose, digest, entropy, now_ms)))


def resend(room: Room, challenge: str, now_ms: int) -> Flow[ResendResult]:
    """Send an open challenge once more."""
    known = _known(room, challenge)
    if known is None:
        return Gone(Reason.UNKNOWN)
    return (yield from do(ops.resend(room, known, now_ms)))


def verify(
    room: Room, challenge: str, code: str, ctx: Context | None, nonce: str | None, salt: str, now_ms: int
) -> Flow[VerifyResult]:
    """Check a code for the challenge it was sent for."""
    return (yield from _check(room, _known(room, challenge), code, ctx, nonce, salt, now_ms))


def verify_phone(
    room: Room, phone: str, code: str, purpose: str, ctx: Context | None, nonce: str | None, salt: str, now_ms: int
) -> Flow[VerifyResult]:
    """Check a code for the one challenge that a phone has under subject binding."""
    if _policy(room, purpose).binding != "subject":
        raise Misuse(f"codes of purpose {purpose!r} are bound to their challenge", hint="call verify(challenge, code)")
    number = normalise(phone, room.numbers)
    target = Challenge(room.codes.reference(number), purpose, "") if isinstance(number, str) else None
    return (yield from _check(room, target, code, ctx, nonce, salt, now_ms))


def open_challenge(room: Room, challenge: str, now_ms: int) -> Flow[OpenResult]:
    """Derive what to send for a challenge."""
    known = _known(room, challenge)
    if known is None:
        return Gone(Reason.UNKNOWN)
    return (yield from do(ops.open_challenge(room, known, now_ms)))


def consume_grant(room: Room, grant: str, purpose: str, ctx: Context | None, now_ms: int) -> Flow[GrantResult]:
    """Spend a grant."""
    digest, known = context_digest(ctx), parse_grant(grant)
    _policy(room, purpose)
    if known is None:
        return Gone(Reason.UNKNOWN)
    return (yield from do(ops.consume_grant(room, known, purpose, digest, now_ms)))


def cancel(room: Room, challenge: str, unsent: bool) -> Flow[bool]:
    """Void an open challenge."""
    known = _known(room, challenge)
    if known is None:
        return False
    return (yield from do(ops.cancel(room, known, unsent)))


def _check(
    room: Room, challenge: Challenge | None, code: str, ctx: Context | None, nonce: str | None, salt: str, now_ms: int
) -> Flow[VerifyResult]:
    digest = context_digest(ctx)
    if challenge is None:
        return Gone(Reason.UNKNOWN)
    digits = typed_digits(code, room.policies[challenge.purpose].digits)
    if digits is None:
        return Malformed()
    return (yield from do(ops.verify(room, challenge, digits, digest, nonce or "", salt, now_ms)))


def _known(room: Room, challenge: str) -> Challenge | None:
    """The challenge, unless it is not one of ours; what a client sends never raises."""
    parsed = parse_challenge(challenge)
    return parsed if parsed and parsed.purpose in room.policies else None


def _policy(room: Room, purpose: str) -> Policy:
    if purpose not in room.policies:
        raise Misuse(f"no policy for purpose {purpose!r}", hint="one of: " + ", ".join(sorted(room.policies)))
    return room.policies[purpose]
