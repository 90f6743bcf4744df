"""Every room: whatever it exports that takes something is swept with bad input, or named here with its reason."""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, is_typeddict

import msgspec
import pytest
from django.conf import settings

from tests.support.sweep import parameters

if not settings.configured:
    settings.configure(SECRET_KEY="a key of tests alone", SESSION_ENGINE="hustlex.django.sessions")

TESTS = Path(__file__).parents[1]
SWEEPS = [
    *sorted((TESTS / "contract").glob("test_*bad_input.py")),
    TESTS / "web" / "test_bad_input.py",
]
ROOMS = [
    *(
        "cache",
        "delivery",
        "django.views",
        "events",
        "flask",
        "idempotency",
        "jobs",
        "otp",
        "outbox",
        "pins",
        "ratelimit",
    ),
    *("telemetry", "testing", "tokens", "worker", "metrics", "otel"),
]
BY_THE_FRONT = "made by the front, the declaration or the helper that is swept"
BY_THE_WORKER = "asked by the worker and the scheduler, with what was judged when it was declared"
NOT_SWEPT = {
    **dict.fromkeys(
        (
            "AfterCommit",
            "Cache",
            "CachedFunction",
            "Caches",
            "Channel",
            "Events",
            "Presence",
            "ReplayChannel",
            "Idempotency",
            "Otp",
        ),
        BY_THE_FRONT,
    ),
    **dict.fromkeys(
        ("Pins", "Tokens", "Inspector", "BulkActs", "Jobs", "Schedules", "CurrentJob", "EagerJobs"), BY_THE_FRONT
    ),
    **dict.fromkeys(("CacheInspector", "ClaimInspector", "EventInspector", "LimitInspector"), BY_THE_FRONT),
    **dict.fromkeys(("OtpInspector", "PinInspector", "TokenInspector"), BY_THE_FRONT),
    "Subscription": "made by Events.subscribe",
    "EventTask": "made by publish_events",
    **dict.fromkeys(("Limits.group_of", "Task.arguments", "Task.canonical", "Tasks.find"), BY_THE_WORKER),
    **dict.fromkeys(("Periodic.at", "Periodic.made", "Periodic.next_ms", "Periodic.passed"), BY_THE_WORKER),
    **dict.fromkeys(("Handle.result", "Handle.wait"), "pass on to Jobs.result, which is swept"),
    "Policy.units": "asked by the engine, with a cost that check has judged",
    **dict.fromkeys(("HustlexMiddleware", "HustlexMiddleware.process_exception"), "called by Django"),
    **dict.fromkeys(
        [
            f"{kind}.{told}"
            for kind, left_out in {
                "Combined": (),
                "Telemetry": (),
                "Metrics": ("headers",),
                "OpenTelemetry": ("fired", "join", "leased", "note"),
            }.items()
            for told in ("attempt", "door", "fired", "headers", "join", "leased", "note")
            if told not in left_out
        ],
        "told by the rooms and the worker",
    ),
    "Metrics.count": "told by the drivers",
    "current_user": "called with Django's request",
}
"""Why each of these needs no sweep."""


def _swept() -> set[str]:
    """``Jobs.enqueue`` wherever a sweep speaks of it; a bare name where a Sample is made of it."""
    found: set[str] = set()
    for file in SWEEPS:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute):
                found.add(ast.unparse(node))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Sample" and node.args:
                found.add(ast.unparse(node.args[0]))
    short = {name.rpartition(".")[2] for name in found if name.startswith(("door.", "hustlex.flask."))}
    return found | short


def _exported(room: str) -> Iterator[tuple[str, Any]]:
    module = importlib.import_module(f"hustlex.{room}")
    package = importlib.import_module(f"hustlex.{room.partition('.')[0]}")
    for name in package.__all__:
        value = getattr(module, name, None)
        if inspect.isroutine(value) or inspect.isclass(value):
            yield name, value


def _doors(name: str, value: Any) -> Iterator[str]:
    """What of it takes arguments, as sweeps name it. A result or an exception is made by the package itself."""
    if inspect.isclass(value):
        if (
            is_typeddict(value)
            or getattr(value, "_is_protocol", False)
            or issubclass(value, enum.Enum | BaseException | str)
        ):
            return
        if _judges(value) and parameters(value):
            yield name
        for method, function in vars(value).items():
            if inspect.isfunction(function) and not method.startswith("_") and parameters(function):
                yield f"{name}.{method}"
    elif parameters(value):
        yield name


def _judges(kind: type) -> bool:
    return not issubclass(kind, msgspec.Struct) or "__post_init__" in vars(kind)


@pytest.mark.parametrize("room", ROOMS)
def test_every_door_of_a_room_is_swept_or_named_with_its_reason(room: str) -> None:
    doors = {door for name, value in _exported(room) for door in _doors(name, value)}
    assert sorted(doors - _swept() - NOT_SWEPT.keys()) == []


def test_no_reason_is_given_for_what_is_gone_or_swept() -> None:
    doors = {door for room in ROOMS for name, value in _exported(room) for door in _doors(name, value)}
    assert sorted(NOT_SWEPT.keys() - (doors - _swept())) == []
