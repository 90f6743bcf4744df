"""What one stranger can close, and for whom: never for people he does not share an address with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.otp import (
    Breaker,
    BreakerOpen,
    Cap,
    CapReached,
    Caps,
    ChallengeRequired,
    Cooldown,
    Country,
    DailyCap,
    Guesses,
    Issued,
    Obstacle,
    Otp,
    OtpOptions,
    Scope,
    Verified,
)
from tests.support.otp import KEYRING, PHONE, code_of, phone, sent, units, verified, wrong
from tests.support.siege import ATTACKS, PhoneSiege, Siege

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ATTACKER, HOME, CARRIER = "198.51.100.1", "41.73.1.9", "102.89.1.1"
WIDE = Cap(10**6, HOUR)
BARE = Breaker(sends=10**6)


def room(driver: Any, clock: FixedClock, **options: Any) -> Otp:
    return Otp(driver, KEYRING, clock=clock, options=OtpOptions(**options))


def elsewhere(number: int) -> str:
    """Numbers in ten prefixes, none of them 2348031, each in a block of its own up to 1,000 of a prefix."""
    return f"+234806{number % 10}{number // 10 % 1000:03}{number % 1000:03}"


async def known_device(otp: Otp, clock: FixedClock) -> str:
    token = (await verified(otp, await sent(otp), remember=True)).device
    clock.advance(MINUTE)
    return token


# --- one phone -------------------------------------------------------------------------------------------------------


async def test_a_strangers_day_of_requests_leaves_the_owners_device_alone(hx: Any, clock: FixedClock) -> None:
    device = await known_device(hx.otp, clock)
    for _ in range(9):
        await sent(hx.otp, ip=ATTACKER)
        clock.advance(MINUTE)
    assert (await sent(hx.otp, ip=ATTACKER)).challenge.endswith(".es"), "the one of his network"
    assert isinstance(await hx.otp.issue(PHONE, ip=ATTACKER), Cooldown)
    clock.advance(MINUTE)
    assert await hx.otp.issue(PHONE, ip=ATTACKER) == ChallengeRequired(
        Obstacle.USED_UP, timedelta(hours=23, minutes=49)
    )
    for _ in range(10):
        await verified(hx.otp, await sent(hx.otp, device=device, ip=HOME))
        clock.advance(MINUTE)
    assert isinstance(await hx.otp.issue(PHONE, device=device, ip=HOME), DailyCap)


async def test_neither_his_pause_nor_his_open_codes_are_the_owners(hx: Any, clock: FixedClock) -> None:
    device = await known_device(hx.otp, clock)
    mine = await sent(hx.otp, device=device)
    for _ in range(4):
        await sent(hx.otp)
        assert isinstance(await hx.otp.issue(PHONE), Cooldown)
        clock.advance(MINUTE)
    assert isinstance(await hx.otp.verify(mine.challenge, await code_of(hx.otp, mine.challenge)), Verified)
    await sent(hx.otp, device=device)


# --- addresses, prefixes, blocks, countries --------------------------------------------------------------------------


@pytest.mark.parametrize("tries", [20, 300])
async def test_one_address_closes_itself_alone(driver: Any, clock: FixedClock, tries: int) -> None:
    """At the quietest hour, with no honest message in the ratio, and no human check anywhere."""
    otp = room(driver, clock)
    for number in range(tries):
        await otp.issue(elsewhere(number), ip=ATTACKER)
    clock.advance(timedelta(minutes=9))
    assert isinstance(await otp.issue(phone(1), ip=ATTACKER), BreakerOpen | ChallengeRequired | Issued)
    assert isinstance(await otp.issue(phone(2), ip=ATTACKER), BreakerOpen | ChallengeRequired)
    for number in range(50):
        await sent(otp, elsewhere(5_000 + number), ip=f"41.73.{number}.9")


async def test_one_address_does_not_close_a_prefix(driver: Any, clock: FixedClock, raw: redis.Redis) -> None:
    otp = room(driver, clock)
    for number in range(100):
        await otp.issue(phone(number), ip=ATTACKER)
    assert units(raw, "pfx:2348031", "s") == 5, "what a suspect address sends shows nothing of the prefix"
    assert units(raw, "cc:NG", "s") == 5
    for number in range(10):
        await sent(otp, phone(500 + number), ip=f"41.73.{number}.9")


CLOSED: dict[str, dict[str, Any]] = {
    "address": {"caps": Caps(ip=Cap(1, HOUR), prefix=WIDE, block=WIDE), "breaker": BARE},
    "prefix": {"caps": Caps(prefix=Cap(1, HOUR), block=WIDE), "breaker": BARE},
    "block": {"caps": Caps(block=Cap(1, HOUR)), "breaker": BARE},
    "country": {"countries": {"NG": Country(cap=Cap(1, HOUR))}, "breaker": BARE},
    "budget": {"countries": {"NG": Country(price=4, budget=10, kept=50)}, "breaker": BARE},
    "breaker": {"breaker": Breaker(sends=1, country_sends=1, settle=timedelta(0))},
}


@pytest.mark.parametrize("what", CLOSED)
async def test_known_callers_pass_what_strangers_closed(driver: Any, clock: FixedClock, what: str) -> None:
    quiet = room(driver, clock, caps=None)
    device = await known_device(quiet, clock)
    otp = room(driver, clock, **CLOSED[what])
    await sent(otp, phone(234, 1), ip=ATTACKER)
    assert not isinstance(await otp.issue(phone(234, 2), ip=ATTACKER), Issued), "strangers must be shut out by now"
    own = await sent(otp, device=device, ip=ATTACKER)
    assert own.challenge.endswith(".k")
    clock.advance(MINUTE)
    if what != "budget":
        assert isinstance(await otp.resend(own.challenge, ip=ATTACKER), Issued)
    await verified(otp, own, ip=ATTACKER)
    clock.advance(2 * MINUTE)
    if what != "budget":
        await sent(otp, lane="known", ip=ATTACKER)


async def test_a_known_caller_costs_money_and_nothing_else(driver: Any, clock: FixedClock, raw: redis.Redis) -> None:
    otp = room(driver, clock, countries={"NG": Country(price=400, budget=10_000)})
    issued = await sent(otp, lane="known", ip=HOME)
    meter = raw.hgetall("otp:{cc:NG}:cap")
    assert (meter[b"spent"], [name for name in meter if name[:1] in b"csv" and name[1:].isdigit()]) == (b"400", [])
    assert len(list(raw.scan_iter("*:cap"))) == 1
    assert await otp.cancel(issued.challenge, unsent=True) is True
    assert raw.hget("otp:{cc:NG}:cap", "spent") == b"0"


@pytest.mark.parametrize("what", ["prefix", "block", "breaker"])
async def test_who_comes_from_where_codes_are_typed_passes(driver: Any, clock: FixedClock, what: str) -> None:
    """A new device behind a mobile network's address, while strangers elsewhere hold its prefix and country shut."""
    otp = room(driver, clock, **CLOSED[what])
    for number in range(3):
        await verified(otp, await sent(room(driver, clock, breaker=BARE), f"+23470310{number}0000", ip=CARRIER))
    for number in range(10):
        await otp.issue(phone(234, number), ip=f"198.18.{number}.1")
    assert not isinstance(await otp.issue(phone(234, 800), ip=HOME), Issued)
    await sent(otp, phone(234, 801), ip=CARRIER)


