"""What rooms did, as all processes told it, by the minute and by the hour: on a real server, one call a report."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import redis
from fastapi import FastAPI

from hustlex.app import HustleX
from hustlex.errors import Misuse
from hustlex.idempotency import Scope
from hustlex.metrics import Metrics, history, room_history
from hustlex.metrics.declared import METRICS
from hustlex.metrics.history import COUNTED, TIMED, HistoryTally, meanings_of, recorded, rooms_today
from hustlex.ratelimit import Policy
from hustlex.web import install, lifespan
from tests.conftest import PATIENCE, SECRET, unhurried
from tests.support.calls import Calls

NOW_MS = 1_795_425_653_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def front(url: str, hook: Any, **options: Any) -> HustleX:
    return HustleX(url, secret=SECRET, timeout=PATIENCE, hook=hook, ratelimit=unhurried(), **options)


async def told(hx: HustleX, tally: HistoryTally, at_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report of this moment; what is read later is as of then, too."""
    monkeypatch.setattr(history, "server_clock", lambda: at_ms)
    await hx.driver.run(tally.report(hx.prefix))


async def test_every_room_is_counted_and_told_by_what_stands_apart(url: str, metrics: Metrics) -> None:
    async with front(url, metrics, prefix="p:") as hx:
        two = Policy("two-a-minute", 2, timedelta(minutes=1))
        for _ in range(5):
            await hx.ratelimit.check(two, "u1", endpoint="/pay")
        users = hx.cache("user", int, ttl=timedelta(minutes=1), timeout=PATIENCE)
        await users.set(1, 7)
        for key in (1, 1, 1, 2):
            await users.get(key)
        issued = await hx.otp.issue("0803 123 4567", "login")
        await hx.otp.verify(issued.challenge, (await hx.otp.open(issued.challenge)).code)
        await hx.otp.issue("0803 123 4567", "login")  # too soon
        for _ in range(2):
            await hx.idempotency.begin("k1", Scope("u1", "POST", "/pay"), body=b"{}")
        await hx.events.channel("orders:{order_id}", dict).publish({"a": 1}, order_id=4)
        tally = HistoryTally(metrics)
        await hx.driver.run(tally.report(hx.prefix))
        await hx.driver.run(tally.report(hx.prefix))  # nothing new
        for room, label, counts in (
            ("limits", "two-a-minute", (2, 3)),
            ("cache", "user", (3, 1)),
            ("codes", "NG", (1, 1, 1)),
            ("idempotency", "keys", (1, 0, 1)),
            ("events", "live", (1, 0)),
        ):
            found = await room_history(hx, room)
            assert found.labels == {label: counts}, room
            assert sum_of(found.minutes) == sum_of(found.hours) == counts, room
            apart = await room_history(hx, room, label=label, hours=0, days=0)
            assert sum_of(apart.hours) == counts and apart.labels == found.labels
        today = await rooms_today(hx, ["limits", "codes"])
        assert {room: sum_of(each.hours) for room, each in today.items()} == {"limits": (2, 3), "codes": (1, 1, 1)}


def sum_of(points: Any) -> tuple[int, ...]:
    return tuple(map(sum, zip(*(point.counts for point in points), strict=True)))


