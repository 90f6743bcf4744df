"""The verbs as the caller sees them: arguments are checked and read here, most nonsense ends before any round trip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, TypeVar

import msgspec

from hustlex.core import check
from hustlex.core.check import Id
from hustlex.core.context import Context, context_digest
from hustlex.core.durability.level import Committed, briefly
from hustlex.core.op import Durable, Flow, Op, do
from hustlex.core.outcome import Secretive
from hustlex.errors import Misuse, Refused
from hustlex.otp import arguments, caps, email, ops, reservations
from hustlex.otp.caps import Admission
from hustlex.otp.codes import typed_digits
from hustlex.otp.email import Email, Mailbox
from hustlex.otp.event_recorder import EventRecorder
from hustlex.otp.names import Challenge, Grant, Lane, device_mark, parse_challenge, parse_grant
from hustlex.otp.phone import Phone, normalise
from hustlex.otp.room import Checked, CodeAttempt, NewCode, OtpServices, digits_of
from hustlex.otp.rules import Risk
from hustlex.otp.types import (
    ChallengeRequired,
    DailyCap,
    DeliveryStatus,
    DestinationBlocked,
    Gone,
    Granted,
    GrantResult,
    InvalidEmail,
    InvalidPhone,
    Issued,
    IssueResult,
    Malformed,
    Obstacle,
    OpenResult,
    Reason,
    ResendResult,
    SubjectLocked,
    Verified,
    VerifyResult,
)

T = TypeVar("T")


class IssueRequest(Secretive, frozen=True, eq=False):
    """What ``issue`` was called with."""

    phone: str | Email
    purpose: str
    ctx: Context | None = None
    about: str = ""
    ip: str | None = None
    lane: Lane = "anon"
    device: str = ""
    uid: Id = ""
    deliver: bool = True
    risk: Risk | None = None
    human: bool = False
    hidden: ClassVar[frozenset[str]] = frozenset({"phone", "ctx", "about", "ip", "device", "uid"})


class VerifyRequest(Secretive, frozen=True, eq=False):
    """What ``verify`` was called with. salt: random text."""

    code: str
    ctx: Context | None = None
    nonce: str | None = None
    ip: str | None = None
    remember: bool = False
    salt: str = ""
    hidden: ClassVar[frozenset[str]] = frozenset({"code", "ctx", "nonce", "ip", "salt"})


def issue(room: OtpServices, ask: IssueRequest, entropy: bytes, now_ms: int) -> Flow[IssueResult]:
    """Read the phone, ask the caps, then open a challenge."""
    policy = arguments.policy(room.options.policies, ask.purpose)
    arguments.asked(ask)
    recorder = EventRecorder(room, "issue", purpose=ask.purpose, ip=ask.ip)
    if policy.needs_context and ask.ctx is None:
        raise Misuse(f"purpose {ask.purpose!r} needs ctx", hint="name what is being approved")
    digest = context_digest(ask.ctx)
    to = read_destination(room, ask.phone)
    if not isinstance(to, Phone | Mailbox):
        yield from _nonsense(room, ask.ip, now_ms)
        return recorder.end(to)
    recorder.to(to)
    if isinstance(to, Phone) and ask.risk and ask.risk.sim_swap is not None and ask.risk.sim_swap < policy.sim_age:
        return recorder.end(ChallengeRequired(Obstacle.SIM_SWAP))
    lane = yield from _lane(room, ask, to, now_ms)
    places = reservations.places(room.codes, to, ask.ip, lane)
    admitted = yield from caps.admit(room, places, ask.human, now_ms)
    if not isinstance(admitted, Admission):
        return recorder.end(admitted)
    asked = _asked(room, ask, _request(room, ask, to, digest, lane, admitted), to.known)
    tries = (ops.issue(room, request, entropy, now_ms) for request in asked)
    return (yield from _send(room, tries, admitted, recorder, now_ms))


def read_destination(
    room: OtpServices, to: str | Email
) -> Phone | Mailbox | InvalidPhone | InvalidEmail | DestinationBlocked:
    """Where a code is to go."""
    return email.read(to, room.options.mailboxes) if isinstance(to, Email) else normalise(to, room.options.numbers)


def _lane(room: OtpServices, ask: IssueRequest, to: Phone | Mailbox, now_ms: int) -> Flow[Lane]:
    """Known by the caller's word, or by a device token of this phone."""
    mark = device_mark(ask.device)
    if ask.lane == "known" or not mark:
        return ask.lane
    ours = yield from do(ops.recognise(room, room.codes.reference(to.number), mark, now_ms))
    return "known" if ours else "anon"


