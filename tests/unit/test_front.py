"""What an interactive reader finds: ``dir(hustlex)``, ``help(HustleX.otp)``."""

from __future__ import annotations

import inspect
import pydoc
from typing import Any

import pytest

import hustlex
from hustlex import HustleX
from hustlex.events.api import Events
from hustlex.idempotency.api import Idempotency
from hustlex.jobs import Jobs
from hustlex.otp.api import Otp
from hustlex.pins.api import Pins
from hustlex.ratelimit.api import RateLimit
from hustlex.tokens.api import Tokens

ROOMS = {
    "otp": Otp,
    "tokens": Tokens,
    "ratelimit": RateLimit,
    "idempotency": Idempotency,
    "pins": Pins,
    "jobs": Jobs,
    "events": Events,
}


def test_the_package_shows_its_front_and_its_rooms() -> None:
    shown = dir(hustlex)
    assert {"HustleX", "Tasks", "__version__", "cache", *ROOMS} <= set(shown)
    assert not {"TYPE_CHECKING", "Any", "_HOMES"} & set(shown)


@pytest.mark.parametrize("room", ROOMS)
def test_help_names_every_door_of_a_room(room: str) -> None:
    text = pydoc.render_doc(getattr(HustleX, room))
    doors: list[Any] = [name for name, door in vars(ROOMS[room]).items() if inspect.isfunction(door) and name[0] != "_"]
    assert doors and [name for name in doors if name not in text] == []
