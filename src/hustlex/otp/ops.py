"""Operations of the otp room: what to send, and how each answer reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar

from hustlex.core.lua import load
from hustlex.core.op import Arg, Effect, Op, Reply, command
from hustlex.core.parts import in_parts
from hustlex.core.time import to_ms
from hustlex.errors import BadReply
from hustlex.otp.codes import seed_of, short_ref, text_of
from hustlex.otp.names import LANE_TRAITS, Challenge, CountedLane, Grant, Lane, SubjectKeys, device_token, hashed
from hustlex.otp.room import Checked, CodeAttempt, NewCode, OtpServices, digits_of, sends_of
from hustlex.otp.rules import Policy
from hustlex.otp.types import (
    ChallengeRequired,
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
    Obstacle,
    OpenResult,
    Reason,
    ResendResult,
    Resent,
    SendsExhausted,
    SubjectLocked,
    Suppressed,
    Verified,
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
_UNDELIVER = load("hustlex.otp", "undeliver")
_TICKETS = load("hustlex.otp", "tickets")
_UNLOCK = load("hustlex.otp", "unlock")
_RECOGNISE = load("hustlex.otp", "recognise")

GRANT_MS = 600_000
_SAME_CODE_MS = 120_000
_WORTH_SENDING_MS = 20_000
_NOBODY = "-"
"""Stands in a sealed phone for the plus sign of a decoy, so that both have one length."""
_MAIL = "\t"
"""Begins a sealed e-mail address; no phone, and no subject of an authenticator, can begin so."""


def issue(room: OtpServices, request: NewCode, entropy: bytes, now_ms: int) -> Op[IssueResult]:
    """Open a challenge. entropy: ENTROPY random bytes."""
    purpose, policy, lane = request.purpose, room.options.policies[request.purpose], request.lane
    ref, strong = room.codes.reference(request.to), "s" if request.strong else ""
    cid, seed, keys = text_of(entropy[:16]), entropy[16:32], SubjectKeys(room.prefix, ref)
    pause, most_open = policy.cooldowns[0], policy.active if policy.binding == "challenge" else 1

    def issued(_: Reply) -> Issued:
        text = Challenge(ref, purpose, cid, room.codes.kid, LANE_TRAITS[lane] + strong).text()
        kind = Issued if request.deliver else Suppressed
        return kind(text, short_ref(cid), policy.ttl, pause, sends_of(policy, request) - 1)

    return _ISSUE.op(
        (
            _record(keys, policy, purpose, cid),
            *_open(keys, policy, purpose, lane),
            keys.sends(lane),
            keys.cool(lane),
            keys.lock(lane),
        ),
        (
            now_ms,
            cid,
            LANE_TRAITS[lane],
            request.by,
            strong,
            policy.attempts,
            to_ms(policy.ttl),
            room.keep_ms(),
            to_ms(pause),
            request.day_sends,
            most_open,
            *_fields(room, request, ref, cid, seed, entropy[32:44]),
        ),
        _reader({1: issued, 2: _subject_locked, 3: _cooldown, 4: _used_up}),
    )


def _fields(room: OtpServices, request: NewCode, ref: str, cid: str, seed: bytes, nonce: bytes) -> tuple[Arg, ...]:
    """The part of a record that the script only stores, without what is empty. A decoy costs the same, and no code is
    right for it.
    """
    policy, codes = room.options.policies[request.purpose], room.codes
    digits, bound_to = digits_of(room, policy, request.strong), cid if policy.binding == "challenge" else ref
    made = [codes.code(seed, generation, digits) for generation in range(1, sends_of(policy, request) + 1)]
    decoy = "" if request.deliver else _NOBODY + cid
    macs = b"".join(codes.mac(bound_to, request.purpose, request.context, code + decoy) for code in made)
    to = (_MAIL if "@" in request.to else "") + request.to
    sealed = codes.seal(f"{to if request.deliver else _NOBODY + to[1:]}\n{request.about}", ref, nonce)
    values: dict[str, bytes | str] = {"ctx": request.context, "cc": request.guessed}
    if policy.binding == "subject":
        values |= {"cid": cid, "kid": codes.kid}
    found = [part for pair in values.items() if pair[1] for part in pair]
    found += ("mac", macs.hex()) if room.options.layout == "plain" else in_parts("macs", macs)
    for name, value in (("to", sealed), ("uid", request.uid.encode()), ("tickets", request.ticket.encode())):
        found += in_parts(name, value)
    return ("seed", seed, "of", len(made), *found)


def resend(room: OtpServices, challenge: Challenge, ticket: str, day_sends: int, now_ms: int) -> Op[ResendResult]:
    """One more send of an open challenge. Its purpose must have a policy."""
    policy, keys = room.options.policies[challenge.purpose], SubjectKeys(room.prefix, challenge.ref)
    life_ms = to_ms(policy.ttl)
    renew_ms = _SAME_CODE_MS if policy.resend == "same" and not challenge.strong else life_ms + 1

    def resent(reply: Reply) -> Resent:
        _, renewed, life, pause, left = reply
        return Resent(challenge.text(), short_ref(challenge.cid), _ms(life), _ms(pause), left, bool(renewed))

    return _RESEND.op(
        (*_message(keys, policy, challenge), keys.lock(challenge.lane)),
        (
            now_ms,
            challenge.cid,
            challenge.traits,
            ticket,
            life_ms,
            room.keep_ms(),
            renew_ms,
            day_sends,
            *map(to_ms, policy.cooldowns),
        ),
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


def verify(room: OtpServices, attempt: CodeAttempt, now_ms: int) -> Op[Checked]:
    """Check a code. The challenge's secret is listed."""
    challenge, nonce, limits = attempt.challenge, attempt.nonce, room.options.limits
    codes = room.codes.under(challenge.kid)
    assert codes is not None
    ref, purpose = challenge.ref, challenge.purpose
    policy, keys, lane = room.options.policies[purpose], SubjectKeys(room.prefix, ref), challenge.lane
    subject = policy.binding == "subject"
    mac = codes.mac(ref if subject else challenge.cid, purpose, attempt.context, attempt.code)
    # With a nonce the secrets must come out the same again; without, the salt is one.
    secret = codes.secret("otp-grant", mac, nonce) if nonce else attempt.salt
    device = codes.secret("otp-device", mac, nonce or attempt.salt) if attempt.remember else ""

    return _VERIFY.op(
        (
            keys.subject_record(purpose) if subject else keys.record(purpose, challenge.cid),
            *_open(keys, policy, purpose, lane),
            keys.fail(lane),
            keys.lock(lane),
            keys.grant(secret),
            keys.devices,
        ),
        (
            now_ms,
            challenge.cid,
            "*" if attempt.by_phone else challenge.traits,
            mac,
            attempt.context,
            codes.nonce_mark(nonce, mac),
            purpose,
            GRANT_MS,
            device and hashed(device),
            to_ms(limits.device_ttl) if device else 0,
            limits.devices,
            *room.guard_of(lane),
        ),
        partial(_checked, challenge, secret, device, subject),
    )


