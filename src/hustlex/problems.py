"""What an HTTP client is told, as plain values for any framework: RFC 9457 problems and the RateLimit header fields.

No secrets, nothing echoed back. The fields follow draft-ietf-httpapi-ratelimit-headers (after -09): structured-field
lists of quoted names.
"""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Literal

import msgspec

from hustlex.errors import Conflict, Error, Misuse, NotFound, OutcomeUnknown, Refused, RevocationIncomplete, Unavailable
from hustlex.ratelimit import Decision, Outcome, PolicyState, Source

MEDIA_TYPE = "application/problem+json"
_IANA = "https://iana.org/assignments/http-problem-types#"
QUOTA_EXCEEDED = f"{_IANA}quota-exceeded"
REDUCED_CAPACITY = f"{_IANA}temporary-reduced-capacity"
ABNORMAL_USAGE = f"{_IANA}abnormal-usage-detected"
TOO_MANY = "Too many requests. Try again later."
BUSY = "The service is busy. Try again shortly."
RETRY_SECONDS = 5
Legacy = Literal["x-ratelimit"]
"""Older header fields to send besides: ``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset`` (seconds)."""

_JITTER = 0.1
_SECOND = timedelta(seconds=1)
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_STANDARD = frozenset({"type", "title", "status", "detail"})


class Description(msgspec.Struct, frozen=True):
    """A problem before a framework makes an answer of it."""

    status: int
    """The answer's status."""
    kind: str = "about:blank"
    """The body's ``type``, a URI; "about:blank" means no more than the status."""
    title: str = ""
    """Default the status's own phrase."""
    detail: str = ""
    """For the person who reads it."""
    headers: dict[str, str] = {}
    """Further headers of the answer."""
    members: dict[str, Any] = {}
    """Further fields of the body, JSON values."""

    def body(self) -> dict[str, Any]:
        """The problem as JSON values."""
        title = self.title or _PHRASES.get(self.status, "Error")
        head = {"type": self.kind, "title": title, "status": self.status}
        detail = {"detail": self.detail} if self.detail and self.detail != title else {}
        return head | detail | {name: value for name, value in self.members.items() if name not in _STANDARD}


def unavailable(detail: str = BUSY, seconds: int = RETRY_SECONDS) -> Description:
    """503 with Retry-After."""
    return Description(503, REDUCED_CAPACITY, detail=detail, headers={"Retry-After": str(seconds)})


def problem_of(error: Error) -> Description:
    """What a client is told about one of this package's errors. Faults of the server say nothing about it."""
    if isinstance(error, OutcomeUnknown):
        return unavailable("It is not known whether the request was carried out. Look before repeating it.")
    if isinstance(error, Unavailable | Refused | RevocationIncomplete):
        return unavailable()
    for kind, status in ((Misuse, 422), (NotFound, 404), (Conflict, 409)):
        if isinstance(error, kind):
            return Description(status, detail=error.message)
    return Description(500)


def refusal(decision: Decision) -> Description:
    """429, or 503 when the server could not be asked and the policy is closed.

    Retry-After is rounded up, plus up to 10 %, so that those refused together do not return together.
    """
    if decision.source is Source.FAIL_CLOSED:
        return unavailable()
    kind = ABNORMAL_USAGE if decision.outcome is Outcome.BANNED else QUOTA_EXCEEDED
    headers = {}
    if decision.retry_after >= timedelta(0):
        earliest = max([decision.retry_after, *_mores(decision.per_policy)])
        headers["Retry-After"] = str(whole_seconds(earliest * (1 + random.random() * _JITTER)))
    return Description(429, kind, detail=TOO_MANY, headers=headers, members={"violated-policies": decision.violated})


class Shown(msgspec.Struct, frozen=True, gc=False):
    """A decision to tell the client. partition: an opaque stand-in for who is counted, or ""."""

    decision: Decision
    partition: str = ""


LIMIT_FIELDS = frozenset(
    {b"ratelimit-policy", b"ratelimit", b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset"}
)
"""Names of all header fields that tell of limits, as ASGI has them."""


def fields(shown: Sequence[Shown], legacy: Legacy | None = None) -> list[tuple[str, str]]:
    """Header fields for an answer, in the order of the decisions; none when there is nothing to tell."""
    policies, states = _items(shown)
    if not states:
        return []
    found = [("RateLimit-Policy", policies), ("RateLimit", states)]
    return found + _legacy(shown) if legacy else found


def raw_fields(shown: Sequence[Shown], legacy: Legacy | None = None) -> list[tuple[bytes, bytes]]:
    """The same as ASGI wants them."""
    policies, states = _items(shown)
    if not states:
        return []
    found = [(b"ratelimit-policy", policies.encode()), (b"ratelimit", states.encode())]
    return found + [(name.lower().encode(), value.encode()) for name, value in _legacy(shown)] if legacy else found


def _items(shown: Sequence[Shown]) -> tuple[str, str]:
    """Both lists. Made with each answer of a limited route, so without a call that can be spared."""
    policies = states = ""
    for each in shown:
        partition = each.partition
        for name, limit, window, left, more_us in each.decision.briefs:
            policy, head, tail = _policy_items(name, limit, window, partition)
            policies = f"{policies}, {policy}" if policies else policy
            state = f"{head}{left};t={-(-more_us // 1_000_000)}{tail}"
            states = f"{states}, {state}" if states else state
    return policies, states


def _legacy(shown: Sequence[Shown]) -> list[tuple[str, str]]:
    tightest = min((each.decision for each in shown if each.decision.briefs), key=lambda each: each.remaining)
    return [
        ("X-RateLimit-Limit", str(tightest.limit)),
        ("X-RateLimit-Remaining", str(tightest.remaining)),
        ("X-RateLimit-Reset", str(whole_seconds(tightest.reset_after))),
    ]


def whole_seconds(duration: timedelta) -> int:
    """Rounded up: who comes back then is not too early."""
    return -(-duration // _SECOND)


def _mores(states: Iterable[PolicyState]) -> Iterable[timedelta]:
    return (state.more_after for state in states if not state.allowed)


@lru_cache(maxsize=1024)  # the same with each answer to a caller
def _policy_items(name: str, limit: int, window: timedelta, partition: str) -> tuple[str, str, str]:
    """A policy's item; begin and end of its state's."""
    whose = f";pk=:{b64encode(partition.encode()).decode()}:" if partition else ""
    length = "" if window % _SECOND else f";w={window // _SECOND}"
    return f'"{name}";q={limit}{length}{whose}', f'"{name}";r=', whose
