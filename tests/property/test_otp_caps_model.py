"""Random crowds against caps and breakers: who is refused, what comes back and when, held against a plain model."""

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
    Delivery,
    DeliveryStatus,
    Gone,
    Issued,
    OtpOptions,
    Reason,
    Verified,
)
from tests.support.depth import examples
from tests.support.keys import lives_ms
from tests.support.otp import KEYRING, phone, units

MINUTE, HOUR = 60_000, 3_600_000
PREFIX, IP = Cap(5, timedelta(minutes=10)), Cap(4, timedelta(minutes=30))
BREAKER = Breaker(sends=6, pause=timedelta(minutes=5), probes=3, wins=2, settle=timedelta(days=1))
LEAST, FEW, GAP, PROBES, WINS = 6, 1, 100_000, 3, 2
ADDRESSES = ["203.0.113.1", "203.0.113.2"]
PFX_TAG = "pfx:2348031"


@dataclass
class Ring:
    """Units in the model: buckets of a twentieth of the window, 21 of them live."""

    width: int
    buckets: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def live(self, now: int) -> int:
        newest = now // self.width
        return sum(count for number, count in self.buckets.items() if number >= newest - 20)

    def add(self, now: int) -> None:
        self.buckets[now // self.width] += 1

    def give_back(self, at: int, now: int) -> None:
        if at // self.width >= now // self.width - 20 and self.buckets[at // self.width]:
            self.buckets[at // self.width] -= 1


def hour() -> Ring:
    return Ring(HOUR // 20)


@dataclass
class Place:
    """A prefix or an address in the model. kind: how a message passed the breaker, 0 where it was not asked."""

    most: int
    window: int
    taken: Ring
    sends: Ring = field(default_factory=hour)
    rights: Ring = field(default_factory=hour)
    lent: Ring = field(default_factory=hour)
    next: int | None = None
    human: int = 0
    probes: int = 0
    wins: int = 0
    kind: int = 0

    def standing(self, now: int) -> str:
        sent, right = self.sends.live(now), self.rights.live(now)
        if right * 4 >= sent:
            return "credit" if right else ""
        return "suspect" if self.lent.live(now) >= FEW else ""

    def reserve(self, now: int, way: str, factor: int = 1) -> type | None:
        """Take a unit, or say why not."""
        self.kind = 0
        least = LEAST if self.next is None else 2
        shut = self.sends.live(now) >= least and self.rights.live(now) * 4 < self.sends.live(now)
        if self.next is not None and not shut:
            self.reopen()
        if shut and way != "credit" and (refusal := self.probe(now, way)) is not None:
            return refusal
        grown = self.rights.live(now) * self.window // HOUR
        if self.taken.live(now) + 1 > self.most * factor + grown:
            return CapReached
        self.taken.add(now)
        if self.kind:
            self.probes += 1
        if self.kind == 1:
            self.next = now + GAP
        if self.kind == 2:
            self.human = max(self.human, now) + GAP
        return None

    def probe(self, now: int, way: str) -> type | None:
        if self.next is None:
            self.next = now + GAP
        most = (PROBES + self.rights.live(now)) * GAP
        free = min(max(self.human - now, 0), most) + GAP <= most
        self.kind = 1 if self.next <= now else 2 if way == "human" and free else 0
        if self.kind:
            return None
        return ChallengeRequired if free and way != "human" else BreakerOpen

    def unreserve(self, now: int) -> None:
        self.taken.give_back(now, now)
        if self.kind and self.next is not None and self.probes:
            self.probes -= 1
            if self.kind == 1 and self.next == now + GAP:
                self.next = now
            if self.kind == 2:
                self.human -= GAP

    def reopen(self) -> None:
        self.next, self.human, self.probes, self.wins = None, 0, 0, 0

    def verified(self, message: Sent, counted: bool, probe: bool, now: int) -> None:
        self.taken.give_back(message.at, now)
        if counted:
            self.rights.add(now)
        if probe and self.next is not None:
            self.wins += 1
            if self.wins >= WINS and self.wins * 4 >= self.probes:
                self.reopen()
                self.sends, self.rights = hour(), hour()


@dataclass
class Sent:
    """A message in the model. probes, counted: in the prefix, at the address."""

    challenge: str
    at: int
    address: str
    code: str
    probes: tuple[bool, bool]
    counted: bool
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
        self.prefix = Place(5, 10 * MINUTE, Ring(30_000))
        self.ips = {address: Place(4, 30 * MINUTE, Ring(90_000)) for address in ADDRESSES}
        self.number = 0

    @property
    def now(self) -> int:
        return self.clock.now_ms

    @rule(by=st.sampled_from([1, 20_000, 30_000, 90_000, 100_000, 180_000, 300_000, 631_000, 1_900_000, 4_000_000]))
    def wait(self, by: int) -> None:
        self.clock.advance(timedelta(milliseconds=by))

    @rule(target=messages, address=st.sampled_from(ADDRESSES), human=st.booleans())
    def issue(self, address: str, human: bool) -> Any:
        self.number += 1
        result = self.otp.issue(phone(self.number % 1000), ip=address, human=human)
        ip = self.ips[address]
        refusals, standing = self.reserve(ip, "human" if human else "")
        if refusals:
            expected = next((kind for kind in refusals if kind is not ChallengeRequired), ChallengeRequired)
            assert isinstance(result, expected), (result, refusals)
            return multiple()
        assert isinstance(result, Issued), result
        counted = standing != "suspect"
        ip.sends.add(self.now)
        if counted:
            self.prefix.sends.add(self.now)
            ip.lent.add(self.now)
        opened = self.otp.open(result.challenge)
        assert isinstance(opened, Delivery)
        probes = bool(self.prefix.kind), bool(ip.kind)
        return Sent(result.challenge, self.now, address, opened.code, probes, counted)

    def reserve(self, ip: Place, way: str) -> tuple[list[type], str]:
        """What prefix and address say, in that order; and the standing of the address."""
        now, standing = self.now, ip.standing(self.now)
        refused = {"prefix": self.prefix.reserve(now, way), "ip": ip.reserve(now, way)}
        standing = standing if refused["ip"] is None else ""
        if standing == "credit" and refused["prefix"] is not None:
            refused["prefix"] = self.prefix.reserve(now, "credit", 2)
        refusals = [kind for kind in refused.values() if kind is not None]
        if standing == "suspect" and refused["prefix"] is None and self.prefix.kind:
            refusals.append(BreakerOpen)
        if refusals:
            for place, kind in ((self.prefix, refused["prefix"]), (ip, refused["ip"])):
                if kind is None:
                    place.unreserve(now)
        return refusals, standing

    @rule(message=messages, times=st.integers(1, 2))
    def verify(self, message: Sent, times: int) -> None:
        for _ in range(times):
            result = self.otp.verify(message.challenge, message.code, ip=message.address)
            alive = not message.over and self.now < message.at + 300_000
            assert isinstance(result, Verified) is alive
            ip = self.ips[message.address]
            if alive:
                message.over = True
                self.prefix.verified(message, message.counted, message.probes[0], self.now)
                ip.verified(message, True, message.probes[1], self.now)
            elif result == Gone(Reason.UNKNOWN) and ip.taken.live(self.now) < 2:
                ip.taken.add(self.now)

    @rule(message=messages, report=st.booleans())
    def undo(self, message: Sent, report: bool) -> None:
        """The message was never queued, or reached nobody."""
        if message.over or self.now >= message.at + 300_000 or any(message.probes):
            return
        if report:
            for expected in (True, False):
                assert self.otp.delivery_report(message.challenge, DeliveryStatus.FAILED) is expected
        assert self.otp.cancel(message.challenge, unsent=True) is True
        message.over = True
        ip = self.ips[message.address]
        self.prefix.taken.give_back(message.at, self.now)
        ip.sends.give_back(message.at, self.now)
        if message.counted:
            self.prefix.sends.give_back(message.at, self.now)
        if not report:
            ip.taken.give_back(message.at, self.now)

    @invariant()
    def counts_agree(self) -> None:
        stored = self.raw.hgetall(f"otp:{{{PFX_TAG}}}:cap")
        for kind, ring in ((b"c", self.prefix.taken), (b"s", self.prefix.sends), (b"v", self.prefix.rights)):
            newest = self.now // ring.width
            found = {
                int(name[1:]): int(value) for name, value in stored.items() if name[:1] == kind and name[1:].isdigit()
            }
            assert sum(count for number, count in found.items() if number >= newest - 20) == ring.live(self.now)
        assert units(self.raw, PFX_TAG) >= 0
        for key, life in lives_ms(self.raw, "*:cap").items():
            assert life > 0, key


@pytest.mark.timeout(600)
def test_caps_and_model_agree(raw: redis.Redis, blocking_driver: Any) -> None:
    machine = type("Crowd", (Crowd,), {"raw": raw, "driver": blocking_driver})
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_machine(
        machine,
        settings=settings(
            max_examples=examples(60), stateful_step_count=50, deadline=None, suppress_health_check=checks
        ),
    )
