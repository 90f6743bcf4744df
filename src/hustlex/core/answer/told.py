"""Which doors of the rooms are told to a hook that listens for them. Without such a hook nothing of this runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hustlex.core.telemetry import Hook, Telemetry

Room = TypeVar("Room")
Wrapped = Callable[[Callable[..., Any], str, Telemetry], Callable[..., Any]]

DOORS: Mapping[str, tuple[str, ...]] = {
    "otp": (
        *("issue", "resend", "verify", "verify_phone", "open", "consume_grant", "cancel", "delivery_report", "unlock"),
        "close_breaker",
        "totp_verify",
    ),
    "tokens": (
        *("login", "check", "refresh", "logout", "introspect", "prove", "sessions", "data", "set_data"),
        *("revoke_token", "revoke_session", "revoke_all", "rotate_keys", "retire_key", "jwks"),
        *("issue_subscription", "check_subscription"),
    ),
    "ratelimit": ("check", "check_all", "peek", "heartbeat", "release", "refund", "reset", "set_limit"),
    "idempotency": (
        *("run", "begin", "renew", "complete", "abandon", "settle", "reconcile", "begin_event", "settle_event"),
    ),
    "pins": ("hash", "verify", "reset"),
    "jobs": ("enqueue", "enqueue_many", "start", "result", "explain", "limit_queue", "cancel"),
}
"""By room, which is its class in small letters. Caches and channels are told of by their calls and their own counts."""

_TELLING = ("ratelimit.check", "jobs.enqueue", "idempotency.begin_event")
"""Doors whose first argument is a declaration of the application, with names that are no secret."""


def about(name: str, given: tuple[Any, ...]) -> Any:
    """What a hook may see of the arguments."""
    return given[0] if given and name in _TELLING else None


def wrapped(room: Room, hook: Hook | None, wrap: Wrapped) -> Room:
    """The room; each of its doors is told to a hook that listens for them."""
    if isinstance(hook, Telemetry):
        name = type(room).__name__.lower()
        for door in DOORS.get(name, ()):
            vars(room)[door] = wrap(getattr(type(room), door).__get__(room), f"{name}.{door}", hook)
    return room
