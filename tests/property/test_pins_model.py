"""Random histories of one user's PIN attempts, their comparisons ending in any order, against a plain Python model."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from hustlex.core.time import FixedClock
from hustlex.drivers.blocking import Driver
from hustlex.pins import PinLocked, PinOptions, ops
from tests.conftest import LONG
from tests.support.depth import examples
from tests.support.keys import lives_ms

CAP, LOCKS, QUIET = 3, (60_000, 600_000), 3_600_000
OPTIONS = PinOptions(
    attempts=CAP,
    locks=tuple(timedelta(milliseconds=lock) for lock in LOCKS),
    quiet=timedelta(milliseconds=QUIET),
)
KEY = "pin:{u1}:tries"


class Attempts(RuleBasedStateMachine):
    """counted: attempts that count against the user, by number. guesses: compared since the last forgiveness."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.clock = FixedClock()
        self.driver = Driver(self.url, timeout=LONG)
        self.raw = redis.Redis.from_url(self.url)
        self.raw.flushall()
        self.last = 0
        self.counted: set[int] = set()
        self.until = self.level = self.locker = 0
        self.pending: list[int] = []

    def teardown(self) -> None:
        self.driver.close()
        self.raw.close()

    @property
    def rest(self) -> int:
        return max(0, self.until - self.clock.now_ms)

    @rule()
    def attempt(self) -> None:
        answer = self.driver.run(ops.attempt(KEY, OPTIONS, self.clock()))
        if self.rest:
            assert answer == PinLocked(timedelta(milliseconds=self.rest))
            return
        self.last += 1
        self.counted.add(self.last)
        self.pending.append(self.last)
        left = CAP - len(self.counted)
        if not left:
            if self.until + QUIET <= self.clock.now_ms:
                self.level = 0
            self.level = min(self.level + 1, len(LOCKS))
            self.until, self.locker = self.clock.now_ms + LOCKS[self.level - 1], self.last
            self.counted.clear()
        assert answer == ops.CountedAttempt(self.last, left, timedelta(milliseconds=0 if left else self.rest))

    @precondition(lambda self: self.pending)
    @rule(data=st.data())
    def was_right(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(self.pending))
        self.pending.remove(seq)
        answer = self.driver.run(ops.heal(KEY, seq, OPTIONS, self.clock()))
        if self.rest and seq != self.locker:
            assert answer == PinLocked(timedelta(milliseconds=self.rest))
            return
        assert answer is None
        if self.rest:
            self.until, self.level = self.clock.now_ms, self.level - 1
        self.counted = {number for number in self.counted if number > seq}

    @precondition(lambda self: self.pending)
    @rule(data=st.data())
    def was_wrong(self, data: st.DataObject) -> None:
        self.pending.remove(data.draw(st.sampled_from(self.pending)))

    @rule()
    def reset(self) -> None:
        assert self.driver.run(ops.reset(KEY, OPTIONS)) == bool(self.last)
        self.counted.clear()
        self.until = self.level = self.locker = 0

    @rule(ms=st.sampled_from([1, LOCKS[0] - 1, LOCKS[0], LOCKS[1], QUIET]))
    def pass_time(self, ms: int) -> None:
        self.clock.advance(timedelta(milliseconds=ms))

    @invariant()
    def fewer_than_the_cap_are_open_and_the_record_ends(self) -> None:
        assert len(self.counted) < CAP
        assert all(0 < life <= QUIET + LOCKS[-1] for life in lives_ms(self.raw).values())


@pytest.mark.timeout(450)
def test_any_history_of_attempts_is_the_models(url: str) -> None:
    Attempts.url = url
    checks = [HealthCheck.too_slow]
    run_state_machine_as_test(
        Attempts,
        settings=settings(
            max_examples=examples(60), stateful_step_count=50, deadline=None, suppress_health_check=checks
        ),
    )