def _request(
    room: OtpServices, ask: IssueRequest, to: Phone | Mailbox, digest: str, lane: Lane, admitted: Admission
) -> NewCode:
    return NewCode(
        to.number,
        ask.purpose,
        digest,
        lane,
        arguments.uid(ask.uid),
        ask.about,
        ask.deliver,
        admitted.strong,
        reservations.domain_tag(room.codes, to) if isinstance(to, Mailbox) else to.country,
        admitted.ticket,
        _of_day(room.options.limits.sends, to.known),
    )


def _asked(room: OtpServices, ask: IssueRequest, first: NewCode, usual: bool) -> Iterator[NewCode]:
    """As asked; then, for strangers whose lane is used up or locked, in lane extra."""
    yield first
    extra = room.options.limits.extra
    if first.lane == "known" or not extra or room.options.policies[ask.purpose].binding == "subject":
        return
    takers = [] if ask.ip is None else [reservations.taker(room.codes, ask.ip)]
    for by in [*takers, "h"] if ask.human else takers:
        day_sends = _of_day(extra, usual)
        yield msgspec.structs.replace(first, lane="extra", strong=True, by=by, day_sends=day_sends)


def resend(room: OtpServices, challenge: str, ip: str | None, human: bool, now_ms: int) -> Flow[ResendResult]:
    """Send an open challenge once more."""
    arguments.address(ip)
    check.flag("human", human)
    known, recorder = _known(room, challenge), EventRecorder(room, "resend", ip=ip)
    if known is None:
        yield from _nonsense(room, ip, now_ms)
        return recorder.end(Gone(Reason.UNKNOWN))
    recorder.challenge(known)
    ticket = yield from do(ops.last_ticket(room, known))
    places = reservations.places_of(ticket or "")
    usual = all(place.usual for place in places)
    if ticket is not None and ip is not None and not any(place.known for place in places):
        places.append(reservations.address(room.codes, ip, usual))
    admitted = yield from caps.admit(room, places, human, now_ms)
    if not isinstance(admitted, Admission):
        return recorder.end(admitted)
    op = ops.resend(room, known, admitted.ticket, _of_day(room.options.limits.sends, usual), now_ms)
    return (yield from _send(room, [op], admitted, recorder, now_ms))


def _send(
    room: OtpServices, tries: Iterable[Op[T]], admitted: Admission, recorder: EventRecorder, now_ms: int
) -> Flow[T]:
    """Ask the phone; what it refuses costs the caps nothing."""
    try:
        result = yield from _first(tries)
    except Refused:
        yield from caps.give_back(room, admitted.units, now_ms)
        raise
    if not isinstance(result, Issued):
        yield from caps.give_back(room, admitted.units, now_ms)
    else:
        recorder.challenge(parse_challenge(result.challenge))
        room.outcomes.sent(admitted.units)
        recorder.also(admitted.events)
        recorder.also((yield from room.outcomes.flush(room.options, room.prefix, now_ms)))
    return recorder.end(result)


def _first(tries: Iterable[Op[T]]) -> Flow[T]:
    """The first answer that is not of a lane which is used up or locked; if all are, when the soonest is not."""
    refused: list[Any] = []
    for op in tries:
        result = yield from do(op)
        if not isinstance(result, DailyCap | SubjectLocked | ChallengeRequired):
            return result
        refused.append(result)
    refusal: Any = refused[-1] if isinstance(refused[-1], ChallengeRequired) else refused[0]
    at_last: T = msgspec.structs.replace(refusal, retry_after=min(each.retry_after for each in refused))
    return at_last


