"""Gauges of the whole system: the Inspector's figures, at a bounded cost, whatever is broken."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.app import HustleX
from hustlex.cli.exporter import pages
from hustlex.core.op import Effect, Op, command
from hustlex.diagnostics import Checkup, DoctorFinding
from hustlex.diagnostics.checks import CHECKS, ROWS
from hustlex.diagnostics.jobs import JOB_CHECKS
from hustlex.errors import Misuse, Unavailable
from hustlex.jobs import State, Tasks
from hustlex.jobs.inspect import ops
from hustlex.metrics import FleetMetrics
from hustlex.metrics.attention import RULES
from hustlex.metrics.declared import METRICS
from hustlex.metrics.judged import judged
from tests.conftest import PATIENCE
from tests.metrics.conftest import Numbers, numbers
from tests.support.calls import Calls
from tests.worker.support import running, until

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
NO_TIME = timedelta(0)


@pytest.fixture
async def hx(url: str) -> AsyncIterator[HustleX]:
    async with HustleX(url, timeout=PATIENCE) as front:
        yield front


async def told(front: HustleX) -> Numbers:
    return numbers(await FleetMetrics(front).text())


async def test_each_figure_is_the_inspectors(hx: HustleX, raw: redis.Redis) -> None:
    for number in range(3):
        await hx.jobs.enqueue("t", b"", queue="mail", task_id=f"p{number}")
    await hx.jobs.enqueue("t", b"", queue="mail", process_in=HOUR)
    await hx.jobs.enqueue("t", b"", queue="mail", process_in=30 * SECOND)
    await hx.jobs.inspector.archive("mail", "p0")
    await hx.jobs.limit_queue("mail", max_size=50)
    await hx.jobs.inspector.pause("mail")
    await hx.jobs.enqueue("t", b"", queue="sms", group="g")
    found, seen = await told(hx), await hx.jobs.inspector.queue("mail")
    for state in State:
        if state is not State.AGGREGATING:
            assert found["hustlex_queue_tasks", ("mail", state.value)] == getattr(seen, state.value), state
    assert found["hustlex_queue_work", ("mail",)] == 3  # two pending, one due within a minute
    assert found["hustlex_queue_limit", ("mail",)] == 50
    assert found["hustlex_queue_paused", ("mail",)] == 1
    assert found["hustlex_queue_overdue_seconds", ("mail",)] == 0
    assert found["hustlex_queue_groups", ("sms",)] == 1
    assert found["hustlex_queue_serving_workers", ("mail",)] == 0
    assert 0 <= found["hustlex_queue_wait_seconds", ("mail",)] < 60
    assert found["hustlex_redis_up", ("state",)] == 1
    assert found["hustlex_redis_clients", ("state",)] >= 1
    assert ("hustlex_queue_limit", ("sms",)) not in found


async def test_a_task_that_nobody_forwards_is_overdue(hx: HustleX, raw: redis.Redis) -> None:
    made = await hx.jobs.enqueue("t", b"", process_in=HOUR)
    raw.zadd("asynq:{default}:scheduled", {made.or_raise().id: 1_000_000_000})
    found = await told(hx)
    assert found["hustlex_queue_overdue_seconds", ("default",)] > 1e8
    assert found["hustlex_queue_work", ("default",)] == 1


async def test_workers_are_counted_by_the_queues_they_serve(hx: HustleX, driver: Any) -> None:
    await hx.jobs.enqueue("t", b"", queue="other")
    async with running(driver, Tasks()) as run:
        await until(lambda: run.worker.parts.heartbeat.status == "active")
        for _ in range(1000):
            found = await told(hx)
            if ("hustlex_workers", ("python", "active")) in found:
                break
        assert found["hustlex_workers", ("python", "active")] == 1
        assert found["hustlex_queue_serving_workers", ("other",)] == 0
        assert (await FleetMetrics(hx).scale("default")).serving == 1


async def test_one_broken_queue_drops_its_own_lines(
    hx: HustleX, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for queue in ("good", "bad"):
        await hx.jobs.enqueue("t", b"", queue=queue)
    asked = ops.summaries

    def refused(names: list[str], now_ms: int) -> Op[Any]:
        key = "asynq:{bad}:pending"
        return (
            command("test.get", Effect.READ, "GET", key, keys=(key,), decode=list)
            if names == ["bad"]
            else asked(names, now_ms)
        )

    monkeypatch.setattr(ops, "summaries", refused)
    found = await told(hx)
    assert found["hustlex_queue_tasks", ("good", "pending")] == 1
    assert ("hustlex_queue_tasks", ("bad", "pending")) not in found
    assert found["hustlex_scrape_errors", ("queue",)] == 1


async def test_a_thousand_queues_cost_what_two_hundred_do(url: str, raw: redis.Redis) -> None:
    raw.sadd("asynq:queues", *(f"q{number:04}" for number in range(1000)))
    calls = Calls()
    async with HustleX(url, timeout=PATIENCE, hook=calls) as front:
        fleet = FleetMetrics(front)
        found = numbers(await fleet.text())
        asked = len(calls.started)
        await fleet.text()
        assert len(calls.started) == asked <= 40, "within five seconds nobody is asked again"
        assert len(calls.sent) <= 600, "most of it a constant for each of 200 queues"
    assert found["hustlex_queues_left_out", ()] == 800
    assert sum(name == "hustlex_queue_work" for name, _ in found) == 200
    of_others, of_the_doctor = 8, 10
    assert sum(op == "jobs.summarise" for op in calls.sent) == 200 + of_others + of_the_doctor, "a hundred in each"


async def test_a_queue_beyond_the_two_hundred_is_judged(hx: HustleX, raw: redis.Redis) -> None:
    raw.sadd("asynq:queues", *(f"a{number:04}" for number in range(250)))
    await hx.jobs.enqueue("t", b"", queue="zulu")
    found = await told(hx)
    assert ("hustlex_queue_work", ("zulu",)) not in found
    assert found["hustlex_attention", ("unserved",)] == 1


async def test_payments_in_doubt_and_slowed_codes_are_counted(hx: HustleX, raw: redis.Redis) -> None:
    raw.hset(
        f"{hx.prefix}idem:{{u7}}:POST%20/pay:{'0f2c9c1e' * 4}",
        mapping={"st": "run", "lease": 1, "fence": 1, "point": "charging"},
    )
    part = int(time.time() // 180)
    raw.hset(f"{hx.prefix}otp:{{pfx:2348031}}:cap", mapping={"next": 1, "since": 1, f"s{part}": 20, f"s{part + 1}": 20})
    found = await told(hx)
    assert (found["hustlex_idempotency_in_doubt", ()], found["hustlex_otp_slowed", ()]) == (1, 1)
    assert [found["hustlex_attention", (rule,)] for rule in ("claims", "breakers", "refused")] == [1, 1, 0]
    assert found["hustlex_schedule_overdue", ()] == 0


async def test_a_server_that_is_away_is_told() -> None:
    async with HustleX("redis://127.0.0.1:1", timeout=timedelta(milliseconds=20)) as away:
        found = await told(away)
        assert found["hustlex_redis_up", ("state",)] == 0
        assert not {name for name, _ in found} & {"hustlex_doctor", "hustlex_attention"}, "what nobody knows is not 0"
        assert found["hustlex_scrape_errors", ("queues",)] == 1
        with pytest.raises(Unavailable):
            await FleetMetrics(away).scale("mail")


async def test_what_needs_attention_is_told_by_its_rule(hx: HustleX, raw: redis.Redis) -> None:
    quiet = await told(hx)
    assert {labels: value for (name, labels), value in quiet.items() if name == "hustlex_attention"} == {
        (rule,): 0.0 for rule in RULES
    }
    await hx.jobs.enqueue("t", b"", queue="mail")
    await hx.jobs.limit_queue("full", max_size=1)
    await hx.jobs.enqueue("t", b"", queue="full")
    await hx.jobs.inspector.pause("mail")
    found = await told(hx)
    raised = {labels[0] for (name, labels), value in found.items() if name == "hustlex_attention" and value}
    assert raised == {"paused", "unserved"}


async def test_the_doctor_is_asked_once_a_minute(url: str, raw: redis.Redis) -> None:
    calls = Calls()
    async with HustleX(url, timeout=PATIENCE, hook=calls) as front:
        fleet = FleetMetrics(front, ttl=NO_TIME)
        first = numbers(await fleet.text())
        by_check = {labels: value for (name, labels), value in first.items() if name == "hustlex_doctor"}
        wanted = {"ok": 0.0, "info": 0.0, "warn": 1.0, "fail": 2.0}
        checkup = await front.diagnostics.check(brief=True)
        steady = {"version", "role", "eviction", "persistence", "clients", "separate", "schedules", "queues"}
        for each in checkup.findings:
            if each.check in steady and each.level in wanted:
                assert by_check[each.check, each.role] == wanted[each.level], each
        assert steady <= {check for check, _ in by_check}
        calls.clear()
        again = numbers(await fleet.text())
        assert {labels: value for (name, labels), value in again.items() if name == "hustlex_doctor"} == by_check
        of_servers = {"doctor.cluster", "doctor.info"}
        assert {op for op in calls.sent if op.startswith("doctor")} == of_servers, "what other gauges want"
        assert len(calls.sent) <= 40


def test_the_worst_node_and_the_known_levels_count() -> None:
    levels = {"a": ("ok", "fail", "warn"), "b": ("info",), "c": ("unknown",), "d": ("warn", "unknown")}
    findings = [DoctorFinding("state", check, level, "") for check, some in levels.items() for level in some]
    found = judged(Checkup(tuple(findings), False))
    assert found == {
        ("hustlex_doctor", ("state", check)): [value] for check, value in (("a", 2.0), ("b", 0.0), ("d", 1.0))
    }


def test_checks_and_rules_are_within_their_bounds() -> None:
    checks = {*(check.name for check in CHECKS), *ROWS, *JOB_CHECKS, "separate"}
    assert len(checks) <= METRICS["hustlex_doctor"].labels["check"]
    assert len(RULES) <= METRICS["hustlex_attention"].labels["rule"]


async def test_the_exporter_answers_metrics_and_scale(hx: HustleX, raw: redis.Redis) -> None:
    await hx.jobs.enqueue("t", b"", queue="mail")
    answers = pages(FleetMetrics(hx, ttl=NO_TIME))
    metrics, scale = await answers[b"/metrics"](""), await answers[b"/scale"]("queue=mail")
    assert metrics.well and b"hustlex_queue_work" in metrics.body
    assert scale.body.startswith(b'{"queue":"mail","work":1,"wait_s":') and scale.body.endswith(b'"serving":0}')
    new = await answers[b"/scale"]("queue=never-seen")
    assert b'"work":0' in new.body
    bad = await answers[b"/scale"]("")
    assert (bad.status, bad.well) == (400, False)


async def test_every_fleet_metric_is_declared_and_told(hx: HustleX, raw: redis.Redis, driver: Any) -> None:
    await hx.jobs.enqueue("t", b"")
    await hx.jobs.limit_queue("default", max_size=5)
    await until_told(hx, driver)
    raw.config_set("maxmemory", "1gb")
    try:
        text = (await FleetMetrics(hx).text()).decode()
    finally:
        raw.config_set("maxmemory", "0")
    shown = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    rare = {"hustlex_scrape_errors", "hustlex_workers", "hustlex_redis_replica_silent_seconds"}
    assert shown | rare == {name for name, metric in METRICS.items() if metric.fleet} | rare


async def until_told(hx: HustleX, driver: Any) -> None:
    await hx.jobs.inspector.summaries()


@pytest.mark.parametrize("make", [lambda hx: FleetMetrics(None), lambda hx: FleetMetrics(hx, ttl=5)])
def test_bad_arguments_are_refused(hx: HustleX, make: Callable[[Any], Any]) -> None:
    with pytest.raises(Misuse):
        make(hx)
