"""Whoever needs a driver says so when it is given an address, the front, or nothing."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Collection, Iterator
from typing import Any

import pytest

from hustlex.core.keyring import Keyring
from hustlex.errors import Misuse

ROOMS = (
    "otp",
    "tokens",
    "ratelimit",
    "idempotency",
    "pins",
    "cache",
    "jobs",
    "events",
    "worker",
    "diagnostics",
    "outbox",
)
MADE_BY_ROOMS = {"Cache", "Channel", "Presence", "ReplayChannel", "Schedules"}
"""And the inspectors: nobody else makes them."""


def doors() -> Iterator[Any]:
    """Everything exported that wants a driver, and one argument more at most."""
    for room in ROOMS:
        module = importlib.import_module(f"hustlex.{room}")
        for name in module.__all__:
            found = getattr(module, name)
            rooms_own = name in MADE_BY_ROOMS or (name.endswith("Inspector") and name != "Inspector")
            if not rooms_own and "driver" in arguments(found):
                yield pytest.param(found, id=name)


def arguments(door: Any) -> Collection[str]:
    """Of a class's constructor."""
    made = inspect.isclass(door) and inspect.isfunction(door.__init__)
    return inspect.signature(door.__init__).parameters if made else ()


@pytest.mark.parametrize("door", list(doors()))
def test_what_is_no_driver_is_refused(door: Any) -> None:
    from hustlex import HustleX
    from hustlex.jobs import Tasks

    given = {"keyring": Keyring(bytes(range(32))), "tasks": Tasks(), "engine": None, "outbox": None}
    more = {name: value for name, value in given.items() if name in arguments(door)}
    for wrong in ("redis://127.0.0.1:6379/0", None, 6379, HustleX("redis://127.0.0.1:6379/0"), HustleX):
        with pytest.raises(Misuse, match=r"driver.*pass hx\.driver"):
            door(wrong, **more)
