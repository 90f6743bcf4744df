"""One person's timeline, and sentences that answer what people call about: made of what the rooms keep anyway."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import unquote

import msgspec

from hustlex.core.words import duration
from hustlex.idempotency import ClaimState
from hustlex.jobs import State, TaskInfo
from hustlex.otp import PhoneState
from hustlex.people.notes import AuditEntry
from hustlex.people.person import PersonLimit, PersonState
from hustlex.pins import PinState

_LANES = {
    "anon": "strangers and new devices",
    "known": "devices that proved themselves",
    "extra": "strangers, in the extra lane",
}
_ENDED = {
    "logout": "Logged out by the person.",
    "revoked": "Logged out by the application or an operator.",
    "reuse": "Logged out, because a refresh token was used twice: it may be in two hands.",
    "client": "Logged out, because another application showed its refresh token.",
    "binding": "Logged out, because its refresh token came without the key that it is bound to.",
    "evicted": "Logged out by a login: there were as many sessions as are allowed.",
    "idle": "Logged out, because it was not used for too long.",
    "absolute": "Logged out at the end of its longest life.",
    "revoke_all": "Logged out everywhere: all that was issued up to then is void.",
    "gone": "Logged out; why is not kept any more.",
}
_SOON = timedelta(minutes=10)
"""Two payments by two keys within it look like one that was made twice."""
_MOST_ENTRIES = 60


class TimelineEntry(msgspec.Struct, frozen=True):
    """What happened, or will."""

    at: datetime
    room: str
    state: str
    """A badge: ok, info, warn or fail."""
    words: str
    """Ours."""
    about: str = ""
    """What somebody else wrote: shown as far as the formatter lets it."""
    kind: str = "name"
    """Of what somebody else wrote, for the formatter."""


class PersonAnswer(msgspec.Struct, frozen=True):
    """What a person says, and what explains it."""

    question: str
    sentences: tuple[str, ...]


def timeline(found: PersonState, now: datetime) -> list[TimelineEntry]:
    """Newest first; what lies ahead, as the end of a lock, stands at the top. At most 60 entries."""
    entries = [*_sessions(found), *_notes(found.notes)]
    if found.codes is not None:
        entries += [*_sends(found), *_codes(found.codes, now)]
    if found.pin is not None and found.pin.locked_for:
        words = "Until then no PIN is taken: too many were wrong."
        entries.append(TimelineEntry(now + found.pin.locked_for, "PIN", "fail", words))
    entries += [_claim(claim, now) for claim in _claims(found)]
    entries += [entry for limit in found.limits for entry in _limit(limit, now)]
    entries += [entry for task in (found.tasks.tasks if found.tasks else ()) for entry in _task(task)]
    return sorted(entries, key=lambda entry: entry.at, reverse=True)[:_MOST_ENTRIES]


def answers(found: PersonState) -> list[PersonAnswer]:
    """To each question that can be answered by what was looked at."""
    given: list[tuple[str, list[str]]] = []
    if found.sessions is not None and found.pin is not None:
        given += [("I was logged out", list(_why_out(found))), ("My PIN is not taken", list(_why_no_pin(found.pin)))]
    if found.codes is not None:
        given.append(("I got no code", list(_why_no_code(found.codes))))
    if found.claims is not None:
        given.append(("I was charged twice", list(_why_twice(found))))
    if found.limits:
        given.append(("I am refused", list(_why_refused(found.limits))))
    return [PersonAnswer(question, tuple(said)) for question, said in given]


# -- answers


def _why_out(found: PersonState) -> Iterator[str]:
    assert found.sessions is not None
    if not found.sessions.sessions:
        yield "Nobody is logged in as this user."
    if found.sessions.revoked_before is not None:
        line = f"{found.sessions.revoked_before:%Y-%m-%d %H:%M:%S} UTC"
        yield f"Everything issued up to {line} was revoked: who was logged in had to log in anew."
    for why in dict.fromkeys(each.why for each in found.ended if each.session_id and each.why != "revoke_all"):
        yield _ENDED.get(why, _ENDED["gone"])


def _why_no_pin(pin: PinState) -> Iterator[str]:
    if pin.locked_for:
        yield f"The PIN is locked for {duration(pin.locked_for)}, after too many wrong attempts."
    elif pin.wrong:
        yield f"{pin.wrong} wrong PINs since the last right one; {pin.left} more lock it."


def _why_no_code(state: PhoneState) -> Iterator[str]:
    for lane in state.lanes:
        who = _LANES[lane.lane]
        if lane.locked_for:
            yield f"For {who} it is locked for {duration(lane.locked_for)}, after too many wrong codes: none is sent."
        elif lane.wrong:
            over = ": it was locked for that, which is over" if lane.locks else ""
            count = "1 wrong code was" if lane.wrong == 1 else f"{lane.wrong} wrong codes were"
            yield f"For {who} {count} typed in 24 hours{over}."
        if lane.next_send_in:
            yield f"For {who} the next code may be sent in {duration(lane.next_send_in)}."
    for scope in state.scopes:
        if scope.used >= scope.most:
            yield f"The cap of its {scope.scope} is used up: {scope.used} of {scope.most}."
        if scope.slowed:
            yield f"Codes of its {scope.scope} are slowed down: {scope.sent} sent in an hour, {scope.verified} typed."
    if sent := sum(lane.sends for lane in state.lanes):
        count = "1 message was" if sent == 1 else f"{sent} messages were"
        yield f"{count} handed over for delivery in 24 hours: the provider's log tells what became of that."
    if state.open:
        yield "1 code can still be used." if len(state.open) == 1 else f"{len(state.open)} codes can still be used."


def _why_twice(found: PersonState) -> Iterator[str]:
    claims = _claims(found)
    paid = [claim for claim in claims if 200 <= claim.status < 300]
    paid.sort(key=lambda claim: (_route(claim), claim.age))
    for late, early in pairwise(paid):
        apart = early.age - late.age
        if _route(late) == _route(early) and apart <= _SOON:
            yield f"{_route(late)} succeeded twice within {duration(apart)}, by two keys: to the server these are two."
    for claim in claims:
        if claim.state == "lapsed":
            yield f"{_route(claim)} began and never ended: it may have happened, ask the provider."
        if claim.fence > 1:
            yield f"{_route(claim)} was begun {claim.fence} times, as its first owner was lost on the way."


def _why_refused(limits: tuple[PersonLimit, ...]) -> Iterator[str]:
    for limit in limits:
        if not limit.decision.allowed:
            until = duration(limit.decision.retry_after)
            yield f"{limit.name} is {limit.decision.outcome} for {until}, by {limit.decision.policy}."


# -- entries


def _sessions(found: PersonState) -> Iterator[TimelineEntry]:
    for each in found.sessions.sessions if found.sessions else ():
        device = each.device or each.client_id
        yield TimelineEntry(each.created_at, "Sessions", "ok", "Logged in, and still is:", device, "user")
    for over in found.ended:
        yield TimelineEntry(over.at, "Sessions", "warn", _ENDED.get(over.why, _ENDED["gone"]))
    told = any(over.why == "revoke_all" for over in found.ended)
    if found.sessions and found.sessions.revoked_before is not None and not told:
        yield TimelineEntry(found.sessions.revoked_before, "Sessions", "warn", _ENDED["revoke_all"])


def _sends(found: PersonState) -> Iterator[TimelineEntry]:
    for lane, times in found.sends.items():
        for at in times:
            yield TimelineEntry(at, "Codes", "ok", f"A code was sent to {_LANES[lane]}.")


def _codes(state: PhoneState, now: datetime) -> Iterator[TimelineEntry]:
    for lane in state.lanes:
        who = _LANES[lane.lane]
        if lane.locked_for:
            words = f"Until then no code is sent to {who}, and none is taken: too many were wrong."
            yield TimelineEntry(now + lane.locked_for, "Codes", "fail", words)
        if lane.next_send_in:
            words = f"Until then no other code is sent to {who}."
            yield TimelineEntry(now + lane.next_send_in, "Codes", "warn", words)
    for code in state.open:
        yield TimelineEntry(now + code.expires_in, "Codes", "info", "Until then a code can be used, for", code.purpose)


def _claim(claim: ClaimState, now: datetime) -> TimelineEntry:
    state, words = {
        "running": ("info", "A request began, and runs:"),
        "lapsed": ("fail", "A request began and never ended, its effect is not known:"),
    }.get(claim.state, ("ok", f"A request was answered with {claim.status}:"))
    again = f" (begun {claim.fence} times)" if claim.fence > 1 else ""
    return TimelineEntry(now - claim.age, "Payments", "warn" if again and state == "ok" else state, words,
                         f"{_route(claim)}{again}")  # fmt: skip


def _limit(limit: PersonLimit, now: datetime) -> Iterator[TimelineEntry]:
    if not limit.decision.allowed:
        words = f"Until then refused ({limit.decision.outcome}):"
        yield TimelineEntry(now + limit.decision.retry_after, "Limits", "fail", words, limit.name)


def _task(task: TaskInfo) -> Iterator[TimelineEntry]:
    if task.last_failed_at:
        yield TimelineEntry(task.last_failed_at, "Tasks", "fail", f"{task.type} failed:", task.last_error, "error")
    if task.completed_at:
        yield TimelineEntry(task.completed_at, "Tasks", "ok", "Done:", task.type)
    if task.next_process_at and task.state in (State.SCHEDULED, State.RETRY):
        yield TimelineEntry(task.next_process_at, "Tasks", "info", "Starts:", task.type)


def _notes(notes: tuple[AuditEntry, ...]) -> Iterator[TimelineEntry]:
    for note in notes:
        at = datetime.fromtimestamp(int(note.id.split("-")[0]) / 1000, UTC)
        phase, verb, name = (note.fields.get(field, "") for field in ("phase", "verb", "name"))
        yield TimelineEntry(at, "Console", "info" if phase == "done" else "warn", f"{verb}: {phase}, by", name, "user")


# -- claims


def _claims(found: PersonState) -> tuple[ClaimState, ...]:
    return found.claims.claims if found.claims else ()


def _route(claim: ClaimState) -> str:
    """Of its record, which ends in the user's stand-in, the route and a digest of the key."""
    return unquote(claim.record.rpartition(":")[0].rpartition(":")[2])
