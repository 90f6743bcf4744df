"""Caps that heal, breakers, budgets: honest crowds pass, pumping does not."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.errors import Full, Misuse, Unsuccessful
from hustlex.otp import (
    Breaker,
    BreakerOpen,
    BudgetExhausted,
    Cap,
    CapReached,
    Caps,
    ChallengeRequired,
    Cooldown,
    Country,
    DailyCap,
    Delivery,
    DeliveryStatus,
    DestinationBlocked,
    Gone,
    Guesses,
    InvalidPhone,
    Issued,
    Limits,
    Numbers,
    Obstacle,
    Otp,
    OtpEvent,
    OtpOptions,
    Policy,
    Reason,
    Resent,
    Risk,
    Scope,
    Verified,
    Wrong,
)
from tests.conftest import PATIENCE, SECRET
from tests.support.otp import KEYRING, PHONE, code_of, phone, sent, units, verified, wrong

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
IP = "203.0.113.7"
IP_TAG = f"ip:{KEYRING.reference('203.0.113.7/32')}"
PFX_TAG, CC_TAG = "pfx:2348031", "cc:NG"
WIDE = Cap(10**6, HOUR)
CALM = Breaker(sends=10**6)
PART = MINUTE * 3
"""A twentieth of an hour: the oldest part of a window counts whole."""


def room(driver: Any, clock: FixedClock, **options: Any) -> Otp:
    return Otp(driver, KEYRING, clock=clock, options=OtpOptions(**options))


# --- caps ------------------------------------------------------------------------------------------------------------


async def test_an_address_has_a_hundred_unanswered_messages_an_hour(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock, caps=Caps(prefix=WIDE, block=WIDE), breaker=CALM)
    for number in range(100):
        await sent(otp, phone(number), ip=IP)
    refused = await otp.issue(phone(100), ip=IP)
    assert refused == CapReached(Scope.IP, HOUR + PART - timedelta(milliseconds=clock.now_ms % 180_000))
    await sent(otp, phone(100), ip="203.0.113.8")
    await sent(otp, phone(101))
    clock.advance(refused.retry_after - timedelta(milliseconds=1))
    assert await otp.issue(phone(102), ip=IP) == CapReached(Scope.IP, timedelta(milliseconds=1))
    clock.advance(timedelta(milliseconds=1))
    await sent(otp, phone(102), ip=IP)


async def test_one_ipv6_network_is_one_address(driver: Any, clock: FixedClock, raw: redis.Redis) -> None:
    otp = room(driver, clock, caps=Caps(ip=Cap(2, HOUR)))
    await sent(otp, phone(1), ip="2001:db8:1:2::1")
    await sent(otp, phone(2), ip="2001:db8:1:2:ffff::9")
    assert isinstance(await otp.issue(phone(3), ip="2001:db8:1:2::77"), CapReached)
    await sent(otp, phone(3), ip="2001:db8:1:3::1")
    await sent(otp, phone(4), ip="::ffff:203.0.113.7")
    await sent(otp, phone(5), ip=IP)
    assert isinstance(await otp.issue(phone(6), ip=IP), CapReached)
    assert not [key for key in raw.scan_iter() if b"203.0" in key or b"2001:" in key]
    with pytest.raises(Misuse):
        await otp.issue(phone(7), ip="no address")


async def test_a_right_code_gives_its_units_back(hx: Any, raw: redis.Redis) -> None:
    issued = await sent(hx.otp, ip=IP)
    assert [units(raw, tag) for tag in (IP_TAG, PFX_TAG, CC_TAG)] == [1, 1, 1]
    code = await code_of(hx.otp, issued.challenge)
    answers = [await hx.otp.verify(issued.challenge, code, nonce="a nonce", ip=IP) for _ in range(3)]
    assert all(isinstance(answer, Verified) for answer in answers)
    assert [units(raw, tag) for tag in (IP_TAG, PFX_TAG, CC_TAG)] == [0, 0, 0]
    assert [units(raw, tag, "v") for tag in (IP_TAG, PFX_TAG, CC_TAG)] == [1, 1, 1]


async def test_units_come_back_once_however_many_right_codes_arrive(hx: Any, raw: redis.Redis) -> None:
    other = await sent(hx.otp, phone(9), ip=IP)
    issued = await sent(hx.otp, phone(8), ip=IP)
    code = await code_of(hx.otp, issued.challenge)
    await asyncio.gather(*(hx.otp.verify(issued.challenge, code, nonce="one", ip=IP) for _ in range(50)))
    assert [units(raw, tag) for tag in (IP_TAG, PFX_TAG, CC_TAG)] == [1, 1, 1]
    await asyncio.gather(*(hx.otp.cancel(other.challenge, unsent=True) for _ in range(20)))
    assert [units(raw, tag) for tag in (IP_TAG, PFX_TAG, CC_TAG)] == [0, 0, 0]


async def test_both_messages_of_a_challenge_come_back(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    issued = await sent(hx.otp, ip=IP)
    clock.advance(MINUTE)
    assert isinstance(await hx.otp.resend(issued.challenge, ip=IP), Resent)
    assert [units(raw, tag) for tag in (IP_TAG, PFX_TAG, CC_TAG)] == [2, 2, 2]
    await verified(hx.otp, issued)
    assert [units(raw, tag) for tag in (IP_TAG, PFX_TAG, CC_TAG)] == [0, 0, 0]
    assert [units(raw, tag, "v") for tag in (IP_TAG, PFX_TAG, CC_TAG)] == [1, 1, 1]


async def test_a_unit_whose_bucket_is_gone_does_not_come_back(driver: Any, clock: FixedClock, raw: redis.Redis) -> None:
    otp = room(driver, clock, caps=Caps(prefix=Cap(2, 3 * MINUTE), block=WIDE))
    old = await sent(otp, phone(1))
    clock.advance(4 * MINUTE)
    await sent(otp, phone(2))
    await sent(otp, phone(3))
    await verified(otp, old)
    assert isinstance(await otp.issue(phone(4)), CapReached)


async def test_what_the_phone_refuses_costs_no_unit(hx: Any, raw: redis.Redis) -> None:
    await sent(hx.otp, ip=IP)
    for _ in range(3):
        assert isinstance(await hx.otp.issue(PHONE, ip=IP), Cooldown)
    assert [units(raw, tag) for tag in (IP_TAG, PFX_TAG, CC_TAG)] == [1, 1, 1]
    assert [units(raw, tag, "s") for tag in (IP_TAG, PFX_TAG, CC_TAG)] == [1, 1, 1]


async def test_what_one_scope_refuses_costs_the_others_nothing(
    driver: Any, clock: FixedClock, raw: redis.Redis
) -> None:
    otp = room(driver, clock, caps=Caps(ip=Cap(1, HOUR)))
    await sent(otp, phone(1), ip=IP)
    assert isinstance(await otp.issue(phone(2), ip=IP), CapReached)
    assert (units(raw, PFX_TAG), units(raw, CC_TAG)) == (1, 1)
    block = f"otp:{{blk:{KEYRING.reference('2348031002')}}}:cap"
    assert not [name for name in raw.hgetall(block) if name.startswith(b"n")]


async def test_five_numbers_of_a_block_and_no_sixth(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock, breaker=CALM)
    for number in range(5):
        await sent(otp, phone(7, number))
    assert await otp.issue(phone(7, 5)) == CapReached(Scope.BLOCK, HOUR)
    clock.advance(MINUTE)
    await sent(otp, phone(7, 0))
    await sent(otp, phone(8, 5))
    assert await otp.issue(phone(7, 5)) == CapReached(Scope.BLOCK, HOUR - MINUTE)
    assert isinstance(await otp.issue(phone(7, 0)), Cooldown), "a refused repeat must not free its number's place"
    assert isinstance(await otp.issue(phone(7, 5)), CapReached)
    clock.advance(HOUR - MINUTE)
    await sent(otp, phone(7, 5))
    assert isinstance(await otp.issue(phone(7, 0)), Issued)


async def test_nonsense_costs_its_address_a_unit_and_nothing_else(hx: Any, raw: redis.Redis) -> None:
    issued = await sent(hx.otp, ip=IP)
    assert await hx.otp.issue("nonsense", ip=IP) == InvalidPhone()
    assert isinstance(await hx.otp.issue("+1 900 555 0123", ip=IP), DestinationBlocked)
    await hx.otp.verify("nonsense", "123456", ip=IP)
    await hx.otp.verify(issued.challenge, "12", ip=IP)
    await hx.otp.verify(issued.challenge[:-3] + "AAA", "123456", ip=IP)
    await hx.otp.resend("nonsense", ip=IP)
    assert (units(raw, IP_TAG), units(raw, PFX_TAG), units(raw, CC_TAG)) == (7, 1, 1)
    assert units(raw, IP_TAG, "s") == 1


async def test_delivery_report_of_failure_gives_back_once(driver: Any, clock: FixedClock, raw: redis.Redis) -> None:
    otp = room(driver, clock, countries={"NG": Country(price=400, budget=1000)})
    issued = await sent(otp, ip=IP)
    assert await otp.delivery_report(issued.challenge, DeliveryStatus.SENT) is False
    assert await otp.delivery_report(issued.challenge, DeliveryStatus.FAILED) is True
    assert await otp.delivery_report(issued.challenge, DeliveryStatus.FAILED) is False
    assert (units(raw, IP_TAG), units(raw, PFX_TAG), units(raw, CC_TAG)) == (1, 0, 0)
    assert (units(raw, IP_TAG, "s"), units(raw, PFX_TAG, "s")) == (0, 0)
    assert raw.hget(f"otp:{{{CC_TAG}}}:cap", "spent") == b"0"
    clock.advance(MINUTE)
    assert isinstance(await otp.resend(issued.challenge, ip=IP), Resent)
    assert (units(raw, IP_TAG), units(raw, PFX_TAG), units(raw, CC_TAG)) == (2, 1, 1)
    await verified(otp, issued)
    assert (units(raw, IP_TAG), units(raw, PFX_TAG), units(raw, CC_TAG)) == (1, 0, 0)


async def test_delivery_report_may_come_after_a_message_was_given_up(
    driver: Any, clock: FixedClock, raw: redis.Redis
) -> None:
    events: list[OtpEvent] = []
    otp = room(driver, clock, watch=events.append)
    issued = await sent(otp, ip=IP)
    assert await otp.delivery_report(issued.challenge, DeliveryStatus.FAILED, channel="sms") is True
    await verified(otp, issued)
    assert units(raw, IP_TAG) == 1, "what a failed message cost its address does not come back"
    assert [event.outcome for event in events] == ["sent", "failed", "verified"]


async def test_every_attempt_is_an_event(driver: Any, clock: FixedClock) -> None:
    events: list[OtpEvent] = []
    otp = room(driver, clock, watch=events.append)
    issued = await sent(otp, ip=IP)
    code = await code_of(otp, issued.challenge)
    clock.advance(timedelta(seconds=12))
    await otp.issue("nobody", ip="2001:db8:1:2::3")
    await otp.verify(issued.challenge, wrong(code), ip=IP)
    answer = await verified(otp, issued, ip=IP)
    await otp.consume_grant(answer.grant, "login")
    await otp.consume_grant("nonsense", "login")
    await otp.unlock(PHONE, "anon")
    told = [(event.event, event.outcome, event.left) for event in events]
    assert told == [
        ("issue", "sent", -1),
        ("issue", "invalid_phone", -1),
        ("verify", "wrong", 4),
        ("verify", "verified", -1),
        ("grant", "granted", -1),
        ("grant", "unknown", -1),
        ("unlock", "unknown", -1),
    ]
    first, right = events[0], events[3]
    assert (first.country, first.prefix, first.network) == ("NG", "2348031", "203.0.113.0/24")
    assert events[1].network == "2001:db8:1::/48"
    assert (right.lane, right.purpose, right.country, right.age) == ("anon", "login", "NG", 12.0)
    assert (len(right.challenge), len(right.subject)) == (6, 8)
    assert all(event.seconds > 0 for event in events)


async def test_one_phone_has_one_budget_whatever_the_purpose(hx: Any, clock: FixedClock) -> None:
    purposes = ["login", "register", "pin_reset", "default"]
    answers = []
    for number in range(12):
        answers.append(await hx.otp.issue(PHONE, purposes[number % 4], ip=IP))
        clock.advance(MINUTE)
    assert Counter(map(type, answers)) == {Issued: 11, DailyCap: 1}, "one in lane extra, for this network"


async def test_two_hundred_requests_at_once_are_one_message(driver: Any, clock: FixedClock, raw: redis.Redis) -> None:
    """Those refused may take units for a moment, so a cap may refuse some; in the end one is taken."""
    otp = room(driver, clock)
    answers = await asyncio.gather(*(otp.issue(PHONE, ip=IP) for _ in range(200)))
    kinds = Counter(map(type, answers))
    assert kinds[Issued] == 1
    assert kinds[Issued] + kinds[Cooldown] + kinds[CapReached] == 200
    assert [units(raw, tag) for tag in (IP_TAG, PFX_TAG, CC_TAG)] == [1, 1, 1]
    assert [units(raw, tag, "s") for tag in (IP_TAG, PFX_TAG, CC_TAG)] == [1, 1, 1]
    free = room(driver, clock, caps=None)
    answers = await asyncio.gather(*(free.issue(phone(1)) for _ in range(200)))
    assert Counter(map(type, answers)) == {Issued: 1, Cooldown: 199}


async def test_a_full_server_gives_the_units_back(hx: Any, raw: redis.Redis) -> None:
    raw.config_set("maxmemory", "1")
    try:
        with pytest.raises(Full):
            await hx.otp.issue(PHONE, ip=IP)
    finally:
        raw.config_set("maxmemory", "0")
    assert not list(raw.scan_iter())


async def test_a_number_in_no_known_range_has_a_quarter(driver: Any, clock: FixedClock) -> None:
    unknown, events = "+2340803123456", []
    strict = room(driver, clock)
    assert await strict.issue(unknown) == InvalidPhone()
    lenient = room(
        driver,
        clock,
        numbers=Numbers(accept_possible=True),
        caps=Caps(ip=Cap(8, HOUR), prefix=WIDE, block=WIDE),
        limits=Limits(sends=4, extra=0),
        watch=events.append,
    )
    await sent(lenient, unknown, ip=IP)
    clock.advance(MINUTE)
    assert isinstance(await lenient.issue(unknown, ip="203.0.113.8"), DailyCap)
    assert await lenient.issue("+1 202 555 01") == InvalidPhone()
    assert isinstance(await lenient.issue("+2340803123457", ip=IP), Issued)
    assert isinstance(await lenient.issue("+2340803123458", ip=IP), CapReached), "two are a quarter of eight"
    await sent(lenient, phone(1), ip=IP)
    assert [event.unusual for event in events] == [True, True, False, True, True, False]


# --- breakers --------------------------------------------------------------------------------------------------------


async def crowd(otp: Otp) -> None:
    """Twenty people elsewhere in the country type their codes, so that only the prefix is suspicious."""
    for number in range(20):
        await verified(otp, await sent(otp, f"+2347031{number:03}000"))


SLOW = timedelta(minutes=6)
"""Five probes in 30 minutes."""


async def tripped(otp: Otp) -> None:
    """The prefix 2348031 after twenty messages that nobody typed."""
    await crowd(otp)
    for number in range(20):
        await sent(otp, phone(number))
    assert isinstance(await otp.issue(phone(20)), ChallengeRequired)


async def test_a_breaker_slows_down_after_twenty_that_nobody_types(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock)
    await crowd(otp)
    for number in range(20):
        await sent(otp, phone(number))
    asked = ChallengeRequired(Obstacle.LOW_CONVERSION, SLOW)
    assert await otp.issue(phone(20)) == asked
    clock.advance(SLOW - timedelta(milliseconds=1))
    assert await otp.issue(phone(20)) == ChallengeRequired(Obstacle.LOW_CONVERSION, timedelta(milliseconds=1))
    clock.advance(timedelta(milliseconds=1))
    await sent(otp, phone(20))
    assert await otp.issue(phone(21)) == asked
    await sent(otp, "+2347031234567")
    for number in range(5):
        await sent(otp, phone(30 + number), human=True)
    assert await otp.issue(phone(40), human=True) == BreakerOpen(Scope.PREFIX, SLOW)


async def test_an_operator_sees_what_is_slowed_down_and_ends_it_by_close_breaker(
    driver: Any, clock: FixedClock
) -> None:
    otp = room(driver, clock)
    await tripped(otp)
    since = clock()
    await sent(otp, phone(30), human=True)
    clock.advance(timedelta(minutes=2))
    page = await otp.inspector.breakers()
    (found,) = page.breakers
    assert (found.name, found.scope, found.sent, found.verified) == ("pfx:2348031", Scope.PREFIX, 21, 0)
    assert found.since == datetime.fromtimestamp(since / 1000, UTC) and found.next_in == SLOW - timedelta(minutes=2)
    assert (found.passed, found.passed_verified, page.cursor) == (1, 0, "")
    assert await otp.close_breaker(found.name) and not await otp.close_breaker(found.name)
    assert (await otp.inspector.breakers()).breakers == ()
    for number in range(20):
        await sent(otp, phone(40 + number))
    assert isinstance(await otp.issue(phone(80)), ChallengeRequired)  # nobody types these, either


async def test_a_breaker_is_not_shown_once_its_hour_is_over(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock)
    await tripped(otp)
    clock.advance(timedelta(minutes=64))
    assert (await otp.inspector.breakers()).breakers == ()


async def test_two_verified_ones_that_passed_end_it(driver: Any, clock: FixedClock, raw: redis.Redis) -> None:
    otp = room(driver, clock)
    await tripped(otp)
    probes = [await sent(otp, phone(30 + number), human=True) for number in range(4)]
    assert isinstance(await otp.issue(phone(40)), ChallengeRequired)
    await verified(otp, probes[0])
    assert isinstance(await otp.issue(phone(40)), ChallengeRequired)
    await verified(otp, probes[1])
    await sent(otp, phone(40))
    await sent(otp, phone(41))
    assert raw.hget(f"otp:{{{PFX_TAG}}}:cap", "next") is None


async def test_ones_that_nobody_types_do_not(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock)
    await tripped(otp)
    for number in range(5):
        clock.advance(SLOW)
        await sent(otp, phone(30 + number))
        assert isinstance(await otp.issue(phone(40)), ChallengeRequired)


async def test_it_ends_by_itself_when_the_hour_is_over(driver: Any, clock: FixedClock, raw: redis.Redis) -> None:
    """Nobody needs to be human for that, and no code needs to be typed."""
    otp = room(driver, clock)
    await tripped(otp)
    clock.advance(HOUR + PART)
    for number in range(19):
        await sent(otp, phone(50 + number))
    assert raw.hget(f"otp:{{{PFX_TAG}}}:cap", "next") is None


async def test_codes_of_before_count_for_the_hour(driver: Any, clock: FixedClock) -> None:
    """Honest people who were only slow end what their silence began."""
    otp = room(driver, clock, policies={"login": Policy(ttl=timedelta(minutes=10))})
    early = [await sent(otp, phone(number)) for number in range(20)]
    assert isinstance(await otp.issue(phone(20)), ChallengeRequired)
    for issued in early[:5]:
        await verified(otp, issued)
    await sent(otp, phone(20))


async def test_a_refused_probe_is_not_one(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock)
    await tripped(otp)
    clock.advance(SLOW)
    await sent(otp, phone(30))
    for _ in range(5):
        assert isinstance(await otp.issue(phone(30), human=True), Cooldown)
    for number in range(31, 35):
        await sent(otp, phone(number), human=True)
    clock.advance(SLOW)
    assert isinstance(await otp.issue(phone(34)), Issued | DailyCap)


async def test_requests_that_the_phone_refuses_do_not_open_it(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock)
    await asyncio.gather(*(otp.issue(PHONE, ip=IP) for _ in range(50)))
    await sent(otp, phone(3), ip=IP)


async def test_a_busy_country_is_not_judged_by_codes_that_are_still_being_typed(driver: Any, clock: FixedClock) -> None:
    caps, settle = Caps(prefix=WIDE, block=WIDE), timedelta(minutes=6)
    otp = room(driver, clock, caps=caps, breaker=Breaker(settle=settle, sends=40, country_sends=60))
    for number in range(63):
        await sent(otp, f"+23480{31 + number % 7}{number:03}000")
    clock.advance(settle + PART)
    slow = timedelta(seconds=36)
    assert await otp.issue("+2347031234567") == ChallengeRequired(Obstacle.LOW_CONVERSION, slow)
    clock.advance(slow)
    await sent(otp, "+2347031234567")


async def test_guessing_makes_codes_longer(driver: Any, clock: FixedClock) -> None:
    events: list[OtpEvent] = []
    otp = room(driver, clock, guesses=Guesses(checks=10), caps=Caps(prefix=WIDE), breaker=CALM, watch=events.append)
    for number in range(2):
        issued = await sent(otp, phone(number))
        code = await code_of(otp, issued.challenge)
        assert len(code) == 6
        for step in range(1, 6):
            await otp.verify(issued.challenge, wrong(code, step))
    assert [event.country for event in events if event.outcome == "guessing"] == ["NG"]
    issued = await sent(otp, phone(3))
    code = await code_of(otp, issued.challenge)
    assert len(code) == 8
    assert await otp.verify(issued.challenge, wrong(code)) == Wrong(4)
    clock.advance(MINUTE)
    again = await otp.resend(issued.challenge)
    assert isinstance(again, Resent)
    assert again.new_code
    assert isinstance(await otp.verify(issued.challenge, await code_of(otp, issued.challenge)), Verified)
    clock.advance(timedelta(minutes=31))
    assert len(await code_of(otp, (await sent(otp, phone(4))).challenge)) == 6


async def test_honest_typing_errors_do_not_make_codes_longer(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock, guesses=Guesses(checks=10), caps=Caps(prefix=WIDE), breaker=CALM)
    for number in range(20):
        issued = await sent(otp, phone(number))
        code = await code_of(otp, issued.challenge)
        await otp.verify(issued.challenge, wrong(code))
        await verified(otp, issued)
    assert len(await code_of(otp, (await sent(otp, phone(50))).challenge)) == 6


# --- money, risk -----------------------------------------------------------------------------------------------------


async def test_a_country_spends_its_budget_and_says_when(driver: Any, clock: FixedClock) -> None:
    events: list[OtpEvent] = []
    options = {"countries": {"NG": Country(price=100, budget=1000)}, "breaker": CALM, "watch": events.append}
    otp = room(driver, clock, **options)
    for number in range(8):
        await sent(otp, phone(number))
    assert isinstance(await otp.issue(phone(9)), BudgetExhausted), "a fifth is kept for known callers"
    for number in range(10, 12):
        await sent(otp, phone(number), lane="known")
    assert isinstance(await otp.issue(phone(12), lane="known"), BudgetExhausted)
    assert [event.percent for event in events if event.event == "budget"] == [50, 80, 100]
    left = timedelta(days=1) - timedelta(milliseconds=clock.now_ms % 86_400_000)
    assert await otp.issue(phone(11)) == BudgetExhausted(left)
    clock.advance(left)
    await sent(otp, phone(11))


async def test_a_fresh_sim_card_gets_no_transaction_code(hx: Any) -> None:
    fresh, settled = Risk(sim_swap=timedelta(days=2)), Risk(sim_swap=timedelta(days=30))
    refused = ChallengeRequired(Obstacle.SIM_SWAP)
    assert await hx.otp.issue(PHONE, "pin_reset", risk=fresh) == refused
    assert await hx.otp.issue(PHONE, "transaction", ctx={"a": 1}, risk=fresh, human=True) == refused
    await sent(hx.otp, purpose="login", risk=fresh)
    await sent(hx.otp, phone(1), "pin_reset", risk=settled)
    await sent(hx.otp, phone(2), "pin_reset", risk=Risk())


# --- test 17 of the specification: pumping, and the honest crowd that it must not hurt -------------------------------


async def test_pumping_adjacent_numbers_from_many_addresses_ends_at_once(
    driver: Any, clock: FixedClock, raw: redis.Redis
) -> None:
    otp = room(driver, clock, countries={"NG": Country(price=400, budget=100_000)})
    answers: Counter[str] = Counter()
    for number in range(1000):
        answer = await otp.issue(phone(500, number), ip=f"198.51.{number % 200}.1")
        answers[type(answer).__name__] += 1
    assert answers == {"Issued": 5, "CapReached": 995}
    answers.clear()
    for number in range(1000):
        answer = await otp.issue(phone(number % 500, number // 500), ip=f"198.51.{number % 200}.1")
        answers[type(answer).__name__] += 1
    assert answers["Issued"] == 15
    assert answers["ChallengeRequired"] + answers["BreakerOpen"] == 985
    assert int(raw.hget(f"otp:{{{CC_TAG}}}:cap", "spent") or 0) == 20 * 400


@pytest.mark.parametrize("healing", [True, False])
async def test_an_honest_crowd_behind_one_address(driver: Any, clock: FixedClock, healing: bool) -> None:
    """600 people within an hour, 17 of 20 of whom type their code, within 40 seconds: nobody is refused."""
    otp = room(driver, clock, caps=Caps(prefix=WIDE))
    chance, waiting, refused = random.Random(17), [], 0
    for number in range(600):
        clock.advance(timedelta(seconds=6))
        answer = await otp.issue(phone(number), ip=IP)
        if isinstance(answer, Issued):
            delay = timedelta(seconds=chance.uniform(5, 40)) // timedelta(milliseconds=1)
            if number % 20 < 17:
                waiting.append((clock.now_ms + delay, answer))
        else:
            refused += 1
        due = [issued for when, issued in waiting if when <= clock.now_ms]
        waiting = [(when, issued) for when, issued in waiting if when > clock.now_ms]
        for issued in due if healing else []:
            assert isinstance(await otp.verify(issued.challenge, await code_of(otp, issued.challenge)), Verified)
    assert (refused == 0) is healing
    assert healing or refused >= 500


async def test_every_key_of_a_cap_ends(driver: Any, clock: FixedClock, raw: redis.Redis) -> None:
    countries = {"NG": Country(price=1, budget=10_000)}
    otp = room(driver, clock, caps=Caps(ip=Cap(2, HOUR)), countries=countries, guesses=Guesses(checks=1))
    for number in range(4):
        answer = await otp.issue(phone(number), ip=IP)
        if isinstance(answer, Issued):
            await otp.verify(answer.challenge, wrong(await code_of(otp, answer.challenge)), ip=IP)
            await verified(otp, answer)
    await otp.issue("nonsense", ip=IP)
    for key in raw.scan_iter("*:cap"):
        assert 0 < raw.pttl(key) <= (25 * 3_600_000 if b"cc:" in key else 2 * 3_600_000), key


# --- decoys ----------------------------------------------------------------------------------------------------------


async def test_a_decoy_counts_like_a_message_and_opens_for_no_code(hx: Any, raw: redis.Redis) -> None:
    decoy = await sent(hx.otp, deliver=False, ip=IP)
    assert await hx.otp.open(decoy.challenge) == Gone(Reason.SUPPRESSED)
    for left in (4, 3, 2, 1):
        assert await hx.otp.verify(decoy.challenge, f"00000{left}") == Wrong(left)
    assert isinstance(await hx.otp.issue(PHONE, ip=IP), Cooldown)
    assert [units(raw, tag) for tag in (IP_TAG, PFX_TAG, CC_TAG)] == [1, 1, 1]


async def test_a_claim_is_one_sending(hx: Any, clock: FixedClock) -> None:
    issued = await sent(hx.otp)
    answers = await asyncio.gather(*(hx.otp.open(issued.challenge, claim=f"job {n}") for n in range(30)))
    mine = [n for n, answer in enumerate(answers) if isinstance(answer, Delivery)]
    assert len(mine) == 1
    assert [answer for answer in answers if not isinstance(answer, Delivery)] == [Gone(Reason.CLAIMED)] * 29
    again = await hx.otp.open(issued.challenge, claim=f"job {mine[0]}")
    assert again.key == answers[mine[0]].key
    assert isinstance(await hx.otp.open(issued.challenge), Delivery)
    clock.advance(MINUTE)
    await hx.otp.resend(issued.challenge)
    second = await hx.otp.open(issued.challenge, claim="another")
    assert isinstance(second, Delivery)
    assert second.key != again.key


# --- countries -------------------------------------------------------------------------------------------------------


async def test_an_evaluator_uses_a_phone_of_his_own(url: str, clock: FixedClock) -> None:
    async with HustleX(url, timeout=PATIENCE, secret=SECRET, clock=clock, region="GB") as hx:
        for typed, number in (("07400 123456", "+447400123456"), ("+1 202 555 0143", "+12025550143")):
            opened = await hx.otp.open((await sent(hx.otp, typed)).challenge)
            assert isinstance(opened, Delivery)
            assert opened.phone == number
    numbers = Numbers(countries=frozenset({"NG"}))
    async with HustleX(
        url, timeout=PATIENCE, secret=SECRET, clock=clock, region="GB", otp=OtpOptions(numbers=numbers)
    ) as hx:
        refused = await hx.otp.issue("07400 123457")
        assert refused == DestinationBlocked("GB", "OtpOptions.numbers.countries")
        with pytest.raises(Unsuccessful, match=r"OtpOptions\.numbers\.countries closes it"):
            refused.or_raise()


async def test_what_closes_a_country_is_told(driver: Any, clock: FixedClock) -> None:
    events: list[OtpEvent] = []
    otp = room(driver, clock, numbers=Numbers(countries=frozenset({"NG"})), watch=events.append)
    await otp.issue("+44 7400 123456")
    assert [(event.outcome, event.scope) for event in events] == [
        ("destination_blocked", "OtpOptions.numbers.countries")
    ]


async def test_other_countries_have_less_until_they_are_named(driver: Any, clock: FixedClock) -> None:
    less = Country(cap=Cap(1, HOUR))
    otp = room(driver, clock, elsewhere=less, countries={"US": Country()})
    await sent(otp, "+44 7400 123456")
    assert isinstance(await otp.issue("+44 7500 123457"), CapReached)
    for number in ("+2348031234567", "+2348061234567", "+1 202 555 0143", "+1 212 555 0143"):
        await sent(otp, number)