async def test_who_sends_for_others_loses_that_credit(driver: Any, clock: FixedClock) -> None:
    """Three messages that nobody types for each code that is typed, and no more."""
    otp = room(driver, clock, **CLOSED["breaker"])
    await verified(otp, await sent(otp, "+2347031000000", ip=ATTACKER))
    for number in range(10):
        await otp.issue(phone(1, number), ip=f"198.18.{number}.1")
    passed = [await otp.issue(phone(2 + number), ip=ATTACKER) for number in range(20)]
    assert sum(isinstance(answer, Issued) for answer in passed) <= 4


async def test_typed_codes_give_their_block_back(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock, breaker=BARE)
    for number in range(12):
        await verified(otp, await sent(otp, phone(7, number)))
    for number in range(20, 25):
        await sent(otp, phone(7, number))
    assert await otp.issue(phone(7, 30)) == CapReached(Scope.BLOCK, HOUR)


async def test_a_typed_code_frees_no_place_that_a_later_message_took(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock, caps=Caps(block=Cap(1, HOUR)), breaker=BARE)
    first = await sent(otp, phone(7, 1))
    clock.advance(MINUTE)
    await sent(otp, phone(7, 1))
    await verified(otp, first)
    assert isinstance(await otp.issue(phone(7, 2)), CapReached)


