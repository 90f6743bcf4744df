"""The cron dialect against firings recorded from Go, and against a search that tries every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.jobs.schedule import cron
from hustlex.jobs.schedule.cron import CronError, parse

START = datetime(2026, 3, 7, 23, 59, 59, 500_000, tzinfo=UTC)

RECORDED = {
    "*/15 * * * *": "03-08T00:00 03-08T00:15 03-08T00:30 03-08T00:45",
    "5/15 * * * *": "03-08T00:05 03-08T00:20 03-08T00:35 03-08T00:50",
    "0 0 1 * 1": "03-09T00:00 03-16T00:00 03-23T00:00 03-30T00:00",
    "0 0 */2 * 1": "03-09T00:00 03-11T00:00 03-13T00:00 03-15T00:00",
    "0 0 ? * MON": "03-09T00:00 03-16T00:00 03-23T00:00 03-30T00:00",
    "0 10-22/6 * * *": "03-08T10:00 03-08T16:00 03-08T22:00 03-09T10:00",
    "* * * * mon-fri/2": "03-09T00:00 03-09T00:01 03-09T00:02 03-09T00:03",
    "@weekly": "03-08T00:00 03-15T00:00 03-22T00:00 03-29T00:00",
    "TZ=America/New_York 30 2 * * *": "03-09T06:30 03-10T06:30 03-11T06:30 03-12T06:30",
    "CRON_TZ=America/New_York 30 1 * * *": "03-08T06:30 03-09T05:30 03-10T05:30 03-11T05:30",
    "TZ=UTC @daily": "03-08T00:00 03-09T00:00 03-10T00:00 03-11T00:00",
    "  0 0 * * *": "03-08T00:00 03-09T00:00 03-10T00:00 03-11T00:00",
}


def firings(spec: str, start: datetime, count: int = 4, timezone: str = "UTC") -> list[datetime]:
    schedule, found = cron.parse(spec, timezone), [start]
    for _ in range(count):
        following = schedule.next_after(found[-1])
        if following is None:
            break
        found.append(following)
    return found[1:]


@pytest.mark.parametrize("spec", RECORDED)
def test_firings_are_those_of_go(spec: str) -> None:
    assert " ".join(f"{at:%m-%dT%H:%M}" for at in firings(spec, START)) == RECORDED[spec]


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ("@every 90s", [89, 179, 269, 359]),
        ("@every 1500ms", [0, 1, 2, 3]),
        ("@every 100ms", [0, 1, 2, 3]),
        ("@every -5s", [0, 1, 2, 3]),
    ],
)
def test_every_counts_whole_seconds_from_the_firing_before(spec: str, seconds: list[int]) -> None:
    midnight = datetime(2026, 3, 8, tzinfo=UTC)
    assert firings(spec, START) == [midnight + timedelta(seconds=second) for second in seconds]


@pytest.mark.parametrize("spec", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 2/9 ?", "TZ=Africa/Lagos * * 30-31 feb *"])
def test_a_day_that_never_comes_is_refused_where_it_is_defined(spec: str) -> None:
    with pytest.raises(CronError, match="never fires"):
        parse(spec)


@pytest.mark.parametrize("spec", ["0 0 29 2 *", "0 0 31 4,5 *", "0 0 30 2 1", "0 0 31 2-3 *"])
def test_a_day_that_comes_now_and_then_fires(spec: str) -> None:
    assert firings(spec, START, 1)


@pytest.mark.parametrize(("spec", "same"), [("7", "0"), ("5-7", "5,6,0"), ("1,7", "1,0"), ("0-7", "0-6"), ("7/2", "0")])
def test_seven_is_sunday_too(spec: str, same: str) -> None:
    assert parse(f"0 9 * * {spec}") == parse(f"0 9 * * {same}")


def test_steps_of_weekdays_end_with_saturday() -> None:
    assert parse("0 9 * * 1/2") == parse("0 9 * * 1,3,5")


def test_a_leap_day_is_found() -> None:
    assert firings("0 0 29 2 *", START, 1) == [datetime(2028, 2, 29, tzinfo=UTC)]


def test_an_hour_that_occurs_twice_fires_twice() -> None:
    before = datetime(2026, 11, 1, 0, 0, tzinfo=UTC)
    assert [f"{at:%d %H:%M}" for at in firings("TZ=America/New_York 30 1 * * *", before, 3)] == [
        "01 05:30",
        "01 06:30",
        "02 06:30",
    ]


def test_the_zone_of_the_entry_is_used_unless_the_spec_has_its_own() -> None:
    assert f"{firings('0 9 * * 1', START, 1, 'Africa/Lagos')[0]:%m-%d %H:%M}" == "03-09 08:00"
    assert f"{firings('TZ=UTC 0 9 * * 1', START, 1, 'Africa/Lagos')[0]:%m-%d %H:%M}" == "03-09 09:00"


def test_a_day_that_starts_at_one_is_found() -> None:
    havana = firings("TZ=America/Havana 30 * 8 3 *", datetime(2026, 3, 1, tzinfo=UTC), 2)
    assert [f"{at.astimezone(ZoneInfo('America/Havana')):%d %H:%M}" for at in havana] == ["08 01:30", "08 02:30"]


def test_a_change_of_half_an_hour_is_kept() -> None:
    lord_howe = firings("TZ=Australia/Lord_Howe 15 2 * * *", datetime(2026, 10, 2, 12, tzinfo=UTC), 3)
    local = [at.astimezone(ZoneInfo("Australia/Lord_Howe")) for at in lord_howe]
    assert [f"{at:%d %H:%M}" for at in local] == ["03 02:15", "05 02:15", "06 02:15"]


@pytest.mark.parametrize(
    "spec",
    [
        "* * * * 8",
        "* * * * 6-8",
        "59-30 * * * *",
        f"{'9' * 5000} * * * *",
        f"*/{'9' * 200} * * * *",
        "@every 999999999999h",
        f"@every {'9' * 200}s",
        "* * * *",
        "* * * * * *",
        "@reboot",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "*/0 * * * *",
        "1-5-7 * * * *",
        "1/2/3 * * * *",
        "5-1 * * * *",
        "TZ=Bad/Zone * * * * *",
        "TZ=UTC",
        "a * * * *",
        "monday * * * *",
        "* * * * monday",
        "1_0 * * * *",
        ", * * * *",
        "",
        " @daily",
        "@every",
        "@every soon",
    ],
)
def test_what_go_refuses_is_refused(spec: str) -> None:
    with pytest.raises(CronError):
        cron.parse(spec)


def test_a_bad_zone_is_refused() -> None:
    with pytest.raises(CronError):
        cron.parse("@daily", "Lagos")


def values(low: int, high: int) -> st.SearchStrategy[tuple[str, frozenset[int]]]:
    """A field's text and what it stands for."""
    everything = st.just(("*", frozenset(range(low, high + 1))))
    some = st.frozensets(st.integers(low, high), min_size=1, max_size=3).map(
        lambda chosen: (",".join(map(str, sorted(chosen))), chosen)
    )
    return everything | some