async def test_minutes_and_hours_are_where_they_were_and_gaps_are_gaps(
    url: str, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with front(url, metrics) as hx:
        tally, count = HistoryTally(metrics), metrics.families["ratelimit_decisions_total"].add
        moments = {NOW_MS - 40 * DAY: 9, NOW_MS - 29 * DAY: 1, NOW_MS - DAY - HOUR: 2, NOW_MS - 5 * HOUR: 3,
                   NOW_MS - 2 * MINUTE: 4, NOW_MS: 5}  # fmt: skip
        for at_ms, times in moments.items():
            count(("pay", "allowed", "redis"), times)
            await told(hx, tally, at_ms, monkeypatch)
        found = await room_history(hx, "limits")
        first = NOW_MS // MINUTE * MINUTE
        assert [(point.at.timestamp() * 1000 - first, point.counts) for point in found.minutes] == [
            (-5 * HOUR, (3, 0)), (-2 * MINUTE, (4, 0)), (0, (5, 0)),
        ]  # fmt: skip
        assert [point.counts[0] for point in found.hours] == [1, 2, 3, 9]
        assert found.labels == {"pay": (12, 0)}
        assert [point.counts for point in (await room_history(hx, "limits", hours=1, days=0)).minutes] == [
            (4, 0), (5, 0),
        ]  # fmt: skip
        assert (await room_history(hx, "cache")).hours[-1].counts == (0, 0)  # somebody told of nothing


async def test_what_is_kept_is_bounded(
    url: str, metrics: Metrics, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_SERIES", 8)
    async with front(url, metrics) as hx:
        tally, decisions = HistoryTally(metrics), metrics.families["ratelimit_decisions_total"]
        for n in range(60):
            decisions.add((f"policy {n}", "allowed", "redis"))
        await told(hx, tally, NOW_MS, monkeypatch)
        assert raw.hlen("x:{rooms}:names") == 8
        assert sum_of((await room_history(hx, "limits")).minutes) == (60, 0)  # of all together nothing is missing
        later = NOW_MS + 40 * DAY
        decisions.add(("new", "allowed", "redis"))
        await told(hx, tally, later, monkeypatch)
        assert (await room_history(hx, "limits")).labels == {"new": (1, 0)}
        assert raw.hlen("x:{rooms}:names") == 8
        keys = list(raw.scan_iter("x:{rooms}:*"))
        assert keys and all(raw.ttl(key) > 0 for key in keys)


async def test_a_report_is_one_call_and_what_is_lost_is_lost(
    url: str, metrics: Metrics, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a process that runs: a call each time, one at its end, and none for what is counted."""
    monkeypatch.setattr(history, "EVERY_S", 0.01)
    calls = Calls()
    async with front(url, metrics) as hx, front(url, calls) as teller:
        async with recorded(metrics, lambda: teller):
            await hx.ratelimit.check(Policy("two", 2, timedelta(minutes=1)), "u1", endpoint="/pay")
            while len(calls.ended) < 3:
                await asyncio.sleep(0)
        assert Counter(calls.sent) == {"metrics.record": len(calls.sent)}
        assert (await room_history(teller, "limits")).labels == {"two": (1, 0)}
    async with recorded(metrics, lambda: None):
        pass
    nowhere = HustleX("redis://127.0.0.1:1/0", timeout=timedelta(milliseconds=10), failover=timedelta(0))
    async with nowhere as away, recorded(metrics, lambda: away):
        pass
    assert caplog.text.count("cannot be written down") == 1


async def test_an_api_tells_what_its_front_counts(url: str, metrics: Metrics) -> None:
    app = FastAPI(lifespan=lifespan(lambda: front(url, metrics)))
    install(app)
    async with app.router.lifespan_context(app):
        await app.state.hustlex.ratelimit.check(Policy("two", 2, timedelta(minutes=1)), "u1", endpoint="/pay")
    async with front(url, None) as hx:
        assert (await room_history(hx, "limits")).labels == {"two": (1, 0)}


async def test_what_cannot_be_asked_is_refused(url: str) -> None:
    async with front(url, None) as hx:
        for options in ({"hours": 25}, {"days": 31}, {"hours": -1}, {"label": 7}):
            with pytest.raises(Misuse):
                await room_history(hx, "limits", **options)  # type: ignore[arg-type]
        with pytest.raises(Misuse):
            await room_history(hx, "weather")


def test_every_meaning_is_of_a_room_and_something_that_is_counted() -> None:
    for metric, labels in (
        ("hustlex_ratelimit_decisions_total", ("p", "banned", "redis")),
        ("hustlex_cache_requests_total", ("c", "near")),
        ("hustlex_otp_steps_total", ("refused", "NG")),
        ("hustlex_idempotency_total", ("replay",)),
        ("hustlex_webhook_events_total", ("stripe", "seen")),
        ("hustlex_calls_total", ("events.append", "unavailable")),
    ):
        [(room, what, _)] = meanings_of(metric, labels)
        assert what in COUNTED[room], metric
    assert meanings_of("hustlex_calls_total", ("jobs.enqueue", "ok")) == ()
    assert meanings_of("hustlex_worker_slots", ("total",)) == ()


@pytest.mark.parametrize(("metric", "room"), [("task_duration_seconds", "run"), ("task_wait_seconds", "wait")])
def test_each_bucket_of_a_duration_has_a_meaning_of_its_own(metric: str, room: str) -> None:
    assert METRICS[f"hustlex_{metric}"].bounds == TIMED[room]
    found = meanings_of(f"hustlex_{metric}", ("x",))
    assert found == [(room, str(n), "x") for n in range(len(TIMED[room]) + 1)]
