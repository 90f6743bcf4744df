"""Random crowds against caps: who is refused, what comes back and when, held against a plain Python model."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from hustlex._sync.otp import Otp
from hustlex.core.time import FixedClock
from hustlex.otp import (
    Breaker,
    BreakerOpen,
    Cap,
    CapReached,
    Caps,
    ChallengeRequired,
    Cooldown,
    DailyCap,
    Delivery,
    DeliveryStatus,
    Gone,
    Issued,
    OtpOptions,
    Reason,
    Scope,
    Verified,
)
from tests.support.otp import KEYRING, phone, units

MINUTE, HOUR = 60_000, 3_600_000
PREFIX, IP = Cap(5, timedelta(minutes=10)), Cap(4, timedelta(minutes=30))
BREAKER = Breaker(sends=6, pause=timedelta(minutes=5), probes=3, wins=2, settle=timedelta(days=1))
PAUSE = 5 * MINUTE
ADDRESSES = ["203.0.113.1", "203.0.113.2"]
PFX_TAG = "pfx:2348031"


@dataclass
class Ring:
    """A cap in the model: buckets of a twentieth of the window, 21 of them live."""

    most: int
    width: int
    buckets: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def live(self, now: int) -> int:
        newest = now // self.width
        return sum(count for number, count in self.buckets.items() if number >= newest - 20)

    def give_back(self, at: int, now: int) -> None:
        if at // self.width >= now // self.width - 20 and self.buckets[at // self.width]:
            self.buckets[at // self.width] -= 1


@dataclass
class Gate:
    """The breaker in the model."""

    sends: Ring = field(default_factory=lambda: Ring(0, 180_000))
    rights: Ring = field(default_factory=lambda: Ring(0, 180_000))
    until: int | None = None
    probes: int = 0
    wins: int = 0


@dataclass
class Sent:
    """A message in the model."""

    challenge: str
    at: int
    address: str
    probe: bool
    code: str
    over: bool = False


class Crowd(RuleBasedStateMachine):
    """One prefix, many blocks, two addresses. raw and driver come from the test below."""

    raw: redis.Redis
    driver: Any
    messages = Bundle("messages")

    @initialize()
    def begin(self) -> None:
        self.raw.flushall()
        self.clock = FixedClock()
        options = OtpOptions(caps=Caps(prefix=PREFIX, ip=IP, block=Cap(1000, timedelta(hours=1))), breaker=BREAKER)
        self.otp = Otp(self.driver, KEYRING, clock=self.clock, options=options)
        self.prefix = Ring(5, 30_000)
        self.ips = {address: Ring(4, 90_000) for address in ADDRESSES}
        self.gate = Gate()
        self.number = 0

    @property
    def now(self) -> int:
        return self.clock.now_ms

    @rule(by=st.sampled_from([1, 20_000, 30_000, 90_000, 180_000, 300_000, 631_000, 1_900_000, 4_000_000]))
    def wait(self, by: int) -> None:
        self.clock.advance(timedelta(milliseconds=by))

    @rule(target=messages, address=st.sampled_from(ADDRESSES), human=st.booleans())
    def issue(self, address: str, human: bool) -> Any:
        self.number += 1
        result = self.otp.issue(phone(self.number % 1000), ip=address, human=human)
        if isinstance(result, Cooldown | DailyCap):
            return multiple()
        refusal = self.refusal(human)
        passed = refusal is None and self.gate.until is not None
        if refusal is None and self.ips[address].live(self.now) >= 4:
            refusal = CapReached
        # The addresses have breakers of their own, which the model leaves out.
        other = isinstance(result, BreakerOpen | ChallengeRequired) and getattr(result, "scope", Scope.IP) is Scope.IP
        if other and refusal in (None, CapReached):
            refusal = type(result)
        if refusal is not None:
            assert isinstance(result, refusal), (result, refusal)
            self.begin_round(passed)
            return multiple()
        assert isinstance(result, Issued), result
        return self.admitted(result.challenge, address)

    def refusal(self, human: bool) -> type | None:
        """What the prefix says. Opens the breaker as the script does."""
        gate, now = self.gate, self.now
        if gate.until is None:
            sent = gate.sends.live(now)
            if sent >= 6 and gate.rights.live(now) * 100 < 25 * sent:
                gate.until, gate.probes, gate.wins = now + PAUSE, 0, 0
        if gate.until is not None and gate.until > now:
            return BreakerOpen
        if self.prefix.live(now) >= 5:
            return ChallengeRequired if gate.until is not None and not human else CapReached
        return ChallengeRequired if gate.until is not None and not human else None

    def admitted(self, challenge: str, address: str) -> Sent:
        gate, now = self.gate, self.now
        self.prefix.buckets[now // 30_000] += 1
        self.ips[address].buckets[now // 90_000] += 1
        gate.sends.buckets[now // 180_000] += 1
        probe = gate.until is not None
        if probe:
            self.begin_round(True)
            gate.probes += 1
            if gate.probes == 3:
                gate.until = now + PAUSE
        opened = self.otp.open(challenge)
        assert isinstance(opened, Delivery)
        return Sent(challenge, now, address, probe, opened.code)

    def begin_round(self, passed: bool) -> None:
        """The first probe of a round forgets the wins of the one before, also when another cap refuses it."""
        if passed and self.gate.probes in (0, 3):
            self.gate.probes = self.gate.wins = 0

    @rule(message=messages, times=st.integers(1, 2))
    def verify(self, message: Sent, times: int) -> None:
        for _ in range(times):
            result = self.otp.verify(message.challenge, message.code, ip=message.address)
            alive = not message.over and self.now < message.at + 300_000
            assert isinstance(result, Verified) is alive
            if alive:
                self.healed(message)
            elif result == Gone(Reason.UNKNOWN):
                self.ips[message.address].buckets[self.now // 90_000] += 1

    def healed(self, message: Sent) -> None:
        gate, now = self.gate, self.now
        message.over = True
        self.prefix.give_back(message.at, now)
        self.ips[message.address].give_back(message.at, now)
        gate.rights.buckets[now // 180_000] += 1
        if message.probe and gate.until is not None:
            gate.wins += 1
            if gate.wins >= 2:
                gate.until, gate.sends, gate.rights = None, Ring(0, 180_000), Ring(0, 180_000)

    @rule(message=messages, report=st.booleans())
    def undo(self, message: Sent, report: bool) -> None:
        """The message was never queued, or reached nobody."""
        if message.over or self.now >= message.at + 300_000 or message.probe:
            return
        if report:
            for expected in (True, False):
                assert self.otp.delivery_report(message.challenge, DeliveryStatus.FAILED) is expected
        assert self.otp.cancel(message.challenge, unsent=True) is True
        message.over = True
        self.prefix.give_back(message.at, self.now)
        self.gate.sends.give_back(message.at, self.now)
        if not report:
            self.ips[message.address].give_back(message.at, self.now)

    @invariant()
    def counts_agree(self) -> None:
        live = self.prefix.live(self.now)
        assert live <= 5
        stored = self.raw.hgetall(f"otp:{{{PFX_TAG}}}:cap")
        newest = self.now // 30_000
        counted = sum(int(value) for name, value in stored.items() if name[:1] == b"c" and int(name[1:]) >= newest - 20)
        assert counted == live
        assert units(self.raw, PFX_TAG) >= 0
        for key in self.raw.scan_iter("*:cap"):
            assert self.raw.pttl(key) > 0, key


@pytest.mark.timeout(120)
def test_caps_and_model_agree(raw: redis.Redis, blocking_driver: Any) -> None:
    machine = type("Crowd", (Crowd,), {"raw": raw, "driver": blocking_driver})
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_machine(
        machine, settings=settings(max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=checks)
    )