@given(
    values(0, 59),
    values(0, 23),
    values(1, 31),
    values(0, 6),
    st.sampled_from(["UTC", "Africa/Lagos", "America/New_York", "America/Havana", "Asia/Beirut", "Asia/Kathmandu"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),  # noqa: DTZ001
)
def test_the_next_firing_is_the_first_minute_that_matches(
    minutes: tuple[str, frozenset[int]],
    hours: tuple[str, frozenset[int]],
    days: tuple[str, frozenset[int]],
    weekdays: tuple[str, frozenset[int]],
    zone: str,
    naive: datetime,
) -> None:
    start = naive.replace(tzinfo=UTC)
    found = cron.parse(f"{minutes[0]} {hours[0]} {days[0]} * {weekdays[0]}", zone).next_after(start)
    assert found is not None and found > start and found.second == 0
    starred = "*" in (days[0], weekdays[0])

    def matches(at: datetime) -> bool:
        local = at.astimezone(ZoneInfo(zone))
        by_day, by_weekday = local.day in days[1], local.isoweekday() % 7 in weekdays[1]
        on_day = by_day and by_weekday if starred else by_day or by_weekday
        return on_day and local.hour in hours[1] and local.minute in minutes[1]

    assert matches(found)
    first = start.replace(second=0, microsecond=0) + timedelta(minutes=1)
    for step in range(min(int((found - first).total_seconds() // 60), 1500)):
        assert not matches(first + timedelta(minutes=step))
        assert not matches(found - timedelta(minutes=step + 1))
