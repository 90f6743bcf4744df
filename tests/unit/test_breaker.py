"""The circuit breaker, told the time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hustlex.core.breaker import Breaker, BreakerOptions
from hustlex.errors import ConfigurationError


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(BreakerOptions())
    for _ in range(5):
        breaker.failed(at)
    return breaker


def test_five_failures_in_a_row_open_it() -> None:
    breaker = Breaker(BreakerOptions())
    for _ in range(4):
        breaker.failed(0.0)
    breaker.succeeded(0.0)
    for _ in range(4):
        breaker.failed(1.0)
        assert breaker.allows(1.0)
    breaker.failed(1.0)
    assert breaker.open
    assert not breaker.allows(1.0)


def test_half_of_twenty_calls_open_it() -> None:
    breaker = Breaker(BreakerOptions())
    for _ in range(9):
        breaker.failed(0.0)
        breaker.succeeded(0.0)
    assert not breaker.open
    breaker.failed(0.0)
    breaker.failed(0.0)
    assert breaker.open


def test_few_failures_among_many_calls_do_not() -> None:
    breaker = Breaker(BreakerOptions())
    for second in range(100):
        breaker.failed(float(second))
        for _ in range(3):
            breaker.succeeded(float(second))
    assert not breaker.open


def test_one_probe_a_second_and_three_good_ones_close_it() -> None:
    breaker = opened()
    assert not any(breaker.allows(at / 10) for at in range(8))
    for second in (1.3, 2.6, 3.9):
        assert breaker.allows(second)
        assert not breaker.allows(second)
        assert breaker.open
        breaker.succeeded(second)
    assert not breaker.open
    assert breaker.quiet


def test_a_bad_probe_starts_the_count_again() -> None:
    breaker = opened()
    for second, good in ((1.3, True), (2.6, True), (3.9, False), (5.2, True), (6.5, True)):
        assert breaker.allows(second)
        breaker.succeeded(second) if good else breaker.failed(second)
        assert breaker.open


def test_it_is_quiet_again_a_window_after_the_last_failure() -> None:
    breaker = Breaker(BreakerOptions())
    assert breaker.quiet
    breaker.failed(0.0)
    breaker.succeeded(5.0)
    assert not breaker.quiet
    breaker.succeeded(10.0)
    assert breaker.quiet


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=80))
def test_while_open_no_more_than_a_probe_in_08_seconds(history: list[tuple[bool, float]]) -> None:
    breaker, now, last = opened(), 0.0, -1.0
    for good, pause in history:
        now += pause
        if not breaker.open:
            return
        if breaker.allows(now):
            assert last < 0 or now - last >= 0.8
            last = now
            breaker.succeeded(now) if good else breaker.failed(now)


@pytest.mark.parametrize("bad", [{"failures": 0}, {"share": 0}, {"share": 1.1}, {"probe_s": 0}, {"window_s": -1}])
def test_nonsense_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        BreakerOptions(**bad)  # type: ignore[arg-type]
