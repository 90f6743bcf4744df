"""Bad input at the doors beside the rooms: health, metrics, Flask and Django, helpers for tests. One sentence each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData

import hustlex.flask
import hustlex.testing
from hustlex import HustleX, sync
from hustlex.delivery import CallbackSender, ConsoleSender, Courier, HttpSender, Message, Texts
from hustlex.diagnostics import Workload, doctor_rights, plan, rights
from hustlex.idempotency import (
    Finding,
    Idempotency,
    IdempotencyOptions,
    Orphaned,
    Replay,
    Response,
    Scope,
    Started,
    http_answer,
)
from hustlex.jobs import CurrentJob, State, Tasks, current_job
from hustlex.metrics import Durations, FleetMetrics, Metrics, SlowLog, refused_callers, room_history, task_durations
from hustlex.otel import OpenTelemetry
from hustlex.otp import Delivery, Issued, OtpMetrics
from hustlex.otp.telemetry import OtpEvent
from hustlex.outbox import Outbox
from hustlex.ratelimit import Policy, Rule, Rulebook, caller_of, parse_rule
from hustlex.testing import EagerJobs, FixedClock, assert_enqueued, drain, eager, enqueued
from hustlex.worker import Worker, serve_health
from tests.conftest import PATIENCE, SECRET
from tests.support.sweep import ODD, Sample, complaints, unswept

SECOND = timedelta(seconds=1)


async def entered(managed: Any) -> None:
    async with managed:
        pass


def view(*_: Any) -> str:
    return ""


@pytest.fixture
async def front(url: str) -> Any:
    async with HustleX(url, timeout=PATIENCE, secret=SECRET) as opened:
        yield opened


async def test_the_health_of_a_worker(front: HustleX) -> None:
    worker = Worker(front.driver, Tasks())
    given = {"worker": worker, "driver": front.driver, "port": 0, "host": "127.0.0.1", "metrics": view}
    lookups = {"text", "digits", "text of another class", "empty text", "2"}  # names that a resolver may be asked for
    sample = Sample(
        serve_health, given, call=lambda _, **o: entered(serve_health(**o)), spare={"host": lookups, "port": {"2"}}
    )
    assert await complaints(sample) == []


async def test_metrics_of_otp() -> None:
    event = OtpEvent(event="issue", outcome="sent")
    sample = Sample(OtpMetrics.__call__, {"event": event}, call=lambda _, event: OtpMetrics()(event))
    assert await complaints(sample) == []


async def test_metrics_and_traces(front: HustleX, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    metrics, fleet, seen = Metrics(), FleetMetrics(front), Durations((1.0,), ((1, 0),))
    samples = [
        Sample(Metrics, {"directory": str(tmp_path)}),
        Sample(Metrics.ask, {"source": view}, call=lambda _, source: Metrics().ask(source)),
        Sample(SlowLog, {"over": SECOND, "per_minute": 5, "metrics": metrics}),
        Sample(FleetMetrics, {"front": front, "ttl": SECOND}),
        Sample(room_history, {"hx": front, "room": "limits", "label": "transfers", "hours": 1, "days": 1}),
        Sample(task_durations, {"hx": front, "what": "run"}),
        Sample(refused_callers, {"hx": front, "policies": ["transfers"], "max_callers": 5}),
        Sample(Durations.percentile, {"share": 0.5}, call=lambda _, share: seen.percentile(share)),
        Sample(Durations.by_hour, {"share": 0.5}, call=lambda _, share: seen.by_hour(share)),
        Sample(FleetMetrics.scale, {"queue": "default"}, call=lambda _, queue: fleet.scale(queue)),
        Sample(
            OpenTelemetry,
            {"tracer_provider": None, "meter_provider": None, "calls": 0, "parent": "soon", "metrics": metrics},
        ),
    ]
    for sample in samples:
        assert await complaints(sample) == [], sample.target


async def test_what_asks_no_server() -> None:
    samples = [
        Sample(rights, {"rooms": ("otp",), "prefix": "app:"}),
        Sample(doctor_rights, {"prefix": "app:"}),
        Sample(plan, {"workload": Workload(users=1)}),
        Sample(parse_rule, {"text": "5/minute", "name": "five"}),
    ]
    assert [said for sample in samples for said in await complaints(sample)] == []


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
    given |= {
        "concurrency": 1,
        "retry_delay": SECOND,
        "is_failure": lambda _: True,
        "middleware": (),
        "timeout": SECOND,
    }
    sample = Sample(drain, given)
    assert await complaints(sample) == []
    assert unswept([drain], [sample]) == set()


async def test_what_is_run_at_once(front: HustleX) -> None:
    given = {"tasks": Tasks(), "hx": front, "state": None, "propagate": True, "clock": lambda: 0}
    sample = Sample(eager, given, call=lambda _, **o: entered(eager(**o)))
    assert await complaints(sample) == []
    assert unswept([eager], [sample]) == set()


async def test_what_is_said_while_a_job_runs() -> None:
    tasks, found = Tasks(), ["it did not run"]
    samples = [
        Sample(CurrentJob.progress, {"fraction": 0.5, "text": "half"}),
        Sample(CurrentJob.log, {"text": "half"}),
        Sample(current_job, {"state": object}, call=lambda _, state: current_job(state)),
    ]

    @tasks.task("t")
    async def run() -> None:
        found[:] = [said for sample in samples for said in await complaints(sample, current_job())]

    async with eager(tasks) as jobs:
        await jobs.enqueue(run.job())
        given: dict[str, Any] = {"job": run.job(), "queue": "low", "task_id": "a", "timeout": SECOND}
        acts = [
            Sample(EagerJobs.enqueue, given),
            Sample(EagerJobs.enqueue_many, {"jobs": [run.job()]}),
            Sample(EagerJobs.result, {"task": "a", "timeout": SECOND, "queue": "low"}),
        ]
        heard = [said for sample in acts for said in await complaints(sample, jobs)]
        assert [said for said in heard if "HandlerNotFound" not in said] == []  # the answer for a name that nobody has
    assert found == []


async def test_what_sends_codes(front: HustleX, tmp_path: Path) -> None:
    texts, console = Texts(app="Gigs"), ConsoleSender(tmp_path / "sent")
    said = Delivery("+2348031234567", "123456", "A", "login", SECOND, key="k")
    message = texts.message(said)
    issued = await front.otp.issue("+2348031234567")
    assert isinstance(issued, Issued)
    given = {"otp": front.otp, "challenge": issued.challenge, "claim": "j", "last": False}
    assert await complaints(Sample(Courier.deliver, given), Courier(texts, console)) == []
    for act in (Texts.text, Texts.message):
        assert await complaints(Sample(act, {"delivery": said}), texts) == []
    senders = [console, CallbackSender(lambda _: None), HttpSender("http://127.0.0.1:1/", body=lambda _: {})]
    odd = {name: value for name, value in ODD.items() if not isinstance(value, Message)}
    for act, sender in zip((ConsoleSender.send, CallbackSender.send, HttpSender.send), senders, strict=True):
        sample = Sample(act, {"message": message})
        assert [each for each in await complaints(sample, sender, odd=odd) if "with what fits" not in each] == []


async def test_what_listens_to_an_outbox() -> None:
    outbox = Outbox(MetaData())
    for act in (Outbox.listen, Outbox.unlisten):
        assert await complaints(Sample(act, {"committed": view}), outbox) == []


async def test_rules_and_callers() -> None:
    rules = Rulebook({"a": "5/minute per ip on GET /x"})
    samples = [
        Sample(Rulebook.fitting, {"method": "GET", "path": "/x"}),
        Sample(Rulebook.reload, {"source": {"a": "5/minute per ip on GET /x"}}),
    ]
    assert [said for sample in samples for said in await complaints(sample, rules)] == []
    assert (
        await complaints(Sample(Rule.fits, {"method": "GET", "path": "/x"}), parse_rule("5/minute per ip on /x")) == []
    )
    assert await complaints(Sample(caller_of, {"who": "user", "identity": 7})) == []
    assert await complaints(Sample(Policy.limit_for, {"tier": "a"}), Policy("p", 5, SECOND)) == []


async def test_what_became_of_a_request(front: HustleX) -> None:
    async def done(_: Any) -> Finding:
        return Finding.UNKNOWN

    started = Started("idem:{u1}:x:y", "o", 1, "none", 1000, 60_000)
    fits: dict[str, Any] = {"orphan": Orphaned(1, ""), "find_out": done, "key": "k", "scope": Scope("u1", "POST", "/x")}
    fits |= {"body": b"{}", "content_type": "application/json", "options": None}
    samples = [
        Sample(http_answer, {"outcome": Replay(Response(200))}),
        Sample(Idempotency.reconcile, fits),
        Sample(Idempotency.hold, {"started": started}, call=lambda room, started: entered(room.hold(started))),
    ]
    assert [said for sample in samples for said in await complaints(sample, front.idempotency)] == []


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

    with sync.HustleX(url, timeout=PATIENCE, secret=SECRET) as hx:
        samples = [*decorators(hustlex.flask), Sample(hustlex.flask.init_app, {"app": Flask("x"), "hx": hx})]
        assert [said for sample in samples for said in await complaints(sample)] == []
    doors = [getattr(hustlex.flask, name) for name in hustlex.flask.__all__]
    assert unswept([door for door in doors if inspect.isfunction(door)], samples) == set()


async def test_decorators_of_django() -> None:
    import hustlex.django.views as views

    samples = decorators(views)
    assert [said for sample in samples for said in await complaints(sample)] == []
