"""What an HTTP client is told of its limits: the RateLimit fields, and refusals as problems.

The fields follow draft-ietf-httpapi-ratelimit-headers (after -09): structured-field lists of quoted names.
"""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Literal

import msgspec

from hustlex.ratelimit import Decision, Outcome, PolicyState, Source
from hustlex.web.problem import ABNORMAL_USAGE, QUOTA_EXCEEDED, Problem, unavailable, whole_seconds

TOO_MANY = "Too many requests. Try again later."
Legacy = Literal["x-ratelimit"]
"""Older header fields to send besides: ``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset`` (seconds)."""

_JITTER = 0.1
_SECOND = timedelta(seconds=1)


class Shown(msgspec.Struct, frozen=True):
    """A decision to tell the client. partition: an opaque stand-in for who is counted, or ""."""

    decision: Decision
    partition: str = ""


def fields(shown: Sequence[Shown], legacy: Legacy | None = None) -> list[tuple[str, str]]:
    """Header fields for an answer, in the order of the decisions; none when there is nothing to tell."""
    states = [(state, _partition(each)) for each in shown for state in each.decision.per_policy]
    if not states:
        return []
    found = [
        ("RateLimit-Policy", ", ".join(_policy_item(state) + pk for state, pk in states)),
        ("RateLimit", ", ".join(_state_item(state) + pk for state, pk in states)),
    ]
    if legacy:
        tightest = min((each.decision for each in shown if each.decision.per_policy), key=lambda each: each.remaining)
        found += [
            ("X-RateLimit-Limit", str(tightest.limit)),
            ("X-RateLimit-Remaining", str(tightest.remaining)),
            ("X-RateLimit-Reset", str(whole_seconds(tightest.reset_after))),
        ]
    return found


def refusal(decision: Decision) -> Problem:
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
    return Problem(
        429, kind=kind, detail=TOO_MANY, headers=headers, members={"violated-policies": list(decision.violated)}
    )


def _mores(states: Iterable[PolicyState]) -> Iterable[timedelta]:
    return (state.more_after for state in states if not state.allowed)


def _partition(shown: Shown) -> str:
    return f";pk=:{b64encode(shown.partition.encode()).decode()}:" if shown.partition else ""


def _policy_item(state: PolicyState) -> str:
    window = "" if state.window % _SECOND else f";w={state.window // _SECOND}"
    return f'"{state.policy}";q={state.limit}{window}'


def _state_item(state: PolicyState) -> str:
    return f'"{state.policy}";r={state.remaining};t={whole_seconds(state.more_after)}'
