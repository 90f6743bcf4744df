"""Errors and history on the console's pages."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from hustlex.dashboard import timelines
from hustlex.dashboard.charts import timeline
from hustlex.jobs import HistoryPoint, QueueHistory, Tasks
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease import record
from hustlex.jobs.lease.record import FailureCount, FailureKind, QueueMeasure
from hustlex.jobs.wire import TaskMessage, encode_task
from tests.dashboard.conftest import Person
from tests.dashboard.test_pages import HOSTILE
from tests.worker.support import running


async def broken(hx: Any, queue: str = "gigs", text: str = "no such gig", *, times: int = 3) -> str:
    """A task that waits in retry, and the group of its failures."""
    await hx.jobs.enqueue("gig:pay", task_id="t1", queue=queue, process_in=timedelta(hours=1))
    kind = FailureKind("gig:pay", "app.errors.ProviderDown", "provider.post", text)
    await hx.driver.run(record.failures(queue_keys(queue), [FailureCount("5" * 16, kind, times, ("t1", "gone"))], 0))
    await hx.driver.run(record.history([(queue, QueueMeasure(9, 3, 1, 1500))], 0))
    return f"/errors/{queue}/{'5' * 16}"


async def test_without_failures_and_history_the_pages_say_so(hx: Any, person: Callable[..., Person]) -> None:
    ada = person("read")
    assert "No failure was seen" in (await ada.open("/errors")).text
    assert "Charts begin with the first worker" in (await ada.open("/")).text
    await hx.jobs.enqueue("gig:pay", queue="gigs")
    assert "Charts begin with the first worker" in (await ada.open("/queues/gigs")).text
    assert (await ada.open("/errors/gigs/nothing")).status_code == 404


async def test_an_error_group_leads_to_its_tasks(hx: Any, person: Callable[..., Person]) -> None:
    page = await broken(hx, times=30)
    ada = person("read")
    for path in ("/", "/errors", "/errors?queue=gigs", "/queues/gigs"):
        await ada.open(path)
        assert "app.errors.ProviderDown" in ada.shown and "no such gig" in ada.shown and page in ada.shown, path
    await ada.open("/")
    assert "app.errors.ProviderDown in gig:pay: 30 failures in an hour" in ada.shown
    await ada.open(page)
    assert "/tasks/gigs/t1" in ada.shown and "scheduled" in ada.shown and "ended, and not kept" in ada.shown
    assert "provider.post" in ada.shown


async def test_a_group_leads_to_all_tasks_that_failed_so(hx: Any, person: Callable[..., Person]) -> None:
    inspector, tasks = hx.jobs.inspector, Tasks()

    @tasks.task('pay "now"', max_retry=0)
    async def pay(n: int) -> None:
        raise ValueError(f'no {n} such "gig", \\ is refused')

    @tasks.task("other", max_retry=0)
    async def other() -> None:
        raise ValueError("no such gig, is refused")

    queued = [each.or_raise() for each in await hx.jobs.enqueue_many([*(pay.job(n) for n in range(3)), other.job()])]
    async with running(hx.driver, tasks):
        for each in queued:
            await each.wait(timeout=timedelta(seconds=50))
    group = next(each for each in await inspector.error_groups(["default"]) if each.count == 3)
    ada = person("read")
    await ada.open(f"/errors/default/{group.signature}")
    found = re.search(r'href="(/tasks\?q=[^"]+)"', ada.shown)
    assert found is not None
    await ada.open(html.unescape(found[1]))
    shown = [each.id for each in queued if each.id[:8] in ada.shown]
    assert shown == [each.id for each in queued[:3]]


async def test_all_that_failed_so_are_run_after_a_preview(
    hx: Any, raw: redis.Redis, person: Callable[..., Person]
) -> None:
    page, q = await broken(hx), queue_keys("gigs")
    for name, error in (
        ("f1", "ProviderDown: no such gig"),
        ("f2", "ProviderDown: no such gig"),
        ("left-alone", "ValueError"),
    ):
        message = TaskMessage("gig:pay", b"{}", name, "gigs", 25, error_msg=error)
        raw.hset(q.task(name), mapping={"msg": encode_task(message), "state": "archived"})
        raw.zadd(q.archived, {name: int(datetime.now(UTC).timestamp())})
    ada = person("act")
    await ada.open(page)
    query = re.search(r'name="query" value="([^"]+)"', ada.shown)
    assert query is not None
    await ada.press("plan_bulk", do="run", query=html.unescape(query[1]), back=page)
    assert "Run 2 tasks" in ada.shown and "left-alone" not in ada.shown
    [bulk] = await hx.jobs.inspector.bulk.newest()
    await ada.press("start_bulk", bulk=bulk.id, typed="2", back=page)
    assert [(await hx.jobs.inspector.task("gigs", name)).state.value for name in ("f1", "f2", "left-alone")] == [
        "pending", "pending", "archived",
    ]  # fmt: skip


async def test_a_muted_group_is_told_on_its_page_alone(hx: Any, person: Callable[..., Person]) -> None:
    page = await broken(hx, times=30)
    ada, wanted = person("act"), {"queue": "gigs", "signature": "5" * 16, "back": page}
    await ada.open(page)
    assert "badge calm" not in ada.shown[: ada.shown.index("figures")] and ">for 4 hours</button>" in ada.shown
    await ada.press("mute", length="4h", **wanted)
    assert "nobody is told. That ends" in ada.shown and "30" in ada.shown and "Lift the mute" in ada.shown
    for path, told in (("/", False), ("/errors", True), ("/queues/gigs", True)):
        await ada.open(path)
        assert ("muted</span>" in ada.shown) == ("app.errors.ProviderDown" in ada.shown) == told, path
        assert "failures in an hour" not in ada.shown
    await ada.open("/audit")
    assert "30 failures, not muted" in ada.shown and "30 failures, muted until" in ada.shown
    await ada.open(page)
    await ada.press("unmute", **wanted)
    assert ">for 4 hours</button>" in ada.shown
    await ada.open("/")
    assert "failures in an hour" in ada.shown
    await ada.open(page)
    await ada.press("mute", length="", **wanted)
    assert "when a task fails so again" in ada.shown
    for length in ("99d", "0s"):
        assert (await ada.press("mute", length=length, **wanted)).status_code == 400
    assert (await ada.press("mute", **wanted | {"signature": "6" * 16})).status_code == 404


async def test_what_is_muted_hides_nothing_else(hx: Any, person: Callable[..., Person]) -> None:
    await broken(hx, times=30)
    known = FailureKind("gig:known", "app.errors.Known", "", "")
    await hx.driver.run(
        record.failures(queue_keys("gigs"), [FailureCount(f"{n:016x}", known, 1, ("t1",)) for n in range(20)], 0)
    )
    for n in range(20):
        await hx.jobs.inspector.mute_errors("gigs", f"{n:016x}")
    ada = person("read")
    await ada.open("/")
    assert "app.errors.ProviderDown in gig:pay: 30 failures in an hour" in ada.shown
    assert "app.errors.Known" not in ada.shown


async def test_charts_stand_on_the_home_and_the_queue_page(hx: Any, person: Callable[..., Person]) -> None:
    await broken(hx)
    ada = person("read")
    for path, count in (("/", 3), ("/queues/gigs", 6)):
        await ada.open(path)
        assert ada.shown.count('<svg class="timeline"') == count, path
        assert "Attempts per minute over the last 24 hours" in ada.shown and "The same in numbers" in ada.shown


async def test_errors_and_history_of_other_queues_do_not_exist(hx: Any, person: Callable[..., Person]) -> None:
    hidden = await broken(hx, "wallets")
    await broken(hx, "gigs", "of gigs")
    narrow = person("act", queues=("gig*",))
    for path in ("/", "/errors", "/queues/gigs"):
        await narrow.open(path)
        assert "of gigs" in narrow.shown and "wallets" not in narrow.shown, path
    assert (await narrow.open(hidden)).status_code == 404
    assert (await narrow.open("/errors?queue=wallets")).status_code == 404
    assert "timeline" not in (await narrow.open("/")).text
    assert (await narrow.client.get("/live", params={"path": hidden})).status_code == 404


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_errors_say_is_shown_as_text(hx: Any, person: Callable[..., Person], text: str) -> None:
    kind = FailureKind(text, text, text, text)
    await hx.driver.run(record.failures(queue_keys("gigs"), [FailureCount("5" * 16, kind, 1, (text,))], 0))
    await hx.driver.run(record.history([("gigs", QueueMeasure(9, 3, 1, 1500))], 0))
    await hx.jobs.enqueue("gig:pay", queue="gigs")
    ada = person("read")
    for path in ("/", "/errors", "/queues/gigs", f"/errors/gigs/{'5' * 16}"):
        answer = await ada.open(path)
        assert answer.status_code == 200
        for raw in ("<script>alert", "<img src=x", ">49<", "\u202e", "\u200b"):
            assert raw not in answer.text, path


async def test_what_an_error_says_passes_the_formatter(hx: Any, person: Callable[..., Person]) -> None:
    page = await broken(hx, text="refused for +2348031234567, Bearer abcdef123456")
    ada = person("act", reveal=True)
    for path in ("/", "/errors", page):
        await ada.open(path)
        assert "8031234567" not in ada.shown and "abcdef" not in ada.shown and "•••••67" in ada.shown, path


# -- charts


def test_a_chart_has_a_gap_where_nothing_is_known() -> None:
    drawn = str(timeline([("work", [1, 2, None, None, 4]), ("bad", [0, 0, None, None, None])], "a < b"))
    assert drawn.count("M") == 2 + 2 + 1 and "a &lt; b" in drawn
    assert "None" not in drawn and "nan" not in drawn
    assert "M" in str(timeline([("work", [None, 5, None])], "one point"))
    assert 'd=""' in str(timeline([("work", [None])], "nothing"))


@pytest.mark.parametrize(
    ("unfinished", "said"),
    [
        (lambda minute: 1_000 - 50 * minute, "empty at 12:20 UTC"),
        (lambda minute: 1_000 + 120 * minute, "+120 a minute"),
        (lambda minute: 1_000 + (-1) ** minute * 400, ""),
        (lambda minute: 1_000, ""),
        (lambda minute: 10**6 - minute, ""),
        (lambda minute: 0, ""),
    ],
)
def test_a_forecast_is_told_where_it_is_clear(unfinished: Callable[[int], int], said: str) -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    points = tuple(HistoryPoint(noon + timedelta(minutes=n), 0, 0, unfinished(n), timedelta(0)) for n in range(11))
    assert timelines.forecast(QueueHistory(points, (), points[-1].at)) == said
    assert timelines.forecast(QueueHistory(points[-4:], (), points[-1].at)) == ""


def test_a_chart_is_small_whatever_it_shows() -> None:
    now = _point(1439).at
    history = QueueHistory(tuple(map(_point, range(1440))), tuple(_hour(n) for n in range(720)), now)
    for found in (timelines.of_day(history), timelines.of_month(history)):
        assert len(found) == 3 and sum(len(each.chart) for each in found) < 24_000
    assert len(timelines.rows(history)) == 24
    assert timelines.of_day(QueueHistory((), (), now)) == []


def _point(minute: int) -> HistoryPoint:
    at = datetime(2026, 11, 23, tzinfo=UTC) + timedelta(minutes=minute)
    return HistoryPoint(at, 10**6 + minute * 7919 % 1000, minute % 7, 10**5 + minute, timedelta(seconds=minute))


def _hour(hour: int) -> HistoryPoint:
    return replace(_point(0), at=_point(1439).at - timedelta(hours=719 - hour))
