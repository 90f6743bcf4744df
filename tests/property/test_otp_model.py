"""Random histories of one phone, played against the scripts and against a plain Python model at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from hustlex._sync.otp import Otp
from hustlex.core.keyring import Keyring
from hustlex.core.time import FixedClock
from hustlex.otp import (
    ChallengeRequired,
    Cooldown,
    DailyCap,
    Delivery,
    Gone,
    Granted,
    Issued,
    Lane,
    Limits,
    Locked,
    Mismatch,
    Obstacle,
    OtpOptions,
    Policy,
    Reason,
    Resent,
    SendsExhausted,
    SubjectLocked,
    Verified,
    Wrong,
)
from hustlex.otp.names import CountedLane
from tests.support.depth import examples
from tests.support.keys import lives_ms

PHONE = "+2348031234567"
DAY = 86_400_000
MINUTE, HOUR = 60_000, 3_600_000
COOLDOWNS = (60_000, 60_000, 120_000)
LOCKS = (900_000, 3_600_000, DAY)
PURPOSES = {
    "login": Policy(attempts=3, active=2),
    "transaction": Policy(attempts=2, sends=2, resend="new", ttl=timedelta(minutes=2)),
    "default": Policy(attempts=3, binding="subject"),
}
LIMITS = Limits(wrong=4, extra=1)
ADDRESSES = [None, "203.0.113.1", "198.51.100.1", "2001:db8::1"]
LANES: list[Lane] = ["anon", "anon", "known"]


@dataclass
class Code:
    """One challenge in the model. generation starts at 1; times are ms."""

    purpose: str
    challenge: str
    ends: int
    earliest: int
    code: str
    old: list[str] = field(default_factory=list)
    state: str = "active"
    generation: int = 1
    attempts: int = 0
    sends: int = 1
    used_at: int = 0
    nonce: str = ""
    grant: str = ""
    lane: CountedLane = "anon"
    by: str = ""

    @property
    def policy(self) -> Policy:
        return PURPOSES[self.purpose]

    @property
    def most(self) -> int:
        return 1 if self.by else self.policy.sends

    def life(self) -> int:
        return self.policy.ttl // timedelta(milliseconds=1)


@dataclass
class Phone:
    """What the specification says, without Redis."""

    sends_of_day: int
    codes: list[Code] = field(default_factory=list)
    fails: list[tuple[int, str, int, CountedLane]] = field(default_factory=list)  # when, challenge, generation, lane
    sends: list[tuple[int, str, int, CountedLane]] = field(default_factory=list)  # when, challenge, number
    extra: dict[str, int] = field(default_factory=dict)  # who took a place of lane extra, and when
    cool: dict[CountedLane, tuple[int, str]] = field(
        default_factory=lambda: {"anon": (0, ""), "known": (0, ""), "extra": (0, "")}
    )
    lock_until: dict[CountedLane, int] = field(default_factory=lambda: {"anon": 0, "known": 0, "extra": 0})
    lock_level: dict[CountedLane, int] = field(default_factory=lambda: {"anon": 0, "known": 0})
    spent: set[str] = field(default_factory=set)

    def refusal(self, lane: CountedLane, now: int) -> SubjectLocked | None:
        until = self.lock_until[lane]
        return SubjectLocked(ms(until - now)) if until > now else None

    def day_full(self, lane: CountedLane, now: int) -> DailyCap | None:
        live = sorted(when for when, _, _, of in self.sends if when > now - DAY and of == lane)
        return DailyCap(ms(live[-self.sends_of_day] + DAY - now)) if len(live) >= self.sends_of_day else None

    def extra_full(self, by: str, now: int) -> Cooldown | DailyCap | ChallengeRequired | None:
        """Each network has a place of a day, they all have one, and a human check opens one in each hour."""
        if (until := self.cool["extra"][0]) > now:
            return Cooldown(ms(until - now))
        taken = {who: at + DAY - now for who, at in self.extra.items() if at > now - DAY}
        asked, human = taken.get(by), by_human(now) in taken
        if by == by_human(now):
            return DailyCap(ms(HOUR - now % HOUR)) if human else None
        rests = sorted(rest for who, rest in taken.items() if who[0] != "h")
        rest = asked or (rests[len(rests) - LIMITS.extra] if len(rests) >= LIMITS.extra else 0)
        if not rest:
            return None
        return DailyCap(ms(rest)) if human else ChallengeRequired(Obstacle.USED_UP, ms(rest))

    def note_send(self, code: Code, now: int) -> int:
        pause = COOLDOWNS[min(code.sends, 3) - 1]
        if code.by:
            self.extra[code.by] = now
        else:
            self.sends.append((now, code.challenge, code.sends, code.lane))
        self.cool[code.lane] = (max(now + pause, self.cool[code.lane][0]), code.challenge)
        code.earliest = now + pause
        return pause

    def make_room(self, purpose: str, lane: CountedLane, now: int) -> None:
        policy = PURPOSES[purpose]
        most = 1 if policy.binding == "subject" else policy.active
        live = [c for c in self.codes if c.purpose == purpose and c.state == "active" and c.ends > now]
        if policy.binding == "challenge":
            live = [c for c in live if c.lane == lane]
        for code in sorted(live, key=lambda c: c.ends)[: max(0, len(live) - most + 1)]:
            code.state = "pushed out"

    def count_wrong(self, code: Code, now: int) -> SubjectLocked | None:
        lane, fails = code.lane, [fail for fail in self.fails if fail[0] > now - DAY]
        self.fails = [*fails, (now, code.challenge, code.generation, lane)]
        if lane == "extra" or sum(fail[3] == lane for fail in self.fails) < LIMITS.wrong:
            return None
        if self.lock_until[lane] + DAY <= now:
            self.lock_level[lane] = 0
        self.lock_level[lane] = min(self.lock_level[lane] + 1, 3)
        self.lock_until[lane] = now + LOCKS[self.lock_level[lane] - 1]
        return SubjectLocked(ms(self.lock_until[lane] - now))


def ms(count: int) -> timedelta:
    return timedelta(milliseconds=count)


def by_human(now: int) -> str:
    return f"h:{now // HOUR}"


def gone(reason: Reason) -> Gone:
    return Gone(reason)


class Histories(RuleBasedStateMachine):
    """raw and driver come from the test below. No key vanishes here: the clock is ours, their ends the server's."""

    raw: redis.Redis
    driver: Any
    codes = Bundle("codes")
    grants = Bundle("grants")

    @initialize(sends=st.sampled_from([2, 9]))
    def begin(self, sends: int) -> None:
        self.raw.flushall()
        self.clock = FixedClock()
        self.phone = Phone(sends_of_day=sends)
        self.otp = Otp(
            self.driver,
            Keyring(bytes(range(32))),
            clock=self.clock,
            options=OtpOptions(policies=PURPOSES, limits=msgspec.structs.replace(LIMITS, sends=sends), caps=None),
        )

    @property
    def now(self) -> int:
        return self.clock.now_ms

    @rule(by=st.sampled_from([1, 1_000, 59_999, 60_000, 100_000, 120_000, 180_001, 300_000, 900_000, 3_600_000, DAY]))
    def wait(self, by: int) -> None:
        self.clock.advance(ms(by))

    def wait_until(self, patient: bool, when: int) -> None:
        """Come back exactly when it is allowed."""
        if patient and when > self.now:
            self.clock.now_ms = when

    @rule(
        target=codes,
        purpose=st.sampled_from(sorted(PURPOSES)),
        patient=st.sampled_from([True, True, False]),
        lane=st.sampled_from(LANES),
        ip=st.sampled_from(ADDRESSES),
        human=st.booleans(),
    )
    def issue(self, purpose: str, patient: bool, lane: Lane, ip: str | None, human: bool) -> Any:
        self.wait_until(patient, max(self.phone.cool[lane][0], self.phone.lock_until[lane]))
        phone, now = self.phone, self.now
        expected = self.expect_issue(purpose, lane, ip, human)
        result = self.otp.issue("0803 123 4567", purpose, lane=lane, ip=ip, human=human)
        if not isinstance(expected, str):
            assert result == expected
            return multiple()
        assert isinstance(result, Issued)
        served: CountedLane = "extra" if expected else lane
        phone.make_room(purpose, served, now)
        code = Code(purpose, result.challenge, 0, 0, "", lane=served, by=expected)
        code.ends = now + code.life()
        phone.note_send(code, now)
        phone.codes.append(code)
        code.code = self.delivered(code)
        assert len(code.code) == (8 if code.by else 6)
        assert (result.expires_in, result.sends_left) == (code.policy.ttl, code.most - 1)
        return code

    def expect_issue(self, purpose: str, lane: Lane, ip: str | None, human: bool) -> Any:
        """A text: it is sent; if it is not empty, in lane extra."""
        refused = [self.expect_in_lane(lane)]
        if refused[0] is None:
            return ""
        if isinstance(refused[0], Cooldown) or lane == "known" or PURPOSES[purpose].binding == "subject":
            return refused[0]
        for by in ([f"n:{ip}"] if ip else []) + ([by_human(self.now)] if human else []):
            refused.append(self.phone.extra_full(by, self.now))
            if refused[-1] is None or isinstance(refused[-1], Cooldown):
                return by if refused[-1] is None else refused[-1]
        told = refused[-1] if isinstance(refused[-1], ChallengeRequired) else refused[0]
        return msgspec.structs.replace(told, retry_after=min(each.retry_after for each in refused))

    def expect_in_lane(self, lane: Lane) -> Any:
        """None: it is sent."""
        phone, now = self.phone, self.now
        if (refusal := phone.refusal(lane, now)) is not None:
            return refusal
        until = phone.cool[lane][0]
        return Cooldown(ms(until - now)) if until > now else phone.day_full(lane, now)

    def expect_resend(self, code: Code) -> Any:
        """None: it is sent."""
        phone, now = self.phone, self.now
        if (refusal := phone.refusal(code.lane, now)) is not None:
            return refusal
        if not self.current(code) or code.state != "active" or code.ends <= now:
            return gone(Reason.UNKNOWN)
        if code.sends >= code.most:
            return SendsExhausted(ms(code.ends - now))
        return Cooldown(ms(code.earliest - now)) if code.earliest > now else phone.day_full(code.lane, now)

    def delivered(self, code: Code) -> str:
        delivery = self.otp.open(code.challenge)
        assert isinstance(delivery, Delivery)
        assert (delivery.phone, delivery.expires_in) == (PHONE, ms(code.ends - self.now))
        return delivery.code

    def current(self, code: Code) -> bool:
        """Under subject binding only the newest challenge is there at all."""
        if code.policy.binding == "challenge":
            return True
        return [c for c in self.phone.codes if c.purpose == code.purpose][-1] is code

    @rule(code=codes, patient=st.sampled_from([True, True, False]))
    def resend(self, code: Code, patient: bool) -> None:
        self.wait_until(patient, code.earliest)
        phone, now = self.phone, self.now
        expected = self.expect_resend(code)
        result = self.otp.resend(code.challenge)
        if expected is not None:
            assert result == expected
            return
        assert isinstance(result, Resent)
        renewed = code.policy.resend == "new" or code.ends - now < 120_000
        if renewed:
            code.generation, code.attempts, code.ends = code.generation + 1, 0, now + code.life()
            code.old.append(code.code)
        code.sends += 1
        pause = phone.note_send(code, now)
        assert (result.new_code, result.expires_in) == (renewed, ms(code.ends - now))
        assert (result.resend_in, result.sends_left) == (ms(pause), code.most - code.sends)
        if code.ends - now >= 20_000:
            sent = self.delivered(code)
            assert (sent == code.code) is not renewed
            code.code = sent

    @rule(
        target=grants,
        code=codes,
        right=st.booleans(),
        nonce=st.sampled_from(["", "", "n", "m"]),
        by_phone=st.booleans(),
    )
    def verify(self, code: Code, right: bool, nonce: str, by_phone: bool) -> Any:
        guess = code.code if right else str((int(code.code) + 1) % 10 ** len(code.code)).zfill(len(code.code))
        if by_phone and code.policy.binding == "subject":
            code = [c for c in self.phone.codes if c.purpose == code.purpose][-1]
            result: Any = self.otp.verify_phone("+2348031234567", guess, code.purpose, nonce=nonce, lane=code.lane)
        else:
            result = self.otp.verify(code.challenge, guess, nonce=nonce)
        expected = self.expect_verify(code, guess, nonce)
        if isinstance(expected, str):
            assert isinstance(result, Verified)
            assert result.replayed is (expected == "replayed")
            if expected == "replayed":
                assert result.grant == code.grant
            code.grant = result.grant
            return code
        assert result == expected
        return multiple()

    @rule(code=codes, times=st.integers(1, 4))
    def guess(self, code: Code, times: int) -> None:
        for _ in range(times):
            self.verify(code, False, "", False)

    @rule(code=codes)
    def verify_with_an_old_code(self, code: Code) -> None:
        for old in code.old[:1]:
            assert self.otp.verify(code.challenge, old) == self.expect_verify(code, old, "")

    def expect_verify(self, code: Code, guess: str, nonce: str) -> Any:
        phone, now = self.phone, self.now
        if (refusal := phone.refusal(code.lane, now)) is not None:
            return refusal
        if not self.current(code):
            return gone(Reason.UNKNOWN)
        if code.state == "used":
            again = nonce and nonce == code.nonce and guess == code.code and now - code.used_at < MINUTE
            return "replayed" if again else gone(Reason.USED)
        if code.ends <= now:
            return gone(Reason.EXPIRED)
        if code.state != "active":
            return Locked() if code.state == "locked" else gone(Reason.UNKNOWN)
        if guess == code.code:
            code.state, code.used_at, code.nonce = "used", now, nonce
            mine = (code.challenge, code.generation)
            phone.fails = [fail for fail in phone.fails if fail[1:3] != mine]
            return "verified"
        code.attempts += 1
        left = code.policy.attempts - code.attempts
        if left == 0:
            code.state = "locked"
        locked = phone.count_wrong(code, now)
        if locked is not None:
            return locked
        return Wrong(None if code.policy.binding == "subject" else left) if left else Locked()

    @rule(code=grants, other=st.sampled_from(["", "", *sorted(PURPOSES)]))
    def spend(self, code: Code, other: str) -> None:
        purpose = other or code.purpose
        result = self.otp.consume_grant(code.grant, purpose)
        if code.grant in self.phone.spent:
            assert result == gone(Reason.USED)
        elif self.now >= code.used_at + 600_000:
            assert result == gone(Reason.EXPIRED)
        elif purpose != code.purpose:
            assert result == Mismatch()
        else:
            assert isinstance(result, Granted)
            assert result.phone == PHONE
            self.phone.spent.add(code.grant)

    @rule(code=codes, unsent=st.booleans(), rarely=st.integers(0, 5))
    def cancel(self, code: Code, unsent: bool, rarely: int) -> None:
        if rarely:
            return
        here = self.current(code) and code.state in ("active", "pushed out")
        void = self.current(code) and code.state == "void"
        assert self.otp.cancel(code.challenge, unsent=unsent) is bool(here or void)
        if not here:
            return
        code.state = "void"
        if unsent:
            last = (code.challenge, code.sends)
            self.phone.sends = [send for send in self.phone.sends if send[1:3] != last]
            self.phone.extra.pop(code.by, None)
            if self.phone.cool[code.lane][1] == code.challenge:
                self.phone.cool[code.lane] = (0, "")

    @rule(lane=st.sampled_from(LANES), rarely=st.integers(0, 5))
    def unlock(self, lane: Lane, rarely: int) -> None:
        if rarely:
            return
        self.otp.unlock(PHONE, lane)
        self.phone.fails = [fail for fail in self.phone.fails if fail[3] != lane]
        self.phone.lock_until[lane] = self.phone.lock_level[lane] = 0

    @rule(code=codes)
    def open(self, code: Code) -> None:
        result = self.otp.open(code.challenge)
        if not self.current(code):
            assert result == gone(Reason.UNKNOWN)
        elif code.state == "used":
            assert result == gone(Reason.USED)
        elif code.ends - self.now < 20_000:
            assert result == gone(Reason.EXPIRED)
        elif code.state != "active":
            assert result == gone(Reason.UNKNOWN)
        else:
            assert isinstance(result, Delivery)
            assert result.code == code.code

    @invariant()
    def every_key_ends(self) -> None:
        for key, life in lives_ms(self.raw).items():
            assert life > 0, key


@pytest.mark.timeout(600)
def test_scripts_and_model_agree(raw: redis.Redis, blocking_driver: Any) -> None:
    machine = type("Histories", (Histories,), {"raw": raw, "driver": blocking_driver})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(150),
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
