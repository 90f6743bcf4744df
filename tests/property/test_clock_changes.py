"""Firings around clock changes of many zones against a search that tries every minute, by the rules as they read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hustlex.jobs import Dst, Job
from hustlex.jobs.schedule.clock_changes import obey
from hustlex.jobs.schedule.cron import CronError, Schedule, parse
from hustlex.jobs.schedule.periodic import define
from tests.support.depth import examples

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

CHANGES = {  # a day near each: an hour, half an hour, at midnight, at the end of Ramadan, whole days, no change at all
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Havana", date(2026, 3, 8)),
    ("America/Havana", date(2026, 11, 1)),
    ("Asia/Beirut", date(2026, 3, 29)),
    ("America/Santiago", date(2026, 9, 6)),
    ("America/Santiago", date(2026, 4, 5)),
    ("Africa/Casablanca", date(2026, 2, 15)),
    ("Africa/Casablanca", date(2026, 3, 22)),
    ("Africa/Cairo", date(2026, 4, 24)),
    ("Asia/Gaza", date(2026, 3, 28)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("Pacific/Kwajalein", date(1993, 8, 21)),
    ("America/Caracas", date(2016, 5, 1)),
    ("Asia/Pyongyang", date(2018, 5, 5)),
    ("Antarctica/Troll", date(2026, 3, 29)),
    ("Antarctica/Troll", date(2026, 10, 25)),
    ("Africa/Lagos", date(2026, 3, 29)),
}
SKIPPED_A_DAY = {"Pacific/Apia", "Pacific/Kwajalein"}


class Spec:
    """A spec as text, and as the sets it stands for."""

    def __init__(self, minutes: frozenset[int], hours: frozenset[int], days: frozenset[int] | None) -> None:
        self.minutes, self.hours, self.days = minutes, hours, days
        self.rhythm = len(hours) == 24

    @property
    def text(self) -> str:
        def listed(values: frozenset[int]) -> str:
            return ",".join(map(str, sorted(values)))

        hours = "*" if self.rhythm else listed(self.hours)
        return f"{listed(self.minutes)} {hours} {listed(self.days) if self.days else '*'} * *"

    def matches(self, local: datetime) -> bool:
        return (
            local.minute in self.minutes and local.hour in self.hours and (self.days is None or local.day in self.days)
        )

    def __repr__(self) -> str:
        return self.text


specs = st.builds(
    Spec,
    st.frozensets(st.sampled_from([0, 1, 15, 29, 30, 31, 45, 59]), min_size=1, max_size=4),
    st.frozensets(st.sampled_from([0, 1, 2, 3, 4, 12, 23]), min_size=1, max_size=4) | st.just(frozenset(range(24))),
    st.none() | st.frozensets(st.integers(1, 31), min_size=10, max_size=25),
)


def minutes_of(first: datetime, last: datetime) -> list[datetime]:
    return [first + n * MINUTE for n in range(int((last - first) / MINUTE) + 1)]


def brute_force(spec: Spec, zone: ZoneInfo, dst: Dst, first: datetime, last: datetime) -> list[datetime]:
    """UTC minutes: of every minute of real time its local time is looked at; of a jump of the clock what it passed."""
    found: set[datetime] = set()
    seen: set[datetime] = set()
    moments = minutes_of(first - 2 * DAY, last)
    locals_ = [moment.astimezone(zone).replace(tzinfo=None) for moment in moments]
    for moment, local in zip(moments, locals_, strict=True):
        again, _ = local in seen, seen.add(local)
        if spec.matches(local) and (dst == "asynq" or spec.rhythm or not again):
            found.add(moment)
    if dst == "once" and not spec.rhythm:
        for (_, before), (moment, after) in pairwise(zip(moments, locals_, strict=True)):
            if any(spec.matches(passed) for passed in minutes_of(before + MINUTE, after - MINUTE)):
                found.add(moment)
    return sorted(moment for moment in found if first < moment <= last)


def firings(schedule: Schedule, first: datetime, last: datetime) -> list[datetime]:
    found = []
    at = schedule.next_after(first)
    while at is not None and at <= last:
        found.append(at)
        at = schedule.next_after(at)
    return found


@settings(deadline=None, max_examples=examples(150))
@given(
    st.sampled_from(sorted(CHANGES)), specs, st.sampled_from(["asynq", "skip", "once"]), st.integers(0, 2 * 86400 - 1)
)
@example(("America/New_York", date(2026, 3, 8)), Spec(frozenset({30}), frozenset({2}), None), "once", 0)
@example(("America/New_York", date(2026, 3, 8)), Spec(frozenset({59}), frozenset({2}), None), "once", 0)
@example(("America/New_York", date(2026, 11, 1)), Spec(frozenset({30}), frozenset({1}), None), "skip", 0)
@example(("Australia/Lord_Howe", date(2026, 10, 4)), Spec(frozenset({1, 15}), frozenset({2}), None), "once", 0)
@example(("Pacific/Apia", date(2011, 12, 30)), Spec(frozenset({0}), frozenset({12}), None), "once", 0)
def test_firings_are_those_of_a_search_of_every_minute(
    change: tuple[str, date], spec: Spec, dst: Dst, offset_s: int
) -> None:
    zone = ZoneInfo(change[0])
    first = datetime.combine(change[1], datetime.min.time(), UTC) - 2 * DAY + timedelta(seconds=offset_s)
    last = first.replace(second=0) + 4 * DAY
    found = firings(obey(parse(spec.text, change[0]), dst), first, last)
    start = first.replace(second=0)
    assert found == brute_force(spec, zone, dst, start, last)


@settings(deadline=None, max_examples=examples(60))
@given(
    st.sampled_from(sorted(change for change in CHANGES if change[0] not in SKIPPED_A_DAY)),
    st.integers(0, 59),
    st.integers(0, 23),
)
def test_once_fires_exactly_once_a_day(change: tuple[str, date], minute: int, hour: int) -> None:
    """A daily entry, for half a year."""
    zone = ZoneInfo(change[0])
    first = datetime.combine(change[1] - timedelta(days=90), datetime.min.time(), zone).astimezone(UTC) - MINUTE
    last = datetime.combine(change[1] + timedelta(days=90), datetime.min.time(), zone).astimezone(UTC) - MINUTE
    found = firings(obey(parse(f"{minute} {hour} * * *", change[0]), "once"), first, last)
    assert len(found) == 180


@pytest.mark.parametrize(
    ("dst", "spring", "autumn"),
    [
        ("asynq", "07 07:30, 09 06:30", "01 05:30, 01 06:30, 02 06:30"),
        ("skip", "07 07:30, 09 06:30", "01 05:30, 02 06:30"),
        ("once", "07 07:30, 08 07:00, 09 06:30", "01 05:30, 02 06:30"),
    ],
)
def test_new_york(dst: Dst, spring: str, autumn: str) -> None:
    def shown(spec: str, first: datetime, count: int) -> str:
        found = firings(obey(parse(spec, "America/New_York"), dst), first, first + 3 * DAY)
        return ", ".join(f"{at:%d %H:%M}" for at in found[:count])

    assert shown("30 2 * * *", datetime(2026, 3, 7, tzinfo=UTC), len(spring.split(", "))) == spring
    assert shown("30 1 * * *", datetime(2026, 11, 1, tzinfo=UTC), len(autumn.split(", "))) == autumn


@pytest.mark.parametrize("dst", ["asynq", "skip", "once"])
@pytest.mark.parametrize("spec", ["*/15 * * * *", "7 * * * *", "@hourly", "@every 1h", "30 0-23 * * *"])
def test_a_rhythm_goes_on_through_changes(spec: str, dst: Dst) -> None:
    for first in (datetime(2026, 3, 7, tzinfo=UTC), datetime(2026, 10, 31, tzinfo=UTC)):
        found = firings(obey(parse(spec, "America/New_York"), dst), first, first + 2 * DAY)
        assert len({after - before for before, after in pairwise(found)}) == 1


def test_a_year_with_three_changes_is_searched_in_time() -> None:
    entry = define("n", "0 0 29 2 *", Job("t"), timezone="Africa/Casablanca", dst="once")
    assert entry.next_ms(1_700_000_000_000) == datetime(2024, 2, 28, 23, tzinfo=UTC).timestamp() * 1000


@given(
    st.sampled_from(["* * * * *", "*/7 3 * * *", "@every 90s", "@every 7h", "0 9 * * 1", "0 0 1 * *", "@yearly"]),
    st.integers(1_700_000_000_000, 1_710_000_000_000),
    st.integers(0, 3_000_000_000),
    st.integers(1, 50),
)
@settings(deadline=None, max_examples=examples(60))
def test_what_passed_are_the_newest_instants_of_all(spec: str, after_ms: int, span_ms: int, most: int) -> None:
    entry = define("n", spec, Job("t"))
    every, at_ms = [], entry.next_ms(after_ms)
    while 0 <= at_ms <= after_ms + span_ms:
        every.append(at_ms)
        at_ms = entry.next_ms(at_ms)
    assert entry.passed(after_ms, after_ms + span_ms, most) == every[-most:]


def test_a_policy_does_not_hide_a_bad_spec() -> None:
    with pytest.raises(CronError):
        define("n", "* * * * 8", Job("t"), dst="once")
