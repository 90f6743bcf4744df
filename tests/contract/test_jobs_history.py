"""What happened in queues, by the minute and the hour, and which failures: told by workers, read by operators."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse, NotFound
from hustlex.jobs import Muted
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease import record
from hustlex.jobs.lease.record import FailureCount, FailureKind, QueueMeasure
from hustlex.metrics.attention import of_errors

NOON = 1_795_435_200_000
MINUTE = timedelta(minutes=1)
GIGS = queue_keys("gigs")


@pytest.fixture(autouse=True)
def noon(clock: FixedClock) -> None:
    clock.now_ms = NOON


async def tell(driver: Driver, clock: FixedClock, **queues: tuple[int, int, int, int]) -> None:
    """Numbers as they stand: processed, failed, unfinished, waited_ms."""
    await driver.run(record.history([(name, QueueMeasure(*seen)) for name, seen in queues.items()], clock()))


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


async def test_time_series_has_what_was_added_in_each_minute_and_hour(
    hx: Any, driver: Driver, clock: FixedClock
) -> None:
    await tell(driver, clock, gigs=(1_000, 10, 5, 100))
    clock.advance(timedelta(seconds=10))
    await tell(driver, clock, gigs=(1_030, 12, 7, 50))
    clock.advance(MINUTE)
    await tell(driver, clock, gigs=(1_031, 12, 0, 0))
    history = await hx.jobs.inspector.time_series("gigs", hours=1, days=1)
    points = [(each.at, each.processed, each.failed, each.unfinished, each.waited) for each in history.minutes]
    assert points == [
        (at(NOON), 30, 2, 7, timedelta(milliseconds=100)),
        (at(NOON + 60_000), 1, 0, 0, timedelta(0)),
    ]
    [hour] = history.hours
    assert (hour.at, hour.processed, hour.failed, hour.unfinished) == (at(NOON), 31, 2, 7)
    assert history.now == at(clock.now_ms)


async def test_recent_minutes_of_several_queues_are_one_answer(hx: Any, driver: Driver, clock: FixedClock) -> None:
    for processed in (0, 5, 7):
        await tell(driver, clock, gigs=(processed, 0, 5, 100))
        clock.advance(MINUTE)
    await tell(driver, clock, gigs=(8, 0, 5, 100), sms=(3, 0, 0, 0))
    gigs, nothing, sms = await hx.jobs.inspector.recent(["gigs", "nothing", "sms"])
    assert gigs[-5:] == (None, 0, 5, 2, 1) and len(gigs) == 60
    assert sms[-2:] == (None, 0) and set(nothing) == {None}
    clock.advance(timedelta(minutes=58))
    [gigs] = await hx.jobs.inspector.recent(["gigs"])
    assert gigs[:3] == (2, 1, None) and len(gigs) == 60
    assert await hx.jobs.inspector.recent([]) == []


async def test_time_series_of_all_queues_is_their_sum(hx: Any, driver: Driver, clock: FixedClock) -> None:
    await tell(driver, clock, gigs=(0, 0, 5, 10), sms=(0, 0, 7, 30))
    clock.advance(timedelta(seconds=10))
    await tell(driver, clock, gigs=(3, 1, 2, 0), sms=(4, 0, 9, 20))
    [minute] = (await hx.jobs.inspector.time_series(hours=0, days=0)).minutes
    assert (minute.processed, minute.failed, minute.unfinished) == (7, 1, 12)
    assert minute.waited == timedelta(milliseconds=30)
    assert (await hx.jobs.inspector.time_series("nothing")).minutes == ()


async def test_what_is_told_twice_and_by_several_counts_once(hx: Any, driver: Driver, clock: FixedClock) -> None:
    """Also when one worker looked before another and tells after it."""
    for seen in ((5, 1, 3, 0), (9, 2, 3, 0), (9, 2, 3, 0), (8, 1, 3, 0), (9, 2, 3, 0), (12, 2, 3, 0)):
        await tell(driver, clock, gigs=seen)
        clock.advance(timedelta(milliseconds=10))
    [minute] = (await hx.jobs.inspector.time_series("gigs", hours=0, days=0)).minutes
    assert (minute.processed, minute.failed) == (7, 1)


async def test_a_gap_is_left_out_and_its_difference_too(hx: Any, driver: Driver, clock: FixedClock) -> None:
    await tell(driver, clock, gigs=(0, 0, 0, 0))
    clock.advance(timedelta(minutes=10))
    await tell(driver, clock, gigs=(500, 0, 0, 0))
    clock.advance(timedelta(seconds=30))
    await tell(driver, clock, gigs=(501, 0, 0, 0))
    minutes = (await hx.jobs.inspector.time_series("gigs", hours=1, days=0)).minutes
    assert [(each.at, each.processed) for each in minutes] == [(at(NOON), 0), (at(NOON + 600_000), 1)]


async def test_counters_that_begin_anew_are_followed(hx: Any, driver: Driver, clock: FixedClock) -> None:
    """A queue that was deleted and made again counts from 0."""
    for processed in (1_000, 1_001, 3, 5):
        await tell(driver, clock, gigs=(processed, 0, 0, 0))
        clock.advance(timedelta(seconds=1))
    [minute] = (await hx.jobs.inspector.time_series("gigs", hours=0, days=0)).minutes
    assert minute.processed == 3


async def test_a_day_by_the_minute_and_a_month_by_the_hour_are_kept(
    hx: Any, driver: Driver, clock: FixedClock, raw: redis.Redis
) -> None:
    await tell(driver, clock, gigs=(0, 0, 1, 0))
    clock.advance(timedelta(hours=24))
    await tell(driver, clock, gigs=(0, 0, 2, 0))
    history = await hx.jobs.inspector.time_series("gigs")
    assert [each.unfinished for each in history.minutes] == [1, 2]
    clock.advance(timedelta(minutes=1))
    assert [each.unfinished for each in (await hx.jobs.inspector.time_series("gigs")).minutes] == [2]
    clock.advance(timedelta(days=29))
    assert [each.unfinished for each in (await hx.jobs.inspector.time_series("gigs")).hours] == [1, 2]
    lives = {key: raw.ttl(key) for key in raw.scan_iter("asynq:x:{history}:*")}
    assert len(lives) == 5 and all(0 < left <= 32 * 86_400 for key, left in lives.items())


async def test_more_queues_than_are_kept_are_passed_over_until_one_is_forgotten(
    hx: Any, driver: Driver, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "MOST_QUEUES", 2)
    await tell(driver, clock, a=(0, 0, 1, 0), b=(0, 0, 1, 0), c=(0, 0, 1, 0))
    assert (await hx.jobs.inspector.time_series("c")).minutes == ()
    clock.advance(timedelta(hours=25))
    await tell(driver, clock, b=(0, 0, 1, 0), c=(0, 0, 5, 0))
    assert [each.unfinished for each in (await hx.jobs.inspector.time_series("c")).hours] == [5]
    assert (await hx.jobs.inspector.time_series("a")).hours == ()
    [whole] = (await hx.jobs.inspector.time_series(hours=0, days=0)).minutes
    assert whole.unfinished == 6


# -- failures


def seen(signature: str, count: int, *ids: str, message: str = "no such gig") -> FailureCount:
    return FailureCount(signature, FailureKind("gig:pay", "ValueError", "provider.post", message), count, ids)


async def test_error_groups_are_counted_by_signature(hx: Any, driver: Driver, clock: FixedClock) -> None:
    await driver.run(record.failures(GIGS, [seen("a", 2, "t2", "t1"), seen("b", 1, "t3")], clock()))
    clock.advance(timedelta(hours=2))
    await driver.run(record.failures(GIGS, [seen("a", 3, "t5", "t2", message="again")], clock()))
    first, second = await hx.jobs.inspector.error_groups(["gigs"])
    assert (first.signature, first.count, first.ids, first.message) == ("a", 5, ("t5", "t2", "t1"), "again")
    assert (first.first_seen, first.last_seen) == (at(NOON), at(clock.now_ms))
    assert (first.queue, first.type, first.error, first.place) == ("gigs", "gig:pay", "ValueError", "provider.post")
    assert first.by_hour[-3:] == (2, 0, 3) and len(first.by_hour) == 24
    assert (second.signature, second.count) == ("b", 1)
    assert len(await hx.jobs.inspector.error_groups(["gigs"], size=1)) == 1


async def test_error_groups_have_a_most_and_an_end(
    hx: Any, driver: Driver, clock: FixedClock, raw: redis.Redis
) -> None:
    for n in range(150):
        await driver.run(record.failures(GIGS, [seen(f"s{n}", 1, *(f"t{n}-{m}" for m in range(30)))], clock()))
        clock.advance(timedelta(milliseconds=1))
    groups = await hx.jobs.inspector.error_groups(["gigs"], size=100)
    assert [each.signature for each in groups] == [f"s{n}" for n in range(149, 49, -1)]
    assert all(len(each.ids) == 10 for each in groups)
    assert raw.hlen("asynq:{gigs}:x:errors") == raw.zcard("asynq:{gigs}:x:errors:seen") == 100
    assert 0 < raw.ttl("asynq:{gigs}:x:errors") <= 30 * 86_400
    assert sum(raw.memory_usage(key) for key in raw.scan_iter("asynq:{gigs}:x:errors*")) < 200_000


async def test_a_group_is_muted_for_a_while(hx: Any, driver: Driver, clock: FixedClock) -> None:
    inspector = hx.jobs.inspector
    await driver.run(record.failures(GIGS, [seen("a", 30, "t2", "t1"), seen("b", 30, "t3")], clock()))
    before = await inspector.error_groups(["gigs"])
    await inspector.mute_errors("gigs", "a", length=timedelta(hours=4))
    muted = {each.signature: each for each in await inspector.error_groups(["gigs"])}
    until = at(clock.now_ms) + timedelta(hours=4)
    assert [muted[name].muted for name in "ab"] == [Muted(until), None]
    assert [msgspec.structs.replace(muted[each.signature], muted=None) for each in before] == before
    assert [each.path[-1] for each in of_errors(tuple(muted.values()), at(clock.now_ms))] == ["b"]
    clock.advance(timedelta(hours=3))
    await driver.run(record.failures(GIGS, [seen("a", 30, "t4")], clock()))
    [first, _] = await inspector.error_groups(["gigs"])
    assert (first.count, first.muted) == (60, Muted(until)) and of_errors([first], at(clock.now_ms)) == []
    clock.advance(timedelta(hours=1))
    assert [each.muted for each in await inspector.error_groups(["gigs"])] == [None, None]


async def test_a_group_is_muted_until_it_fails_again(hx: Any, driver: Driver, clock: FixedClock) -> None:
    inspector = hx.jobs.inspector
    await driver.run(record.failures(GIGS, [seen("a", 3, "t1")], clock()))
    for _ in range(2):
        await inspector.mute_errors("gigs", "a")
        clock.advance(timedelta(days=9))
        assert [each.muted for each in await inspector.error_groups(["gigs"])] == [Muted(None)]
        await driver.run(record.failures(GIGS, [seen("a", 1, "t2")], clock()))
        assert [each.muted for each in await inspector.error_groups(["gigs"])] == [None]
    await inspector.mute_errors("gigs", "a")
    await inspector.unmute_errors("gigs", "a")
    assert [each.muted for each in await inspector.error_groups(["gigs"])] == [None]


async def test_mute_errors_and_unmute_errors_know_groups_that_are_noted(hx: Any, raw: redis.Redis) -> None:
    for n, odd in enumerate(("", "[]", "7", '"x"', "{}", "\xff")):
        raw.hset("asynq:{gigs}:x:errors", f"odd{n}", odd)
    for signature in ("none", *(f"odd{n}" for n in range(6))):
        with pytest.raises(NotFound, match="knows no failures"):
            await hx.jobs.inspector.mute_errors("gigs", signature)
        with pytest.raises(NotFound, match="knows no failures"):
            await hx.jobs.inspector.unmute_errors("gigs", signature)
    for length in (timedelta(days=31), timedelta(seconds=-1), 5):
        with pytest.raises(Misuse):
            await hx.jobs.inspector.mute_errors("gigs", "a", length=length)


async def test_an_hour_a_day_ago_is_forgotten(hx: Any, driver: Driver, clock: FixedClock) -> None:
    for _ in range(30):
        await driver.run(record.failures(GIGS, [seen("a", 1, "t")], clock()))
        clock.advance(timedelta(hours=1))
    [group] = await hx.jobs.inspector.error_groups(["gigs"])
    assert group.by_hour == (1,) * 24 and group.count == 30


async def test_failing_names_queues_whose_counter_grew(hx: Any, driver: Driver, clock: FixedClock) -> None:
    await tell(driver, clock, gigs=(5, 0, 0, 0), sms=(5, 5, 0, 0), low=(5, 0, 0, 0))
    clock.advance(timedelta(seconds=10))
    await tell(driver, clock, gigs=(6, 1, 0, 0), sms=(5, 5, 0, 0), low=(9, 0, 0, 0))
    assert await hx.jobs.inspector.failing() == ["gigs", "sms"]
    await driver.run(record.failures(GIGS, [seen("a", 1, "t")], clock()))
    assert [each.queue for each in await hx.jobs.inspector.error_groups()] == ["gigs"]


async def test_what_cannot_be_read_is_left_out(hx: Any, driver: Driver, clock: FixedClock, raw: redis.Redis) -> None:
    await driver.run(record.failures(GIGS, [seen("a", 1, "t")], clock()))
    for n, odd in enumerate(('{"told": 1}', "", "[]", '{"told":{},"count":1e400,"first":1,"last":1}', "\xff")):
        raw.hset("asynq:{gigs}:x:errors", f"odd{n}", odd)
        raw.zadd("asynq:{gigs}:x:errors:seen", {f"odd{n}": NOON + n})
    assert [each.signature for each in await hx.jobs.inspector.error_groups(["gigs"])] == ["a"]
