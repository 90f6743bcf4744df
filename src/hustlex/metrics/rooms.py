"""What the rooms' answers and events count as. Goes by the words of the answers: no room is imported for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from hustlex.core.telemetry import DoorEnd
from hustlex.metrics.families import Families

Counted = Iterable[tuple[str, tuple[str, ...]]]
"""Counters and the values of their labels, one more of each."""

_CAPITALS = re.compile(r"(?<!^)(?=[A-Z])")
_WORDS: dict[str, str] = {}
_MOST_POLICIES = 8


def word(name: str) -> str:
    """A class as a label: ``QueueFull`` is queue_full."""
    if name not in _WORDS:
        _WORDS[name] = _CAPITALS.sub("_", name).lower()
    return _WORDS[name]


def _outcome(door: DoorEnd) -> str:
    """The answer's class, or "error" for whatever was raised."""
    return "error" if door.error else word(type(door.answer).__name__)


def _reason(door: DoorEnd, good: str) -> str:
    """Why not; ``good`` when there is nothing against it."""
    return "error" if door.error else str(getattr(door.answer, "reason", good))


def _check(_: Any, door: DoorEnd) -> Counted:
    reason = _reason(door, "")
    yield "token_checks_total", ("rejected" if reason else "ok", reason)


def _refresh(_: Any, door: DoorEnd) -> Counted:
    reason = _reason(door, str(getattr(door.answer, "how", "ok")))
    yield "token_refreshes_total", (reason,)
    if reason == "reuse_detected":
        yield "token_theft_total", ()


def _decision(about: Any, door: DoorEnd) -> Counted:
    if not door.error:
        yield "ratelimit_decisions_total", (_policy(about), str(door.answer.outcome), str(door.answer.source))


def _policy(about: Any) -> str:
    named = about if isinstance(about, (list, tuple)) else (about,)
    return "+".join(str(getattr(each, "name", "?")) for each in named[:_MOST_POLICIES])


def _decided(_: Any, door: DoorEnd) -> Counted:
    """Of several callers: each by the policy that decided."""
    for part in () if door.error else door.answer.parts or (door.answer,):
        yield "ratelimit_decisions_total", (str(part.policy), str(part.outcome), str(part.source))


def refused(name: str, about: Any, door: DoorEnd) -> tuple[str, str] | None:
    """Policy and caller of a check that was refused; nobody's where the server could not be asked."""
    answer = door.answer
    if door.error or answer.allowed or answer.degraded:
        return None
    return _policy(about) if name == "ratelimit.check" else str(answer.policy), answer.caller


def _enqueued(about: Any, door: DoorEnd) -> Counted:
    queue = getattr(door.answer, "queue", "") or getattr(about, "options", {}).get("queue", "default")
    yield "enqueued_total", (str(queue), _outcome(door))


def count_many(families: Families, door: DoorEnd) -> None:
    """Jobs that were enqueued at once: one addition for each queue and outcome."""
    answers = [] if door.error else door.answer
    found = Counter((str(getattr(each, "queue", "") or "default"), word(type(each).__name__)) for each in answers)
    for labels, times in found.items():
        families["enqueued_total"].add(labels, times)


def _event(about: Any, door: DoorEnd) -> Counted:
    yield "webhook_events_total", (str(getattr(about, "name", "?")), _outcome(door))


def _settled(good: str) -> Callable[[Any, DoorEnd], Counted]:
    """What became of claims. False: the claim was lost, or nothing could be kept."""

    def count(_: Any, door: DoorEnd) -> Counted:
        yield "idempotency_settled_total", ("error" if door.error else good if door.answer else "lost",)

    return count


def _by_outcome(metric: str) -> Callable[[Any, DoorEnd], Counted]:
    return lambda _, door: ((metric, (_outcome(door),)),)


def _by_kind(kind: str) -> Callable[[Any, DoorEnd], Counted]:
    return lambda _, door: () if door.error else (("token_revocations_total", (kind,)),)


COUNTED: Mapping[str, Callable[[Any, DoorEnd], Counted]] = {
    "tokens.check": _check,
    "tokens.introspect": _check,
    "tokens.login": _by_outcome("token_logins_total"),
    "tokens.refresh": _refresh,
    "tokens.logout": _by_kind("logout"),
    "tokens.revoke_token": _by_kind("token"),
    "tokens.revoke_session": _by_kind("session"),
    "tokens.revoke_all": _by_kind("all"),
    "ratelimit.check": _decision,
    "ratelimit.check_all": _decided,
    "jobs.enqueue": _enqueued,
    "pins.verify": _by_outcome("pin_attempts_total"),
    "idempotency.begin": _by_outcome("idempotency_total"),
    "idempotency.run": _by_outcome("idempotency_total"),
    "idempotency.begin_event": _event,
    "idempotency.complete": _settled("kept"),
    "idempotency.abandon": _settled("given_back"),
    "idempotency.settle": _settled("settled"),
    "idempotency.settle_event": _settled("settled"),
}
"""By door."""


def noted(families: Families, event: Any) -> None:
    """What a room tells of itself, by the name of its class."""
    tell = _NOTED.get(type(event).__name__)
    if tell is not None:
        tell(families, event)


def _code(families: Families, event: Any) -> None:
    if step := _step(event):
        families["otp_steps_total"].add((step, event.country or "?"))
    for metric, labels in _of_codes(event):
        families[metric].add(tuple(str(getattr(event, label)) for label in labels))
    if event.event == "budget":
        families["otp_budget_ratio"].put(event.percent / 100, (event.country,))
    if event.age:
        families["otp_time_to_verify_seconds"].observe(event.age)


def _step(event: Any) -> str:
    """How far a code came; "" for what is no step: wrong codes, decoys."""
    if event.event in ("issue", "resend") and event.outcome != "suppressed":
        return "sent" if event.outcome in ("sent", "resent") else "refused"
    return str(event.outcome) if (event.event, event.outcome) in _GOOD else ""


_GOOD = (("report", "delivered"), ("verify", "verified"))


def _batch(families: Families, relayed: Any) -> None:
    for outcome in ("enqueued", "duplicates", "parked", "left"):
        if times := getattr(relayed, outcome):
            families["outbox_relayed_total"].add((outcome,), times)


def _outbox(families: Families, standing: Any) -> None:
    families["outbox_pending"].put(standing.pending)
    families["outbox_lag_seconds"].put(standing.lag_s)


_NOTED: Mapping[str, Callable[[Families, Any], None]] = {
    "OtpEvent": _code,
    "Relayed": _batch,
    "OutboxStanding": _outbox,
}


def _of_codes(event: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    if event.event == "issue":
        yield "otp_issue_total", ("purpose", "outcome", "country")
    if event.event == "resend":
        yield "otp_resend_total", ("purpose", "outcome")
    if event.event in ("verify", "totp"):
        yield f"otp_{event.event}_total", ("purpose", "outcome", "lane")
    if event.event == "open" and event.outcome != "delivery":
        yield "otp_send_dropped_total", ("outcome",)
    if event.event == "report":
        yield "otp_delivery_total", ("outcome", "channel")
    if event.event == "guesses":
        yield "otp_guessing_total", ("country",)
    if event.unusual:
        yield "otp_unusual_number_total", ("country",)
    if event.scope:
        yield "otp_refused_total", ("outcome", "scope")
