"""What the rooms' answers and events count as. Goes by the words of the answers: no room is imported for it."""

from __future__ import annotations

import re
import weakref
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
    if door.error:
        return
    named = about if isinstance(about, (list, tuple)) else (about,)
    policy = "+".join(str(getattr(each, "name", "?")) for each in named[:_MOST_POLICIES])
    yield "ratelimit_decisions_total", (policy, str(door.answer.outcome), str(door.answer.source))


def _enqueued(about: Any, door: DoorEnd) -> Counted:
    queue = getattr(door.answer, "queue", "") or getattr(about, "options", {}).get("queue", "default")
    yield "enqueued_total", (str(queue), _outcome(door))


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
    "jobs.enqueue": _enqueued,
    "pins.verify": _by_outcome("pin_attempts_total"),
    "idempotency.begin": _by_outcome("idempotency_total"),
    "idempotency.run": _by_outcome("idempotency_total"),
    "idempotency.begin_event": _by_outcome("webhook_events_total"),
}
"""By door."""


def noted(families: Families, event: Any) -> None:
    """An ``OtpEvent``."""
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
    return "verified" if (event.event, event.outcome) == ("verify", "verified") else ""


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


class Pulled:
    """What fronts count by themselves, and tell when they are asked: of a counter, what came since the last time."""

    def __init__(self) -> None:
        self._before: weakref.WeakKeyDictionary[Any, dict[tuple[str, tuple[str, ...]], float]] = (
            weakref.WeakKeyDictionary()
        )

    def write(self, families: Families, fronts: list[Any]) -> None:
        """As of now."""
        families["degraded"].forget()
        for front in fronts:
            used = vars(front)
            for room in front.degraded:
                families["degraded"].put(1.0, (room,))
            if "tokens" in used:
                _of_view(families, used["tokens"].stats())
            if "cache" in used:
                self._caches(families, front, used["cache"])

    def _caches(self, families: Families, front: Any, caches: Any) -> None:
        before = self._before.setdefault(front, {})
        for name, plan in list(caches.declared.items()):
            for series, value in _of_cache(name, plan.counts.snapshot()):
                came = value - before.get(series, 0.0)
                before[series] = value
                if came:
                    families[series[0]].add(series[1], came if came > 0 else value)


def _of_view(families: Families, standing: Any) -> None:
    if standing.warm:
        families["token_view_lag_seconds"].put(standing.lag_s)
    families["token_view_entries"].put(standing.entries)


def _of_cache(name: str, stats: Any) -> Iterator[tuple[tuple[str, tuple[str, ...]], float]]:
    tallies = {"requests": stats.requests, "computations": stats.origin, "fills": stats.fill, "waits": stats.wait}
    for kind, tally in tallies.items():
        for result, times in tally.items():
            yield (f"cache_{kind}_total", (name, result)), times
    yield ("cache_invalidations_total", (name,)), stats.invalidations
    yield ("cache_failures_total", (name,)), stats.failures
