"""What rooms did, on their pages and on Home: as it was told, and of rooms that exist for a person."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hustlex.dashboard import rooms
from hustlex.metrics import Metrics, RoomHistory, RoomPoint, attention
from hustlex.metrics.history import COUNTED, HistoryTally
from tests.dashboard.conftest import Person, text

HOSTILE = "<b>x</b> \u202e y"
COUNTS = (
    ("ratelimit_decisions_total", ("pay", "allowed", "redis"), 90),
    ("ratelimit_decisions_total", ("pay", "denied", "redis"), 10),
    ("ratelimit_decisions_total", (HOSTILE, "banned", "redis"), 3),
    ("cache_requests_total", ("user", "fresh"), 30),
    ("cache_requests_total", ("user", "miss"), 10),
    ("otp_steps_total", ("sent", "NG"), 20),
    ("otp_steps_total", ("verified", "NG"), 15),
    ("otp_steps_total", ("refused", "GH"), 4),
    ("idempotency_total", ("started",), 7),
    ("calls_total", ("events.append", "ok"), 5),
)


@pytest.fixture
async def told(hx: Any) -> None:
    """What some process told a moment ago."""
    metrics = Metrics()
    for name, labels, times in COUNTS:
        metrics.families[name].add(labels, times)
    await hx.driver.run(HistoryTally(metrics).report(hx.prefix))


async def test_each_room_shows_its_day_and_what_stands_apart(person: Callable[..., Person], told: None) -> None:
    ada = person("read")
    for room, words in {
        "limits": ("Allowed in 10 m, 24 hours 90", "refused 13", "pay 90 10 10.0 %", "100.0 %"),
        "cache": ("Hits in 10 m, 24 hours 30", "user 30 10 75.0 %"),
        "codes": ("Sent in 10 m, 24 hours 20", "verified 15, refused 4", "NG 20 15 0 75.0 %", "GH 0 0 4 -"),
        "idempotency": ("Begun in 10 m, 24 hours 7", "keys 7 0 0 0.0 %"),
        "events": ("Published in 10 m, 24 hours 5", "kept 5 0 0.0 %"),
    }.items():
        page = rooms.PAGES[room]
        shown = text((await ada.open(f"/{page.path}")).text)
        assert all(each in shown for each in words), (room, shown)
        assert "Charts begin" not in shown and ada.shown.count('<svg class="timeline"') == 2
    await ada.open("/limits?of=pay")
    assert "Of pay alone." in text(ada.shown) and "refused 10" in text(ada.shown)
    await ada.open("/limits")
    assert "&lt;b&gt;x&lt;/b&gt; \u2039202e\u203a y" in ada.shown and HOSTILE not in ada.shown
    assert "Nothing was told of it" in (await ada.open("/limits?of=nothing")).text


async def test_who_is_refused_most_stands_with_the_policy(person: Callable[..., Person], hx: Any) -> None:
    metrics = Metrics()
    for policy, caller, times in (("pay", "u7", 3), ("pay", "ip%3A203.0.113.7", 5), ("login", "<b>x", 2)):
        metrics.families["ratelimit_decisions_total"].add((policy, "denied", "redis"), times)
        for _ in range(times):
            metrics.callers.note(policy, caller)
    await hx.driver.run(HistoryTally(metrics).report(hx.prefix))
    ada, narrow = person("read"), person("read", rooms=("jobs",))
    await ada.open("/limits")
    assert "Refused, at least ip:203.0.113.7 pay 5 u7 pay 3 <b>x login 2" in text(ada.shown)
    await ada.open("/limits?of=login")
    assert "u7" not in text(ada.shown) and "login 2" in text(ada.shown)
    assert (await narrow.open("/limits")).status_code == 404


async def test_how_long_tasks_take_is_shown_to_whom_it_is_of(person: Callable[..., Person], hx: Any) -> None:
    metrics = Metrics()
    metrics.families["task_duration_seconds"].observe(0.3, ("gig:match",), 60)
    metrics.families["task_duration_seconds"].observe(2_000.0, ("gig:match",), 3)
    metrics.families["task_wait_seconds"].observe(0.04, ("critical",), 7)
    await hx.jobs.enqueue("gig:pay", queue="critical")
    await hx.driver.run(HistoryTally(metrics).report(hx.prefix))
    ada, narrow = person("read"), person("read", queues=("critical",))
    assert "Waiting 7 ≤ 50 ms ≤ 50 ms ≤ 50 ms" in text((await ada.open("/")).text)
    assert "Running 63 ≤ 500 ms ≤ 500 ms > 15 m" in text(ada.shown)
    assert "gig:match 63 ≤ 500 ms" in text((await ada.open("/queues")).text)
    assert "95 % waited ≤ 50 ms" in text((await narrow.open("/queues/critical")).text)
    for path in ("/", "/queues"):
        await narrow.open(path)
        assert "gig:match" not in narrow.shown and "&gt; 15 m" not in narrow.shown


async def test_home_has_a_line_for_each_room_that_exists(person: Callable[..., Person], told: None) -> None:
    ada, narrow = person("read"), person("read", rooms=("limits", "jobs"))
    shown = text((await ada.open("/")).text)
    for words in (
        "Limits 90 allowed, 13 refused 12.6 % refused",
        "Codes 20 sent, 15 verified, 4 refused 75.0 % verified",
    ):
        assert words in shown, shown
    await narrow.open("/")
    assert "90 allowed" in text(narrow.shown) and "verified" not in narrow.shown


async def test_a_room_of_which_nobody_told_says_what_to_do(person: Callable[..., Person]) -> None:
    ada = person("read")
    for page in rooms.PAGES.values():
        assert "process_metrics()" in (await ada.open(f"/{page.path}")).text, page.path
    assert "Rooms, in 24 hours" not in (await ada.open("/")).text


def lived(room: str, early: tuple[int, ...], late: tuple[int, ...]) -> RoomHistory:
    """Twenty hours of the one, and two of the other."""
    now = datetime(2026, 11, 29, 12, 30, tzinfo=UTC)
    hours = [RoomPoint(now - timedelta(hours=22 - n, minutes=30), early if n <= 20 else late) for n in range(23)]
    return RoomHistory(COUNTED[room], (), tuple(hours), {}, now)


@pytest.mark.parametrize(
    ("room", "early", "late", "words"),
    [
        ("codes", (100, 80, 0), (50, 10, 0), "codes: 20.0 % verified in the last two hours, 80.0 % before"),
        ("codes", (100, 80, 0), (50, 25, 0), ""),
        ("codes", (100, 80, 0), (5, 0, 0), ""),
        ("cache", (900, 100), (400, 600), "cache: 40.0 % hits in the last two hours, 90.0 % before"),
        ("limits", (990, 10), (900, 100), "limits: 10.0 % refused in the last two hours, 1.0 % before"),
        ("limits", (1000, 0), (980, 20), ""),
        ("events", (10, 0), (0, 10), ""),
    ],
)
def test_a_share_that_changed_needs_attention(
    room: str, early: tuple[int, ...], late: tuple[int, ...], words: str
) -> None:
    found = attention.of_rooms({room: lived(room, early, late)})
    assert [trouble.words for trouble in found] == ([words] if words else [])


def test_each_room_that_is_counted_has_a_page() -> None:
    assert rooms.PAGES.keys() == COUNTED.keys()
