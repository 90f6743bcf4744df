"""Whoever changes an operation finds its tests with grep: each is named by a test."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from hustlex.cache.api import Cache, Caches
from hustlex.events.api import Channel, Events
from hustlex.idempotency.api import Idempotency
from hustlex.jobs.api import Jobs
from hustlex.jobs.bulks import BulkActs
from hustlex.jobs.inspector import Inspector
from hustlex.jobs.schedules import Schedules
from hustlex.otp.api import Otp
from hustlex.pins.api import Pins
from hustlex.ratelimit.api import RateLimit
from hustlex.tokens.api import Tokens

DOORS = (
    BulkActs,
    Cache,
    Caches,
    Channel,
    Events,
    Idempotency,
    Inspector,
    Jobs,
    Otp,
    Pins,
    RateLimit,
    Schedules,
    Tokens,
)
TESTS = Path(__file__).parents[1]
NAME = re.compile(r"def (test_\w+)")


@pytest.fixture(scope="module")
def names() -> str:
    files = sorted(TESTS.rglob("test_*.py"))
    return " ".join(name for file in files for name in (file.stem, *NAME.findall(file.read_text("utf-8"))))


@pytest.mark.parametrize("door", DOORS)
def test_each_operation_is_named_by_a_test(door: type, names: str) -> None:
    found = {name for each in door.__mro__ for name, value in vars(each).items() if inspect.isfunction(value)}
    assert [name for name in sorted(found) if not name.startswith("_") and name not in names] == []