def verify(room: OtpServices, challenge: str, answer: VerifyRequest, now_ms: int) -> Flow[VerifyResult]:
    """Check a code for the challenge it was sent for."""
    arguments.answered(answer)
    known = _known(room, challenge)
    sizes = (digits_of(room, room.options.policies[known.purpose], known.strong),) if known else ()
    return (yield from _check(room, known, answer, sizes, False, now_ms))


def verify_phone(
    room: OtpServices, phone: str | Email, purpose: str, lane: Lane, answer: VerifyRequest, now_ms: int
) -> Flow[VerifyResult]:
    """Check a code for the one challenge that a phone has under subject binding."""
    arguments.answered(answer)
    arguments.destination(phone)
    policy = arguments.policy(room.options.policies, purpose)
    if policy.binding != "subject":
        raise Misuse(f"codes of purpose {purpose!r} are bound to their challenge", hint="call verify(challenge, code)")
    arguments.lane(lane)
    to = read_destination(room, phone)
    traits = "k" if lane == "known" else ""
    target = None
    if isinstance(to, Phone | Mailbox):
        ref = room.codes.reference(to.number)
        target = Challenge(ref, purpose, "", (yield from _kid(room, ref, purpose)), traits)
    sizes = tuple({digits_of(room, policy, strong) for strong in (False, True)})
    return (yield from _check(room, target, answer, sizes, True, now_ms))


def _kid(room: OtpServices, ref: str, purpose: str) -> Flow[str]:
    """Which secret a subject's code was made with. Asked only where there are several: else it can be but one."""
    made = None if room.codes.alone else (yield from do(ops.subject_kid(room, ref, purpose)))
    return made if made and room.codes.under(made) else room.codes.kid


def _check(
    room: OtpServices,
    challenge: Challenge | None,
    answer: VerifyRequest,
    sizes: tuple[int, ...],
    by_phone: bool,
    now_ms: int,
) -> Flow[VerifyResult]:
    recorder, digest = EventRecorder(room, "verify", ip=answer.ip), context_digest(answer.ctx)
    if challenge is None:
        yield from _nonsense(room, answer.ip, now_ms)
        return recorder.end(Gone(Reason.UNKNOWN))
    recorder.challenge(challenge)
    digits = next((read for size in sizes if (read := typed_digits(answer.code, size))), None)
    if digits is None:
        yield from _nonsense(room, answer.ip, now_ms)
        return recorder.end(Malformed())
    attempt = CodeAttempt(challenge, digits, digest, answer.nonce or "", answer.salt, answer.remember, by_phone)
    checked = yield from do(ops.verify(room, attempt, now_ms))
    result = yield from waited(room, checked.result)
    yield from _learn(room, checked, answer.ip, recorder, now_ms)
    return recorder.end(result)


def waited(room: OtpServices, result: VerifyResult) -> Flow[VerifyResult]:
    """Wait until a right code is as safe as its purpose wants."""
    if not isinstance(result, Verified):
        return result
    known = parse_grant(result.grant)
    return msgspec.structs.replace(result, durable=(yield from _durable(room, result.purpose, known)))


def _durable(room: OtpServices, purpose: str, grant: Grant | None) -> Flow[bool | None]:
    durability = briefly(room.options.policies[purpose].durability)
    if durability is None or grant is None:
        return None
    answers: list[Any] = yield Durable((ops.keep(room, grant),), durability)
    return isinstance(answers[0], Committed) and answers[0].reached and answers[0].value


def _learn(room: OtpServices, checked: Checked, ip: str | None, recorder: EventRecorder, now_ms: int) -> Flow[None]:
    """Let caps and breakers know what became of a code."""
    if room.options.caps is None:
        return
    if checked.tickets:
        room.outcomes.verified(checked.tickets)
        recorder.verified(checked.tickets, checked.at)
    elif checked.country:
        recorder.place(checked.country)
        room.outcomes.wrong(checked.country)
    elif ip is not None and isinstance(checked.result, Gone) and checked.result.reason is Reason.UNKNOWN:
        room.outcomes.nonsense(reservations.address(room.codes, ip))
    recorder.also((yield from room.outcomes.flush(room.options, room.prefix, now_ms)))


