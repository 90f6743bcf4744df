"""Codes by e-mail: the same room, lanes and limits, with caps by mailbox and domain."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.otp import (
    Breaker,
    Cap,
    CapReached,
    Caps,
    ChallengeRequired,
    Cooldown,
    DailyCap,
    Delivery,
    DestinationBlocked,
    Email,
    Gone,
    Granted,
    Guesses,
    InvalidEmail,
    Issued,
    Mailboxes,
    Otp,
    OtpEvent,
    OtpOptions,
    Reason,
    Risk,
    Scope,
    SubjectLocked,
    Suppressed,
    Verified,
)
from tests.support.otp import KEYRING, code_of, everything, sent, verified, wrong

ADA = Email("Ada.Obi@example.com")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
IP = "203.0.113.7"
BARE = Breaker(sends=10**6)


def room(driver: Any, clock: FixedClock, **options: Any) -> Otp:
    return Otp(driver, KEYRING, clock=clock, options=OtpOptions(**options))


async def test_a_code_goes_to_an_address_and_back(hx: Any, clock: FixedClock) -> None:
    issued = await hx.otp.issue(ADA, ip=IP, user_id="user-1")
    assert isinstance(issued, Issued)
    assert await hx.otp.issue(Email("Ada.Obi@EXAMPLE.com")) == Cooldown(MINUTE)
    delivery = await hx.otp.open(issued.challenge, claim="job")
    assert isinstance(delivery, Delivery)
    assert (delivery.phone, delivery.email) == ("", "Ada.Obi@example.com")
    answer = await hx.otp.verify(issued.challenge, delivery.code, ip=IP, remember=True)
    assert isinstance(answer, Verified)
    granted = await hx.otp.consume_grant(answer.grant, "login")
    assert isinstance(granted, Granted)
    assert (granted.phone, granted.email, granted.user_id) == ("", "Ada.Obi@example.com", "user-1")
    clock.advance(MINUTE)
    assert (await hx.otp.issue(ADA, device=answer.device)).challenge.endswith(".k")


async def test_no_address_is_stored_logged_or_shown(
    hx: Any, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    issued = await hx.otp.issue(ADA, ip=IP)
    opened = await hx.otp.open(issued.challenge)
    await hx.otp.verify(issued.challenge, wrong(opened.code), ip=IP)
    answer = await hx.otp.verify(issued.challenge, opened.code, ip=IP)
    granted = await hx.otp.consume_grant(answer.grant, "login")
    await hx.otp.issue(Email("ada obi@example.com"), ip=IP)
    await hx.otp.unlock(ADA, "anon")
    shown = f"{issued!r} {opened!r} {answer!r} {granted!r} {everything(raw)} {caplog.text}".lower()
    assert not re.search("ada.?obi|example", shown)


async def test_a_decoy_is_one_for_mail_too(hx: Any, raw: redis.Redis) -> None:
    real, decoy = await hx.otp.issue(ADA), await hx.otp.issue(Email("Bob.Obi@example.com"), deliver=False)
    assert isinstance(decoy, Suppressed)
    assert await hx.otp.open(decoy.challenge) == Gone(Reason.SUPPRESSED)
    assert isinstance(await hx.otp.open(real.challenge), Delivery)
    records = [raw.hgetall(key) for key in raw.scan_iter("otp:*:login:*")]
    assert len({tuple(sorted((name, len(value)) for name, value in record.items())) for record in records}) == 1


async def test_an_address_that_begins_with_a_dash_is_no_decoy(hx: Any) -> None:
    issued = await hx.otp.issue(Email("-@example.com"))
    assert (await hx.otp.open(issued.challenge)).email == "-@example.com"


async def test_what_gets_no_mail(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock, mailboxes=Mailboxes(domains=frozenset({"example.com"})))
    assert await otp.issue(Email("nobody")) == InvalidEmail()
    assert await otp.issue(Email("a@example.org")) == DestinationBlocked(option="OtpOptions.mailboxes.domains")
    assert isinstance(await otp.issue(Email("a@example.com"), "pin_reset", risk=Risk(sim_swap=timedelta(0))), Issued)


async def test_lanes_limits_and_locks_are_those_of_phones(hx: Any, clock: FixedClock) -> None:
    for _ in range(3):
        issued = await sent(hx.otp, ADA)
        code = await code_of(hx.otp, issued.challenge)
        for step in range(1, 6):
            last = await hx.otp.verify(issued.challenge, wrong(code, step))
        clock.advance(MINUTE)
    assert isinstance(last, SubjectLocked)
    assert isinstance(await hx.otp.issue(ADA), SubjectLocked)
    await verified(hx.otp, await sent(hx.otp, ADA, lane="known"))
    assert await hx.otp.unlock(ADA, "anon") is True
    await sent(hx.otp, Email("ada.obi@example.com"))


async def test_the_day_of_an_address(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock, caps=None)
    for _ in range(10):
        await sent(otp, ADA)
        clock.advance(MINUTE)
    assert isinstance(await otp.issue(ADA), DailyCap)


async def test_spellings_of_one_mailbox_share_a_cap_and_nothing_else(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock, breaker=BARE)
    for number in range(10):
        await sent(otp, Email(f"ada.obi+{number}@example.com"))
    assert isinstance(await otp.issue(Email("AdaObi@example.com")), CapReached)
    refused = await otp.issue(Email("adaobi@example.com"))
    assert isinstance(refused, CapReached)
    assert refused.scope is Scope.MAILBOX
    await sent(otp, Email("adaobi@example.com"), lane="known")
    await sent(otp, Email("bob@example.com"))


async def test_a_domain_has_a_cap_that_heals(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock, caps=Caps(domain=Cap(3, HOUR), more=0), breaker=BARE)
    for number in range(9):
        await verified(otp, await sent(otp, Email(f"user{number}@example.com")))
    for number in range(3):
        await sent(otp, Email(f"other{number}@example.com"))
    refused = await otp.issue(Email("last@example.com"))
    assert isinstance(refused, CapReached)
    assert refused.scope is Scope.DOMAIN
    await sent(otp, Email("last@example.org"))


async def test_one_address_closes_no_domain(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock)
    for number in range(300):
        await otp.issue(Email(f"victim{number}@example.com"), ip="198.51.100.1")
    clock.advance(timedelta(minutes=9))
    last = [await otp.issue(Email(f"more{number}@example.com"), ip="198.51.100.1") for number in range(2)]
    assert not isinstance(last[1], Issued)
    for number in range(20):
        await sent(otp, Email(f"honest{number}@example.com"), ip=f"41.73.{number}.9")


async def test_a_domain_under_attack_lets_the_known_pass(driver: Any, clock: FixedClock) -> None:
    otp = room(driver, clock, breaker=Breaker(sends=5, country_sends=5, settle=timedelta(0)))
    for number in range(5):
        await sent(otp, Email(f"victim{number}@example.com"), ip=f"198.18.{number}.1")
    assert isinstance(await otp.issue(Email("new@example.com"), ip=IP), ChallengeRequired)
    await sent(otp, ADA, lane="known", ip=IP)
    await sent(otp, Email("new@example.org"), ip=IP)


async def test_guessing_at_a_domain_makes_its_codes_longer(driver: Any, clock: FixedClock) -> None:
    events: list[OtpEvent] = []
    otp = room(driver, clock, guesses=Guesses(checks=5), breaker=BARE, watch=events.append)
    issued = await sent(otp, Email("victim@example.com"))
    code = await code_of(otp, issued.challenge)
    for step in range(1, 6):
        await otp.verify(issued.challenge, wrong(code, step))
    assert [event.country for event in events if event.outcome == "guessing"] == [""]
    assert len(await code_of(otp, (await sent(otp, Email("other@example.com"))).challenge)) == 8
    assert len(await code_of(otp, (await sent(otp, Email("other@example.org"))).challenge)) == 6


async def test_the_plain_layout_hides_addresses_all_the_same(driver: Any, clock: FixedClock, raw: redis.Redis) -> None:
    from hustlex.otp import Policy

    otp = room(driver, clock, policies={"default": Policy(binding="subject")}, layout="plain")
    issued = await sent(otp, ADA, "default")
    code = await code_of(otp, issued.challenge)
    assert isinstance(await otp.verify_phone(ADA, code), Verified)
    assert not re.search("ada.?obi|example", str(everything(raw)).lower())
