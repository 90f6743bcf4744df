"""Bad input at the doors beside the rooms: health, metrics, Flask and Django, helpers for tests. One sentence each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import hustlex.flask
import hustlex.testing
from hustlex import HustleX, sync
from hustlex.idempotency import IdempotencyOptions
from hustlex.jobs import State, Tasks
from hustlex.otp import OtpMetrics
from hustlex.otp.telemetry import OtpEvent
from hustlex.ratelimit import Policy
from hustlex.testing import FixedClock, assert_enqueued, drain, eager, enqueued
from hustlex.worker import Worker, serve_health
from tests.conftest import SECRET
from tests.support.sweep import Sample, complaints, unswept

SECOND = timedelta(seconds=1)


async def entered(managed: Any) -> None:
    async with managed:
        pass


def view(*_: Any) -> str:
    return ""


@pytest.fixture
async def front(url: str) -> Any:
    async with HustleX(url, secret=SECRET) as opened:
        yield opened


async def test_the_health_of_a_worker(front: HustleX) -> None:
    worker = Worker(front.driver, Tasks())
    given = {"worker": worker, "driver": front.driver, "port": 0, "host": "127.0.0.1"}
    lookups = {"text", "digits", "text of another class", "empty text", "2"}  # names that a resolver may be asked for
    sample = Sample(
        serve_health, given, call=lambda _, **o: entered(serve_health(**o)), spare={"host": lookups, "port": {"2"}}
    )
    assert await complaints(sample) == []


async def test_metrics_of_otp() -> None:
    event = OtpEvent(event="issue", outcome="sent")
    sample = Sample(OtpMetrics.__call__, {"event": event}, call=lambda _, event: OtpMetrics()(event))
    assert await complaints(sample) == []


LOOKS = {"hx": None, "task": "t", "arguments": {"a": 1}, "queue": "default", "states": [State.PENDING]}


async def test_what_is_enqueued(front: HustleX) -> None:
    await front.jobs.enqueue("t", {"a": 1})
    due = {"process_in": SECOND, "tolerance": SECOND, "count": 0}
    samples = [
        Sample(enqueued, {**LOOKS, "hx": front}),
        Sample(assert_enqueued, {**LOOKS, "hx": front}, call=_insisted),
        Sample(assert_enqueued, {"hx": front, **due}, call=_insisted),
        Sample(
            assert_enqueued, {"hx": front, "process_at": datetime(2030, 1, 1, tzinfo=UTC), "count": 0}, call=_insisted
        ),
    ]
    assert [said for sample in samples for said in await complaints(sample)] == []
    assert unswept([enqueued, assert_enqueued], samples) == set()


async def _insisted(_: Any, **given: Any) -> None:
    with suppress(AssertionError):  # that is its answer
        await assert_enqueued(**given)


async def test_what_is_drained(front: HustleX) -> None:
    given: dict[str, Any] = {"hx": front, "tasks": Tasks(), "queues": ["default"], "state": None, "clock": lambda: 0}
    given |= {"concurrency": 1, "retry_delay": SECOND, "is_failure": lambda _: True, "middleware": (), "within": SECOND}
    sample = Sample(drain, given)
    assert await complaints(sample) == []
    assert unswept([drain], [sample]) == set()


async def test_what_is_run_at_once(front: HustleX) -> None:
    given = {"tasks": Tasks(), "hx": front, "state": None, "propagate": True, "clock": lambda: 0}
    sample = Sample(eager, given, call=lambda _, **o: entered(eager(**o)))
    assert await complaints(sample) == []
    assert unswept([eager], [sample]) == set()


async def test_a_clock_of_tests() -> None:
    samples = [Sample(FixedClock, {"now_ms": 1}), Sample(FixedClock.advance, {"by": SECOND})]
    assert [said for sample in samples for said in await complaints(sample, FixedClock())] == []
    assert unswept([FixedClock], samples) == set()


def decorators(door: Any) -> list[Sample]:
    """The same of Flask and of Django."""
    line = Policy("p", 5, timedelta(minutes=1))

    def around(make: Callable[..., Any]) -> Callable[..., Any]:
        return lambda _, **given: make(**given)(view)

    return [
        Sample(door.login_required, {"view": view}),
        Sample(door.login_required, {"mode": "strict"}, call=around(door.login_required)),
        Sample(door.idempotent, {"view": view}),
        Sample(door.idempotent, {"options": IdempotencyOptions()}, call=around(door.idempotent)),
        Sample(
            door.rate_limit, {"policy": line, "key": view, "endpoint": "/x", "cost": 1}, call=around(door.rate_limit)
        ),
        Sample(door.rate_limit, {"policy": ["5/minute per ip"]}, call=around(door.rate_limit)),
    ]


async def test_decorators_of_flask(url: str) -> None:
    from flask import Flask

    with sync.HustleX(url, secret=SECRET) as hx:
        samples = [*decorators(hustlex.flask), Sample(hustlex.flask.init_app, {"app": Flask("x"), "hx": hx})]
        assert [said for sample in samples for said in await complaints(sample)] == []
    doors = [getattr(hustlex.flask, name) for name in hustlex.flask.__all__]
    assert unswept([door for door in doors if inspect.isfunction(door)], samples) == set()


async def test_decorators_of_django() -> None:
    import hustlex.django.views as views

    samples = decorators(views)
    assert [said for sample in samples for said in await complaints(sample)] == []
