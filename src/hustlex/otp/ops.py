"""Operations of the otp room: what to send, and how each answer reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Op, Reply
from hustlex.core.time import to_ms
from hustlex.errors import BadReply
from hustlex.otp.codes import Codes, bytes_of, short_ref, text_of
from hustlex.otp.names import Challenge, Grant, Keys
from hustlex.otp.rules import Limits, Numbers, Policy
from hustlex.otp.types import (
    Cooldown,
    DailyCap,
    Delivery,
    Gone,
    Granted,
    GrantResult,
    Issued,
    IssueResult,
    Locked,
    Mismatch,
    OpenResult,
    Reason,
    ResendResult,
    Resent,
    SendsExhausted,
    SubjectLocked,
    Verified,
    VerifyResult,
    Wrong,
)

T = TypeVar("T")

ENTROPY = 44
"""Random bytes that issue needs: 16 for the cid, 16 for the seed, 12 for the seal."""

_ISSUE = load("hustlex.otp", "issue")
_RESEND = load("hustlex.otp", "resend")
_VERIFY = load("hustlex.otp", "verify")
_OPEN = load("hustlex.otp", "open")
_CONSUME_GRANT = load("hustlex.otp", "consume_grant")
_CANCEL = load("hustlex.otp", "cancel")

_GRANT_MS = 600_000
_SAME_CODE_MS = 120_000
_WORTH_SENDING_MS = 20_000


class Room(msgspec.Struct, frozen=True, eq=False):
    """What every operation needs to know of the room it belongs to."""

    codes: Codes
    prefix: str
    policies: dict[str, Policy]
    limits: Limits
    numbers: Numbers


def issue(room: Room, phone: str, purpose: str, context: str, entropy: bytes, now_ms: int) -> Op[IssueResult]:
    """Open a challenge for a phone (E.164). entropy: ENTROPY random bytes. context: digest, or ""."""
    policy, ref = room.policies[purpose], room.codes.reference(phone)
    challenge = Challenge(ref, purpose, text_of(entropy[:16]))
    seed, keys = entropy[16:32], Keys(room.prefix, ref)
    codes = [room.codes.code(seed, generation, policy.digits) for generation in range(1, policy.sends + 1)]
    macs = "".join(room.codes.mac(_bound_to(policy, challenge), purpose, context, code) for code in codes)
    pause, most_open = policy.cooldowns[0], policy.active if policy.binding == "challenge" else 1
    issued = Issued(challenge.text(), short_ref(challenge.cid), policy.lifetime, pause, policy.sends - 1)
    return _ISSUE.op(
        (_record(keys, policy, challenge), keys.active(purpose), keys.sends, keys.cool, keys.lock),
        (
            now_ms,
            challenge.cid,
            text_of(seed),
            macs,
            room.codes.seal(phone, ref, entropy[32:44]),
            context,
            policy.attempts,
            to_ms(policy.lifetime),
            to_ms(pause),
            room.limits.sends,
            most_open,
        ),
        _reader({1: lambda _: issued, 2: _subject_locked, 3: _cooldown, 4: _daily_cap}),
    )


def resend(room: Room, challenge: Challenge, now_ms: int) -> Op[ResendResult]:
    """One more send of an open challenge. Its purpose must have a policy."""
    policy, keys = room.policies[challenge.purpose], Keys(room.prefix, challenge.ref)
    life_ms = to_ms(policy.lifetime)
    renew_ms = _SAME_CODE_MS if policy.resend == "same" else life_ms + 1

    def resent(reply: Reply) -> Resent:
        _, renewed, life, pause, left = reply
        return Resent(challenge.text(), short_ref(challenge.cid), _ms(life), _ms(pause), left, bool(renewed))

    return _RESEND.op(
        (_record(keys, policy, challenge), keys.active(challenge.purpose), keys.sends, keys.cool, keys.lock),
        (now_ms, challenge.cid, life_ms, renew_ms, room.limits.sends, *map(to_ms, policy.cooldowns)),
        _reader(
            {
                0: _unknown,
                1: resent,
                2: _subject_locked,
                3: _cooldown,
                4: _daily_cap,
                5: lambda reply: SendsExhausted(_ms(reply[1])),
            }
        ),
    )


def verify(
    room: Room, challenge: Challenge, code: str, context: str, nonce: str, salt: str, now_ms: int
) -> Op[VerifyResult]:
    """Check a code of the right number of digits. cid "": the challenge that the subject has.

    nonce: the caller's, or "". salt: random text, makes the grant when there is no nonce.
    """
    ref, purpose, policy = challenge.ref, challenge.purpose, room.policies[challenge.purpose]
    keys, mac = Keys(room.prefix, ref), room.codes.mac(_bound_to(policy, challenge), purpose, context, code)
    grant = Grant(ref, room.codes.grant_secret(mac, nonce or salt))
    hidden = policy.binding == "subject"
    return _VERIFY.op(
        (_record(keys, policy, challenge), keys.active(purpose), keys.fail, keys.lock, keys.grant(grant.secret)),
        (
            now_ms,
            challenge.cid,
            mac,
            context,
            room.codes.nonce_mark(nonce, mac),
            purpose,
            _GRANT_MS,
            room.limits.wrong,
            *map(to_ms, room.limits.locks),
        ),
        _reader(
            {
                0: _unknown,
                2: _used,
                3: _expired,
                5: lambda _: Locked(),
                6: _subject_locked,
                1: lambda reply: Verified(grant.text(), ref, purpose, bool(reply[1])),
                4: lambda reply: Wrong(None if hidden else reply[1], bool(reply[2])),
            }
        ),
    )


def open_challenge(room: Room, challenge: Challenge, now_ms: int) -> Op[OpenResult]:
    """What to send for a challenge; Gone when fewer than 20 s of its life remain."""
    policy, keys = room.policies[challenge.purpose], Keys(room.prefix, challenge.ref)

    def delivery(reply: Reply) -> Delivery:
        _, seed, generation, sealed, rest = reply
        return Delivery(
            room.codes.unseal(_text(sealed), challenge.ref),
            room.codes.code(bytes_of(_text(seed)), generation, policy.digits),
            short_ref(challenge.cid),
            challenge.purpose,
            _ms(rest),
        )

    return _OPEN.op(
        (_record(keys, policy, challenge), keys.active(challenge.purpose)),
        (now_ms, challenge.cid, _WORTH_SENDING_MS),
        _reader({0: _unknown, 1: delivery, 2: _used, 3: _expired}),
    )


def consume_grant(room: Room, grant: Grant, purpose: str, context: str, now_ms: int) -> Op[GrantResult]:
    """Spend a grant."""

    def granted(reply: Reply) -> Granted:
        return Granted(room.codes.unseal(_text(reply[1]), grant.ref), grant.ref, purpose)

    return _CONSUME_GRANT.op(
        (Keys(room.prefix, grant.ref).grant(grant.secret),),
        (now_ms, purpose, context),
        _reader({0: _unknown, 1: granted, 2: _used, 3: _expired, 4: lambda _: Mismatch()}),
    )


def cancel(room: Room, challenge: Challenge, unsent: bool) -> Op[bool]:
    """Void an open challenge. True when it is void now."""
    policy, keys = room.policies[challenge.purpose], Keys(room.prefix, challenge.ref)
    return _CANCEL.op(
        (_record(keys, policy, challenge), keys.active(challenge.purpose), keys.sends, keys.cool),
        (challenge.cid, int(unsent)),
        lambda reply: bool(reply[0]),
    )


def _record(keys: Keys, policy: Policy, challenge: Challenge) -> str:
    if policy.binding == "subject":
        return keys.subject_record(challenge.purpose)
    return keys.record(challenge.purpose, challenge.cid)


def _bound_to(policy: Policy, challenge: Challenge) -> str:
    """What the MAC ties a code to: its challenge, or the phone where the checker knows no challenge."""
    return challenge.cid if policy.binding == "challenge" else challenge.ref


def _reader(cases: dict[int, Callable[[Reply], T]]) -> Callable[[Reply], T]:
    def decode(reply: Reply) -> T:
        case = cases.get(reply[0])
        if case is None:
            raise BadReply(f"status {reply[0]!r} is not in the contract")
        return case(reply)

    return decode


def _unknown(_: Reply) -> Gone:
    return Gone(Reason.UNKNOWN)


def _used(_: Reply) -> Gone:
    return Gone(Reason.USED)


def _expired(_: Reply) -> Gone:
    return Gone(Reason.EXPIRED)


def _subject_locked(reply: Reply) -> SubjectLocked:
    return SubjectLocked(_ms(reply[1]))


def _cooldown(reply: Reply) -> Cooldown:
    return Cooldown(_ms(reply[1]))


def _daily_cap(reply: Reply) -> DailyCap:
    return DailyCap(_ms(reply[1]))


def _ms(milliseconds: int) -> timedelta:
    return timedelta(milliseconds=milliseconds)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