async def test_honest_traffic_makes_room(driver: Any, clock: FixedClock) -> None:
    """An address where 30 codes an hour are typed holds 30 more that are not yet."""
    otp = room(driver, clock, caps=Caps(ip=Cap(5, HOUR), prefix=WIDE), breaker=BARE)
    for number in range(30):
        await verified(otp, await sent(otp, phone(number), ip=CARRIER))
    for number in range(35):
        await sent(otp, phone(100 + number), ip=CARRIER)
    assert isinstance(await otp.issue(phone(200), ip=CARRIER), CapReached)


async def test_nonsense_alone_closes_no_address(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock)
    for _ in range(300):
        await otp.issue("nonsense", ip=CARRIER)
    for number in range(15):
        await sent(otp, phone(number), ip=CARRIER)


async def test_a_suspect_address_takes_no_turn_of_the_honest(driver: Any, clock: FixedClock, raw: redis.Redis) -> None:
    otp = room(driver, clock)
    for number in range(6):
        await otp.issue(elsewhere(number), ip=ATTACKER)
    for number in range(20):
        await sent(otp, phone(number), ip=f"198.18.{number}.1")
    assert isinstance(await otp.issue(phone(30), ip=HOME), ChallengeRequired)
    clock.advance(timedelta(minutes=6))
    assert isinstance(await otp.issue(phone(31), ip=ATTACKER), BreakerOpen)
    await sent(otp, phone(32), ip=HOME)


async def test_guessing_makes_no_known_callers_code_longer(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock, guesses=Guesses(checks=5), breaker=BARE)
    issued = await sent(otp, phone(1))
    code = await code_of(otp, issued.challenge)
    for step in range(1, 6):
        await otp.verify(issued.challenge, wrong(code, step))
    assert len(await code_of(otp, (await sent(otp, phone(2))).challenge)) == 8
    assert len(await code_of(otp, (await sent(otp, phone(3), lane="known")).challenge)) == 6


# --- all of it at once; `python -m tests.support.siege` plays more, for longer ---------------------------------------

BOUNDS = {
    "one address, any number": (40, {"known": 1.0, "carrier": 1.0, "home": 1.0}),
    "500 addresses, one prefix": (120, {"known": 1.0, "carrier": 0.98, "home": 0.8}),
}
"""Most that an attacker gets sent in half an hour, and the least share of honest people who log in, unasked."""


@pytest.mark.parametrize("name", BOUNDS)
async def test_an_attack_is_bounded_and_the_honest_log_in(driver: Any, clock: FixedClock, name: str) -> None:
    tally = await Siege(Otp(driver, KEYRING, clock=clock), clock, ATTACKS[name], crowd=120).run(0.5)
    most, least = BOUNDS[name]
    assert sum(tally.hours.values()) <= most
    assert {kind: tally.share(kind) >= share for kind, share in least.items()} == dict.fromkeys(least, True), tally


@pytest.mark.parametrize(("networks", "guesses", "human_check"), [(5, True, False), (30, False, True)])
async def test_days_of_attacks_on_one_phone_cost_little_and_leave_a_way_in(
    driver: Any, clock: FixedClock, networks: int, guesses: bool, human_check: bool
) -> None:
    otp = Otp(driver, KEYRING, clock=clock)
    siege = PhoneSiege(otp, clock, networks, guesses, human_check, every=20 * 60_000)
    await siege.run(3)
    assert siege.logged_in == 2
    assert max(siege.messages.values()) <= 20