def _checked(challenge: Challenge, secret: str, device: str, subject: bool, reply: Reply) -> Checked:
    status = reply[0]
    if status == 1:
        token = device_token(device) if device else ""
        grant = Grant(challenge.ref, secret).text()
        verified = Verified(grant, challenge.ref, challenge.purpose, bool(reply[1]), token)
        return Checked(verified, _text(reply[3]), at=reply[2])
    if status == 4:
        return Checked(Wrong(None if subject else reply[1], bool(reply[2])), country=_text(reply[3]))
    if status == 5:
        return Checked(Locked(), country=_text(reply[1]))
    if status == 6:
        return Checked(_subject_locked(reply), country=_text(reply[2]))
    return Checked(_gone(reply))


def open_challenge(room: OtpServices, challenge: Challenge, claim: str, now_ms: int) -> Op[OpenResult]:
    """What to send for a challenge; Gone when fewer than 20 s of its life remain. claim: who sends it, or ""."""
    policy, keys = room.options.policies[challenge.purpose], SubjectKeys(room.prefix, challenge.ref)

    def delivery(reply: Reply) -> OpenResult:
        _, seed, generation, sealed, rest, sends, strong = reply
        codes = room.codes.sealer(sealed)
        to, _, about = codes.unseal(sealed, challenge.ref).partition("\n")
        if to.startswith(_NOBODY):
            return Gone(Reason.SUPPRESSED)
        phone, email = _destination(to)
        return Delivery(
            phone,
            codes.code(seed_of(seed), generation, digits_of(room, policy, bool(strong))),
            short_ref(challenge.cid),
            challenge.purpose,
            _ms(rest),
            about,
            f"{hashed(challenge.cid)}-{generation}-{sends}",
            email,
        )

    return _OPEN.op(
        (
            _record(keys, policy, challenge.purpose, challenge.cid),
            *_open(keys, policy, challenge.purpose, challenge.lane),
        ),
        (now_ms, challenge.cid, _WORTH_SENDING_MS, claim),
        _reader({0: _unknown, 1: delivery, 2: _used, 3: _expired, 4: lambda _: Gone(Reason.CLAIMED)}),
    )


def consume_grant(room: OtpServices, grant: Grant, purpose: str, context: str, now_ms: int) -> Op[GrantResult]:
    """Spend a grant."""

    def granted(reply: Reply) -> Granted:
        phone, email = _destination(room.codes.unseal(reply[1], grant.ref).partition("\n")[0])
        return Granted(phone, grant.ref, purpose, _text(reply[2]), email=email)

    return _CONSUME_GRANT.op(
        (SubjectKeys(room.prefix, grant.ref).grant(grant.secret),),
        (now_ms, purpose, context),
        _reader({0: _unknown, 1: granted, 2: _used, 3: _expired, 4: lambda _: Mismatch()}),
    )


