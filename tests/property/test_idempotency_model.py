"""Random histories of one key, by several owners at odd moments, against a plain Python model."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from hustlex.core.time import FixedClock
from hustlex.idempotency import (
    IdempotencyOptions,
    InFlight,
    Mismatch,
    Orphaned,
    Orphans,
    Replay,
    Response,
    Scope,
    Started,
)
from hustlex.sync import HustleX
from tests.conftest import PATIENCE, SECRET
from tests.support.depth import examples
from tests.support.keys import lives_ms

SCOPE = Scope("u1", "POST", "/pay")
LEASE, TTL = 10_000, 3_600_000
POLICIES: tuple[Orphans, ...] = ("refuse", "reconcile", "takeover")


class Model:
    """One key. owner: index of the claim that holds it."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.state, self.body, self.owner, self.lease, self.fence = "free", b"", -1, 0, 0
        self.point, self.answer = "none", b""


class Keys(RuleBasedStateMachine):
    url: str

    def __init__(self) -> None:
        super().__init__()
        self.clock = FixedClock()
        self.hx = HustleX(self.url, timeout=PATIENCE, secret=SECRET, clock=self.clock)
        self.raw = redis.Redis.from_url(self.url)
        self.raw.flushall()
        self.model = Model()
        self.claims: list[Started] = []

    def teardown(self) -> None:
        self.hx.close()
        self.raw.close()

    @rule(body=st.sampled_from([b'{"a":1}', b'{"a":2}']), orphans=st.sampled_from(POLICIES))
    def begin(self, body: bytes, orphans: Orphans) -> None:
        self._began(body, self._begin(body, orphans), takes=orphans == "takeover")

    @rule(body=st.sampled_from([b'{"a":1}', b'{"a":2}']), fence=st.integers(1, 4))
    def take_over(self, body: bytes, fence: int) -> None:
        outcome = self._begin(body, "reconcile", Orphaned(fence, "none"))
        self._began(body, outcome, takes=fence == self.model.fence)

    def _begin(self, body: bytes, orphans: Orphans, over: Orphaned | None = None) -> Any:
        options = IdempotencyOptions(
            orphans=orphans, lease=timedelta(milliseconds=LEASE), ttl=timedelta(milliseconds=TTL)
        )
        return self.hx.idempotency.begin("k", SCOPE, body=body, options=options, over=over)

    def _began(self, body: bytes, outcome: Any, *, takes: bool) -> None:
        model = self.model
        lapsed = model.lease <= self.clock.now_ms
        if model.state == "free":
            model.body = body
            self._owned(outcome, 1)
        elif body != model.body:
            assert outcome == Mismatch()
        elif model.state == "done":
            assert isinstance(outcome, Replay) and outcome.response.body == model.answer
        elif not lapsed:
            model.lease = min(model.lease, self.clock.now_ms + LEASE)  # a clock that went back makes no lease longer
            assert outcome == InFlight(timedelta(milliseconds=model.lease - self.clock.now_ms))
        elif takes:
            self._owned(outcome, model.fence + 1)
        else:
            assert outcome == Orphaned(model.fence, model.point)

    def _owned(self, outcome: Any, fence: int) -> None:
        model = self.model
        assert isinstance(outcome, Started)
        assert (outcome.fence, outcome.point) == (fence, model.point)
        self.claims.append(outcome)
        model.state, model.owner, model.fence = "run", len(self.claims) - 1, fence
        model.lease = self.clock.now_ms + LEASE

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), answer=st.binary(max_size=20))
    def complete(self, data: st.DataObject, answer: bytes) -> None:
        who, mine = self._who(data)
        assert self.hx.idempotency.complete(self.claims[who], Response(200, answer)) == mine
        if mine and self.model.state == "run":
            self.model.state, self.model.answer = "done", answer

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), point=st.sampled_from(["", "charging"]))
    def renew(self, data: st.DataObject, point: str) -> None:
        who, mine = self._who(data)
        mine = mine and self.model.state == "run"
        assert self.hx.idempotency.renew(self.claims[who], point=point) == mine
        if mine:
            self.model.lease = self.clock.now_ms + LEASE
            self.model.point = point or self.model.point

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        who, mine = self._who(data)
        given = self.model.state == "run" and mine and self.model.point == "none"
        assert self.hx.idempotency.abandon(self.claims[who]) == (given or self.model.state == "free")
        if given and self.model.fence == 1:
            self.model.clear()
        elif given:
            self.model.lease = self.clock.now_ms

    def _who(self, data: st.DataObject) -> tuple[int, bool]:
        who = data.draw(st.integers(0, len(self.claims) - 1))
        return who, self.model.state != "free" and who == self.model.owner

    @rule(ms=st.sampled_from([1, LEASE - 1, LEASE, 3 * LEASE, -LEASE]))
    def pass_time(self, ms: int) -> None:
        self.clock.advance(timedelta(milliseconds=ms))

    @rule()
    def forget_scripts(self) -> None:
        self.raw.script_flush()

    @invariant()
    def every_key_ends(self) -> None:
        assert all(0 < life <= TTL for life in lives_ms(self.raw).values())


@pytest.fixture
def machine(url: str) -> type[Keys]:
    Keys.url = url
    return Keys


@pytest.mark.timeout(450)
def test_any_history_of_a_key_is_the_models(machine: type[Keys]) -> None:
    checks = [HealthCheck.too_slow]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(60), stateful_step_count=40, deadline=None, suppress_health_check=checks
        ),
    )