def _nonsense(room: OtpServices, ip: str | None, now_ms: int) -> Flow[None]:
    """What can never work costs its address one unit."""
    if ip is not None and room.options.caps is not None:
        room.outcomes.nonsense(reservations.address(room.codes, ip))
        yield from room.outcomes.flush(room.options, room.prefix, now_ms)


def open_challenge(room: OtpServices, challenge: str, claim: str, now_ms: int) -> Flow[OpenResult]:
    """Derive what to send for a challenge."""
    check.typed("claim", claim)
    known, recorder = _known(room, challenge), EventRecorder(room, "open")
    if known is None:
        return Gone(Reason.UNKNOWN)
    recorder.challenge(known)
    result = yield from do(ops.open_challenge(room, known, claim, now_ms))
    return recorder.end(result) if claim else result


def consume_grant(room: OtpServices, grant: str, purpose: str, ctx: Context | None, now_ms: int) -> Flow[GrantResult]:
    """Spend a grant."""
    arguments.policy(room.options.policies, purpose)
    digest, known = context_digest(ctx), parse_grant(check.typed("grant", grant))
    recorder = EventRecorder(room, "grant", purpose=purpose)
    if known is None:
        return recorder.end(Gone(Reason.UNKNOWN))
    recorder.subject(known.ref)
    result = yield from do(ops.consume_grant(room, known, purpose, digest, now_ms))
    if isinstance(result, Granted):
        result = msgspec.structs.replace(result, durable=(yield from _durable(room, purpose, known)))
    return recorder.end(result)


def cancel(room: OtpServices, challenge: str, unsent: bool, now_ms: int) -> Flow[bool]:
    """Void an open challenge."""
    check.flag("unsent", unsent)
    known = _known(room, challenge)
    if known is None:
        return False
    ticket = yield from do(ops.cancel(room, known, unsent))
    yield from caps.give_back(room, reservations.read(ticket or ""), now_ms, sent=True)
    return ticket is not None


def delivery_report(room: OtpServices, challenge: str, status: DeliveryStatus, channel: str, now_ms: int) -> Flow[bool]:
    """Give a message back that reached nobody."""
    check.one_of("status", status, list(DeliveryStatus))
    arguments.channel(channel)
    known, recorder = _known(room, challenge), EventRecorder(room, "report")
    if known is None:
        return False
    recorder.challenge(known)
    recorder.note(str(status), channel=channel)
    if status not in (DeliveryStatus.FAILED, DeliveryStatus.UNQUEUED):
        return False
    unqueued = status == DeliveryStatus.UNQUEUED
    ticket = yield from do(ops.undeliver(room, known, unqueued))
    yield from caps.give_back(room, reservations.read(ticket or ""), now_ms, sent=True, but_ip=not unqueued)
    return ticket is not None


def unlock(room: OtpServices, phone: str | Email, lane: Lane) -> Flow[bool]:
    """Forget a lane's lock and wrong codes."""
    arguments.lane(lane)
    arguments.destination(phone)
    to, recorder = read_destination(room, phone), EventRecorder(room, "unlock", lane=lane)
    if not isinstance(to, Phone | Mailbox):
        raise Misuse("this is not a phone or address that is served", hint="pass it as the user typed it, or in E.164")
    recorder.to(to)
    done = yield from do(ops.unlock(room, room.codes.reference(to.number), lane))
    recorder.note("unlocked" if done else "unknown")
    return done


def _of_day(sends: int, usual: bool) -> int:
    return sends if usual else max(1, sends // 4)


def _known(room: OtpServices, challenge: str) -> Challenge | None:
    """The challenge, unless it is not one of ours; what a client sends never raises."""
    parsed = parse_challenge(check.typed("challenge", challenge))
    served = parsed is not None and parsed.purpose in room.options.policies and room.codes.under(parsed.kid)
    return parsed if served else None