def keep(room: OtpServices, grant: Grant) -> Op[bool]:
    """A write that changes nothing that matters: whoever waits for it waits for the grant, too, if it is there still.
    Whether the grant is good is written in it."""
    key = SubjectKeys(room.prefix, grant.ref).grant(grant.secret)
    return command("otp.keep", Effect.IDEMPOTENT, "PEXPIRE", key, GRANT_MS, keys=(key,), decode=bool)


def cancel(room: OtpServices, challenge: Challenge, unsent: bool) -> Op[str | None]:
    """Void an open challenge. None when there was nothing to void; else the ticket to give back, or ""."""
    policy, keys = room.options.policies[challenge.purpose], SubjectKeys(room.prefix, challenge.ref)
    return _CANCEL.op(
        _message(keys, policy, challenge),
        (challenge.cid, int(unsent)),
        _ticket,
    )


def undeliver(room: OtpServices, challenge: Challenge, unqueued: bool) -> Op[str | None]:
    """Give the last send back, unqueued: with its pause. None when there is none; else the ticket that goes with it."""
    policy, keys = room.options.policies[challenge.purpose], SubjectKeys(room.prefix, challenge.ref)
    return _UNDELIVER.op(
        (
            _record(keys, policy, challenge.purpose, challenge.cid),
            keys.sends(challenge.lane),
            keys.cool(challenge.lane),
        ),
        (challenge.cid, int(unqueued)),
        _ticket,
    )


def subject_kid(room: OtpServices, ref: str, purpose: str) -> Op[str | None]:
    """Which secret a subject's code was made with; None when there is none."""
    key = SubjectKeys(room.prefix, ref).subject_record(purpose)
    return command(
        "otp.kid", Effect.READ, "HGET", key, "kid", keys=(key,), decode=lambda reply: _text(reply) if reply else None
    )


def last_ticket(room: OtpServices, challenge: Challenge) -> Op[str | None]:
    """The ticket of a challenge's last message; None when it is not open."""
    policy, keys = room.options.policies[challenge.purpose], SubjectKeys(room.prefix, challenge.ref)
    return _TICKETS.op((_record(keys, policy, challenge.purpose, challenge.cid),), (challenge.cid,), _ticket)


def recognise(room: OtpServices, ref: str, device: str, now_ms: int) -> Op[bool]:
    """Whether a device, by the mark of its token, is one of this phone's."""
    return _RECOGNISE.op((SubjectKeys(room.prefix, ref).devices,), (now_ms, device), lambda reply: bool(reply[0]))


def unlock(room: OtpServices, ref: str, lane: Lane) -> Op[bool]:
    """Forget a lane's lock and wrong codes. True when there were any."""
    keys = SubjectKeys(room.prefix, ref)
    return _UNLOCK.op((keys.fail(lane), keys.lock(lane)), (), lambda reply: bool(reply[0]))


def _record(keys: SubjectKeys, policy: Policy, purpose: str, cid: str) -> str:
    return keys.subject_record(purpose) if policy.binding == "subject" else keys.record(purpose, cid)


def _message(keys: SubjectKeys, policy: Policy, challenge: Challenge) -> tuple[str, ...]:
    """Record, where it is listed, and where its messages are counted."""
    purpose, lane = challenge.purpose, challenge.lane
    opened = _open(keys, policy, purpose, lane)
    return _record(keys, policy, purpose, challenge.cid), *opened, keys.sends(lane), keys.cool(lane)


def _destination(to: str) -> tuple[str, str]:
    """A phone and "", or "" and an e-mail address."""
    return ("", to.removeprefix(_MAIL)) if to.startswith(_MAIL) else (to, "")


def _open(keys: SubjectKeys, policy: Policy, purpose: str, lane: CountedLane) -> tuple[str, str]:
    """Where an open challenge is listed. Bound to the subject there is one, which either lane may check."""
    listed = lane if policy.binding == "challenge" else "anon"
    return keys.sends(listed), keys.active(purpose, listed)


def _reader(cases: dict[int, Callable[[Reply], T]]) -> Callable[[Reply], T]:
    def decode(reply: Reply) -> T:
        case = cases.get(reply[0])
        if case is None:
            raise BadReply(f"status {reply[0]!r} is not in the contract")
        return case(reply)

    return decode


def _ticket(reply: Reply) -> str | None:
    return _text(reply[1]) if reply[0] else None


def _gone(reply: Reply) -> Gone:
    return _reader({0: _unknown, 2: _used, 3: _expired})(reply)


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


def _used_up(reply: Reply) -> DailyCap | ChallengeRequired:
    return ChallengeRequired(Obstacle.USED_UP, _ms(reply[1])) if reply[2] else _daily_cap(reply)


def _ms(milliseconds: int) -> timedelta:
    return timedelta(milliseconds=milliseconds)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
