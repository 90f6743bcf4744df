"""Who is refused most: counted in a bounded place, told with what the rooms did, read by policy."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from hustlex.app import HustleX
from hustlex.errors import Misuse
from hustlex.metrics import Metrics, RefusedCaller, refused_callers
from hustlex.metrics.callers import CallerSketch
from hustlex.metrics.history import HistoryTally
from hustlex.ratelimit import Policy
from tests.conftest import PATIENCE, SECRET, unhurried

ONE = Policy("one", 1, timedelta(minutes=1))
TWO = Policy("two", 2, timedelta(minutes=1))


def front(url: str, hook: Any, **options: Any) -> HustleX:
    return HustleX(url, secret=SECRET, timeout=PATIENCE, hook=hook, ratelimit=unhurried(), **options)


async def test_callers_are_told_by_the_policy_that_refused_them(url: str, metrics: Metrics) -> None:
    async with front(url, metrics, prefix="p:") as hx:
        for who, times in (("u1", 4), ("ip:203.0.113.7", 9), ("quiet", 1)):
            for _ in range(times):
                await hx.ratelimit.check(ONE, who, endpoint="/pay")
        for _ in range(3):
            await hx.ratelimit.check_all([(TWO, "u1", "/all"), (ONE, "u2", "/all")])
        tally = HistoryTally(metrics)
        await hx.driver.run(tally.report(hx.prefix))
        await hx.driver.run(tally.report(hx.prefix))  # nothing new
        found = await refused_callers(hx, ["one", "two"])
        assert found == (
            RefusedCaller("one", "ip:203.0.113.7", 8), RefusedCaller("one", "u1", 3), RefusedCaller("one", "u2", 2),
        )  # fmt: skip
        assert await refused_callers(hx, ["one"], max_callers=1) == found[:1]
        assert await refused_callers(hx, ["nobody"]) == ()


async def test_what_is_kept_is_bounded_and_ends(url: str, metrics: Metrics, raw: redis.Redis) -> None:
    async with front(url, metrics) as hx:
        tally = HistoryTally(metrics)
        for part in range(6):
            for n in range(50):
                for _ in range(2):
                    metrics.callers.note("one", f"u{part}-{n}")
            await hx.driver.run(tally.report(hx.prefix))
        [key] = raw.scan_iter("x:{rooms}:refused:*")
        assert raw.zcard(key) == 200 and 0 < raw.ttl(key) <= 90_000


async def test_a_server_that_is_away_makes_nobody_a_culprit(metrics: Metrics) -> None:
    away = "redis://127.0.0.1:1/0"
    async with HustleX(away, timeout=timedelta(milliseconds=10), failover=timedelta(0), hook=metrics) as hx:
        closed = Policy("closed", 1, timedelta(minutes=1), on_error="closed")
        assert not await hx.ratelimit.check(closed, "u1", endpoint="/pay")
    assert metrics.callers.take() == []


@given(st.lists(st.integers(0, 120), max_size=600))
def test_a_sketch_tells_too_little_and_never_too_much_and_misses_nobody_who_matters(callers: list[int]) -> None:
    sketch, truth = CallerSketch(), Counter(map(str, callers))
    for each in callers:
        sketch.note("p", str(each))
    told = {caller: times for _, caller, times in sketch.take()}
    assert len(told) <= 50 and all(0 < times <= truth[caller] for caller, times in told.items())
    assert all(caller in told for caller, times in truth.items() if times > len(callers) / 50)
    if len(truth) <= 50:
        assert told == truth
    assert sketch.take() == []


def test_a_sketch_keeps_no_more_policies_than_metrics_do() -> None:
    sketch = CallerSketch()
    for n in range(300):
        sketch.note(f"policy {n}", "u1")
    assert len(sketch.take()) == 100


async def test_what_cannot_be_asked_is_refused(url: str) -> None:
    async with front(url, None) as hx:
        for policies, most in ((["p"], 0), (["p"], 201), ([], 5), (["p"] * 6, 5), ("p", 5), ([7], 5)):
            with pytest.raises(Misuse):
                await refused_callers(hx, policies, max_callers=most)  # type: ignore[arg-type]
