"""A server's clock that jumps, forward and back: nobody is shut out for longer than the window that shut him out."""

from __future__ import annotations

from base64 import b32decode
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hustlex._sync.otp import Otp
from hustlex.core.time import FixedClock
from hustlex.idempotency import IdempotencyOptions, InFlight, Orphaned, Scope, Started
from hustlex.otp import (
    Breaker,
    BreakerOpen,
    Cap,
    CapReached,
    Caps,
    ChallengeRequired,
    Cooldown,
    Issued,
    Limits,
    OtpOptions,
    SubjectLocked,
    Verified,
)
from hustlex.otp.totp import hotp
from hustlex.pins import PinHashed, PinLocked, PinOptions
from hustlex.ratelimit import Penalty, Policy, RateLimitOptions
from hustlex.sync import HustleX
from hustlex.tokens import Access, Refreshed, TokenOptions, TokenPair
from tests.conftest import SECRET
from tests.support.depth import examples
from tests.support.otp import KEYRING

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
JUMPS = st.lists(st.integers(-40 * 86_400, 40 * 86_400).map(lambda s: timedelta(seconds=s)), min_size=1, max_size=4)
BACK = st.lists(st.integers(-40 * 86_400, 0).map(lambda s: timedelta(seconds=s)), min_size=1, max_size=4)
"""For what grows with each time it happens: a step forward would end it, and let it happen again."""
KINDS = ["strict", "log", "counter", "fixed", "gcra", "leases"]
WAITS = dict.fromkeys(KINDS, 1.2 * MINUTE) | {"counter": 2 * MINUTE}
"""The counter's last window counts in the one after it: two windows by its nature, whatever the clock does."""
_settings = settings(
    max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def front(url: str) -> Iterator[HustleX]:
    options = PinOptions(attempts=2, memory_kib=8_192, passes=2, locks=(MINUTE, 5 * MINUTE))
    limits = RateLimitOptions(timeout=timedelta(seconds=10))
    lease = IdempotencyOptions(lease=30 * SECOND)
    with HustleX(
        url, secret=SECRET, clock=CLOCK, pins=options, ratelimit=limits, idempotency=lease, otp=OtpOptions(caps=None)
    ) as opened:
        yield opened


CLOCK = FixedClock()
_fresh = iter(range(1_000_000))


def shut_out(jumps: list[timedelta], window: timedelta, closed: Callable[[], bool]) -> None:
    """However the clock jumps, a window later the door is open again."""
    for jump in jumps:
        CLOCK.now_ms = max(CLOCK.now_ms, 200 * 86_400_000)
        CLOCK.advance(jump)
        closed()  # whoever asks meanwhile
    passed = timedelta(0)
    while passed <= window:
        if not closed():
            return
        step = max(window / 7, SECOND) + timedelta(milliseconds=1)
        CLOCK.advance(step)
        passed += step
    assert not closed(), "shut out for longer than the window"


@pytest.mark.parametrize("algorithm", KINDS)
@_settings
@given(JUMPS)
def test_limits(front: HustleX, algorithm: Any, jumps: list[timedelta]) -> None:
    policy = Policy(
        f"jump-{algorithm}", 2, MINUTE, algorithm, local_deny=False, **({"burst": 2} if algorithm == "gcra" else {})
    )
    who = f"u{next(_fresh)}"
    while front.ratelimit.check(policy, who, endpoint="/pay").allowed:
        pass
    shut_out(jumps, WAITS[algorithm], lambda: not front.ratelimit.check(policy, who, endpoint="/pay").allowed)


@pytest.mark.parametrize("algorithm", KINDS[:5])
@_settings
@given(JUMPS)
def test_refusals_in_memory(front: HustleX, algorithm: Any, jumps: list[timedelta]) -> None:
    policy = Policy(f"memory-{algorithm}", 1, MINUTE, algorithm, **({"burst": 1} if algorithm == "gcra" else {}))
    who = f"u{next(_fresh)}"
    while front.ratelimit.check(policy, who, endpoint="/pay").allowed:
        pass
    shut_out(jumps, WAITS[algorithm], lambda: not front.ratelimit.check(policy, who, endpoint="/pay").allowed)


@_settings
@given(BACK)
def test_bans(front: HustleX, jumps: list[timedelta]) -> None:
    ban = 5 * MINUTE
    policy = Policy("banned", 1, SECOND, penalty=Penalty(strikes=1, per=SECOND, ban=ban))
    who = f"u{next(_fresh)}"
    while front.ratelimit.check(policy, who, endpoint="/pay").outcome != "banned":
        pass
    shut_out(jumps, ban + 2 * SECOND, lambda: front.ratelimit.check(policy, who, endpoint="/pay").outcome == "banned")


@_settings
@given(JUMPS)
def test_leases_of_idempotency_keys(front: HustleX, jumps: list[timedelta]) -> None:
    scope, key = Scope("u1", "POST", "/pay"), f"k{next(_fresh)}"
    assert isinstance(front.idempotency.begin(key, scope), Started)
    shut_out(jumps, 30 * SECOND, lambda: isinstance(front.idempotency.begin(key, scope), InFlight))
    assert isinstance(front.idempotency.begin(key, scope), Orphaned)


@_settings
@given(BACK)
def test_locked_pins(front: HustleX, jumps: list[timedelta]) -> None:
    who = f"u{next(_fresh)}"
    hashed = front.pins.hash(who, "482915")
    assert isinstance(hashed, PinHashed)
    while not isinstance(front.pins.verify(who, "482916", hashed.verifier), PinLocked):
        pass
    shut_out(jumps, 5 * MINUTE, lambda: isinstance(front.pins.verify(who, "482916", hashed.verifier), PinLocked))


@_settings
@given(BACK)
def test_pauses_between_codes(front: HustleX, jumps: list[timedelta]) -> None:
    phone = f"+234803{next(_fresh):07d}"
    assert isinstance(front.otp.issue(phone), Issued)
    shut_out(jumps, MINUTE, lambda: isinstance(front.otp.issue(phone), Cooldown))


def room(front: HustleX, **options: Any) -> Otp:
    wide = Cap(10**6, HOUR)
    caps = Caps(**{"ip": wide, "prefix": wide, "block": wide} | options.pop("caps", {}))
    return Otp(front.driver, KEYRING, prefix=f"p{next(_fresh)}:", clock=CLOCK, options=OtpOptions(caps=caps, **options))


def anybody() -> str:
    return f"+234{next(_fresh) * 7919 % 10_000 + 8_030_000:07d}{next(_fresh) % 1000:03d}"


@_settings
@given(JUMPS)
def test_caps_of_codes(front: HustleX, jumps: list[timedelta]) -> None:
    otp, ip = room(front, caps={"ip": Cap(1, HOUR)}, breaker=Breaker(sends=10**6)), "203.0.113.7"
    while isinstance(otp.issue(anybody(), ip=ip), Issued):
        pass
    shut_out(jumps, HOUR * 1.06, lambda: isinstance(otp.issue(anybody(), ip=ip), CapReached))


@_settings
@given(JUMPS)
def test_caps_of_distinct_numbers(front: HustleX, jumps: list[timedelta]) -> None:
    otp = room(front, caps={"block": Cap(2, HOUR)}, breaker=Breaker(sends=10**6))
    block, number = f"+234806{next(_fresh) % 10_000:04d}", iter(range(1000))

    def closed() -> bool:
        return isinstance(otp.issue(f"{block}{next(number):03d}"), CapReached)

    while not closed():
        pass
    shut_out(jumps, HOUR * 1.06, closed)


@_settings
@given(BACK)
def test_breakers_of_codes(front: HustleX, jumps: list[timedelta]) -> None:
    otp = room(front, breaker=Breaker(sends=2, pause=HOUR, probes=2, country_sends=10**6))
    number = iter(range(10_000))

    def closed() -> bool:
        answer = otp.issue(f"+2348061{next(number):06d}")
        assert isinstance(answer, Issued | ChallengeRequired | BreakerOpen)
        return not isinstance(answer, Issued)

    while not closed():
        pass
    shut_out(jumps, HOUR / 2, closed)


@_settings
@given(BACK)
def test_locks_and_used_steps_of_authenticators(front: HustleX, jumps: list[timedelta]) -> None:
    otp, who = room(front, limits=Limits(wrong=2, locks=(5 * MINUTE,))), f"u{next(_fresh)}"
    enrolment = otp.totp_enrol(who, issuer="HustleX", account="ada@example.com")

    def answer(off: int = 0) -> Any:
        code = hotp(b32decode(enrolment.secret), CLOCK.now_ms // 30_000 + off)
        return otp.totp_verify(who, enrolment.sealed, code)

    assert isinstance(answer(), Verified)
    shut_out(jumps, 2 * MINUTE, lambda: not isinstance(answer(), Verified))
    CLOCK.advance(MINUTE)
    while not isinstance(answer(off=500), SubjectLocked):
        pass
    shut_out(jumps, 5 * MINUTE, lambda: isinstance(answer(), SubjectLocked))


@_settings
@given(BACK)
def test_a_clock_that_goes_back_logs_nobody_out(front: HustleX, jumps: list[timedelta]) -> None:
    who = f"u{next(_fresh)}"
    front.tokens.revoke_all(who)
    pair = front.tokens.login(who)
    assert isinstance(pair, TokenPair)
    for jump in jumps:
        CLOCK.advance(jump)
        for mode in ("strict", "stateless"):
            assert isinstance(front.tokens.check(pair.access, mode=mode), Access)  # type: ignore[arg-type]
        renewed = front.tokens.refresh(pair.refresh)
        assert isinstance(renewed, Refreshed)
        pair = renewed.pair
        front.tokens.revoke_all(who)
        again = front.tokens.login(who)
        assert isinstance(again, TokenPair)
        assert isinstance(front.tokens.check(again.access, mode="strict"), Access)
        pair = again
    CLOCK.advance(HOUR * 24 * 200)


@_settings
@given(st.integers(60, 86_400).map(lambda s: timedelta(seconds=s)))
def test_a_spent_refresh_token_is_good_no_longer_than_the_grace(front: HustleX, back: timedelta) -> None:
    pair = front.tokens.login(f"u{next(_fresh)}")
    assert isinstance(pair, TokenPair)
    assert isinstance(front.tokens.refresh(pair.refresh), Refreshed)
    CLOCK.advance(-back)
    front.tokens.refresh(pair.refresh)
    CLOCK.advance(TokenOptions().grace + SECOND)
    assert not isinstance(front.tokens.refresh(pair.refresh), Refreshed)
    CLOCK.advance(HOUR * 48)
