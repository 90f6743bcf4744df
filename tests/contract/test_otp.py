"""One-time passwords through the public door, on a real server: raced, expired, replayed, fed nonsense."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.keyring import Keyring
from hustlex.core.time import FixedClock, server_clock
from hustlex.errors import Full
from hustlex.otp import (
    Cooldown,
    DailyCap,
    Delivery,
    Gone,
    Granted,
    Issued,
    Limits,
    Locked,
    Malformed,
    Mismatch,
    Otp,
    OtpOptions,
    Policy,
    Reason,
    Resent,
    SendsExhausted,
    SubjectLocked,
    Verified,
    Wrong,
    ops,
)
from hustlex.otp.codes import Codes
from hustlex.otp.room import NewCode
from tests.conftest import SECRET

PHONE = "0803 123 4567"
E164 = "+2348031234567"
KEYRING = Keyring(SECRET)
REF = KEYRING.reference(E164)
CTX = {"amount_minor": 500_000, "currency": "NGN", "to": "0123456789"}
DAY = timedelta(hours=24)
UNKNOWN, USED, EXPIRED = Gone(Reason.UNKNOWN), Gone(Reason.USED), Gone(Reason.EXPIRED)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def wrong(code: str, step: int = 1) -> str:
    """Another code of the same length."""
    return str((int(code) + step) % 10 ** len(code)).zfill(len(code))


async def issued(hx: Any, purpose: str = "login", phone: str = PHONE, **options: Any) -> tuple[Issued, str]:
    """A new challenge and its code, as the message would say it."""
    result = await hx.otp.issue(phone, purpose, **options)
    assert isinstance(result, Issued), result
    delivery = await hx.otp.open(result.challenge)
    assert isinstance(delivery, Delivery), delivery
    return result, delivery.code


def everything(raw: redis.Redis) -> dict[bytes, Any]:
    """All keys with all they hold."""
    reads = {b"hash": raw.hgetall, b"string": raw.get, b"zset": lambda key: raw.zrange(key, 0, -1, withscores=True)}
    return {key: reads[raw.type(key)](key) for key in raw.scan_iter()}


# --- the plain story -------------------------------------------------------------------------------------------------


async def test_from_the_phone_to_the_grant(hx: Any) -> None:
    result = await hx.otp.issue(PHONE)
    assert (result.expires_in, result.resend_in, result.sends_left) == (seconds(300), seconds(60), 2)
    delivery = await hx.otp.open(result.challenge)
    assert (delivery.phone, delivery.ref, delivery.purpose) == (E164, result.ref, "login")
    assert delivery.expires_in == seconds(300)
    typed = f" {delivery.code[:3]}-{delivery.code[3:]}\u200b"
    verified = await hx.otp.verify(result.challenge, typed)
    assert isinstance(verified, Verified)
    assert (verified.subject, verified.purpose, verified.replayed) == (REF, "login", False)
    granted = await hx.otp.consume_grant(verified.grant, "login")
    assert isinstance(granted, Granted)
    assert (granted.phone, granted.subject, granted.purpose) == (E164, REF, "login")
    assert await hx.otp.consume_grant(verified.grant, "login") == USED


async def test_wrong_codes_count_down_and_lock_the_challenge(hx: Any) -> None:
    result, code = await issued(hx)
    for left in (4, 3, 2, 1):
        assert await hx.otp.verify(result.challenge, wrong(code)) == Wrong(left)
    assert await hx.otp.verify(result.challenge, wrong(code)) == Locked()
    assert await hx.otp.verify(result.challenge, code) == Locked()
    assert await hx.otp.open(result.challenge) == UNKNOWN
    assert await hx.otp.resend(result.challenge) == UNKNOWN


async def test_what_cannot_be_a_code_costs_no_attempt(hx: Any) -> None:
    result, code = await issued(hx)
    for typed in ("", "12345", "1234567", "abcdef", "\ud800", "1" * 5000):
        assert await hx.otp.verify(result.challenge, typed) == Malformed()
    assert await hx.otp.verify(result.challenge, wrong(code)) == Wrong(4)


async def test_a_right_code_forgives_its_own_typing_errors_only(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    first, code = await issued(hx)
    await hx.otp.verify(first.challenge, wrong(code))
    clock.advance(seconds(60))
    second, code = await issued(hx)
    for step in (1, 2):
        await hx.otp.verify(second.challenge, wrong(code, step))
    assert raw.zcard(f"otp:{{{REF}}}:fail:anon") == 3
    assert isinstance(await hx.otp.verify(second.challenge, code), Verified)
    assert raw.zcard(f"otp:{{{REF}}}:fail:anon") == 1


async def test_a_code_lives_five_minutes(hx: Any, clock: FixedClock) -> None:
    result, code = await issued(hx)
    clock.advance(seconds(299.999))
    assert await hx.otp.verify(result.challenge, wrong(code)) == Wrong(4)
    clock.advance(seconds(0.001))
    assert await hx.otp.verify(result.challenge, code) == EXPIRED
    assert await hx.otp.open(result.challenge) == EXPIRED
    assert await hx.otp.resend(result.challenge) == UNKNOWN


async def test_a_message_that_would_come_too_late_is_not_sent(hx: Any, clock: FixedClock) -> None:
    result, code = await issued(hx)
    clock.advance(seconds(280))
    assert (await hx.otp.open(result.challenge)).expires_in == seconds(20)
    clock.advance(seconds(0.001))
    assert await hx.otp.open(result.challenge) == EXPIRED
    assert isinstance(await hx.otp.verify(result.challenge, code), Verified)
    assert await hx.otp.open(result.challenge) == USED


async def test_nonsense_is_unknown_and_leaves_no_trace(hx: Any, raw: redis.Redis) -> None:
    strangers = ["", "x", "oc1...", f"oc1.{REF}.login.{'A' * 22}", f"oc1.{REF}.act.{'A' * 22}", "oc1." + "a" * 100_000]
    for text in strangers:
        assert await hx.otp.verify(text, "123456") == UNKNOWN
        assert await hx.otp.open(text) == UNKNOWN
        assert await hx.otp.resend(text) == UNKNOWN
        assert await hx.otp.consume_grant(text, "login") == UNKNOWN
        assert await hx.otp.cancel(text) is False
    assert await hx.otp.consume_grant(f"og1.{REF}.{'A' * 22}", "login") == UNKNOWN
    assert everything(raw) == {}


# --- sending ---------------------------------------------------------------------------------------------------------


async def test_a_pause_between_sends(hx: Any, clock: FixedClock) -> None:
    await issued(hx)
    clock.advance(seconds(59))
    assert await hx.otp.issue(PHONE) == Cooldown(seconds(1))
    assert await hx.otp.issue(PHONE, "register") == Cooldown(seconds(1))
    clock.advance(seconds(1))
    await issued(hx, "register")


async def test_a_resend_repeats_the_code_and_extends_nothing(hx: Any, clock: FixedClock) -> None:
    result, code = await issued(hx)
    await hx.otp.verify(result.challenge, wrong(code))
    assert await hx.otp.resend(result.challenge) == Cooldown(seconds(60))
    clock.advance(seconds(60))
    again = await hx.otp.resend(result.challenge)
    assert isinstance(again, Resent)
    assert (again.challenge, again.ref, again.new_code) == (result.challenge, result.ref, False)
    assert (again.expires_in, again.resend_in, again.sends_left) == (seconds(240), seconds(60), 1)
    assert (await hx.otp.open(result.challenge)).code == code
    assert await hx.otp.verify(result.challenge, wrong(code)) == Wrong(3)
    assert await hx.otp.issue(PHONE) == Cooldown(seconds(60))


async def test_late_in_its_life_a_resend_makes_a_new_code(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    result, code = await issued(hx)
    await hx.otp.verify(result.challenge, wrong(code))
    clock.advance(seconds(180.001))
    again = await hx.otp.resend(result.challenge)
    assert (again.new_code, again.expires_in, again.sends_left) == (True, seconds(300), 1)
    renewed = (await hx.otp.open(result.challenge)).code
    assert renewed != code
    assert await hx.otp.verify(result.challenge, code) == Wrong(4)
    assert raw.zcard(f"otp:{{{REF}}}:fail:anon") == 2, "a new generation must not overwrite the old one's wrong codes"
    assert isinstance(await hx.otp.verify(result.challenge, renewed), Verified)


async def test_exactly_two_minutes_of_life_keep_the_code(hx: Any, clock: FixedClock) -> None:
    result, _ = await issued(hx)
    clock.advance(seconds(180))
    assert (await hx.otp.resend(result.challenge)).new_code is False


async def test_a_challenge_has_three_sends(hx: Any, clock: FixedClock) -> None:
    result, _ = await issued(hx)
    for left, pause in ((1, 60), (0, 120)):
        clock.advance(seconds(60))
        again = await hx.otp.resend(result.challenge)
        assert (again.sends_left, again.resend_in) == (left, seconds(pause))
    clock.advance(seconds(120))
    assert await hx.otp.resend(result.challenge) == SendsExhausted(seconds(60))


async def test_a_transaction_always_gets_a_new_code(hx: Any, clock: FixedClock) -> None:
    result, code = await issued(hx, "transaction", ctx=CTX)
    clock.advance(seconds(60))
    again = await hx.otp.resend(result.challenge)
    assert (again.new_code, again.expires_in) == (True, seconds(300))
    renewed = (await hx.otp.open(result.challenge)).code
    assert await hx.otp.verify(result.challenge, code, ctx=CTX) == Wrong(4)
    assert isinstance(await hx.otp.verify(result.challenge, renewed, ctx=CTX), Verified)


async def test_ten_sends_a_day_in_any_spelling_for_any_purpose(hx: Any, clock: FixedClock) -> None:
    spellings = ["08031234567", "+23408031234567", "tel:+234-803-123-4567", "009 234 803 123 4567", "٠٨٠٣١٢٣٤٥٦٧"]
    purposes = ["login", "register", "pin_reset", "default"]
    for number in range(10):
        result, _ = await issued(hx, purposes[number % 4], spellings[number % 5])
        clock.advance(seconds(60))
    day_left = DAY - seconds(600)
    assert await hx.otp.issue(PHONE, "register") == DailyCap(day_left)
    assert await hx.otp.resend(result.challenge) == DailyCap(day_left)
    clock.advance(day_left - timedelta(milliseconds=1))
    assert await hx.otp.issue(PHONE) == DailyCap(timedelta(milliseconds=1))
    clock.advance(timedelta(milliseconds=1))
    await issued(hx)
    clock.advance(seconds(59))
    assert await hx.otp.issue(PHONE) == Cooldown(seconds(1))


async def test_another_phone_has_a_budget_of_its_own(hx: Any) -> None:
    await issued(hx)
    await issued(hx, phone="0803 123 4568")


async def test_a_fourth_challenge_voids_the_oldest(hx: Any, clock: FixedClock) -> None:
    opened = []
    for _ in range(4):
        opened.append(await issued(hx))
        clock.advance(seconds(60))
    (oldest, code), (second, second_code) = opened[:2]
    assert await hx.otp.verify(oldest.challenge, code) == UNKNOWN
    assert await hx.otp.open(oldest.challenge) == UNKNOWN
    assert await hx.otp.resend(oldest.challenge) == UNKNOWN
    assert isinstance(await hx.otp.verify(second.challenge, second_code), Verified)


async def test_cancelling(hx: Any, clock: FixedClock) -> None:
    result, code = await issued(hx)
    assert await hx.otp.cancel(result.challenge) is True
    assert await hx.otp.cancel(result.challenge) is True
    assert await hx.otp.verify(result.challenge, code) == UNKNOWN
    assert await hx.otp.open(result.challenge) == UNKNOWN
    assert await hx.otp.issue(PHONE) == Cooldown(seconds(60))
    clock.advance(seconds(60))
    spent, code = await issued(hx)
    await hx.otp.verify(spent.challenge, code)
    assert await hx.otp.cancel(spent.challenge) is False
    assert await hx.otp.verify(spent.challenge, code) == USED


async def test_what_was_never_sent_is_given_back(hx: Any, raw: redis.Redis) -> None:
    for _ in range(12):
        result, code = await issued(hx)
        assert await hx.otp.cancel(result.challenge, unsent=True) is True
        assert await hx.otp.verify(result.challenge, code) == UNKNOWN
    assert raw.zcount(f"otp:{{{REF}}}:sends", 0, "inf") == 0


async def test_a_repeated_issue_is_one_issue(driver: Any, raw: redis.Redis) -> None:
    """After a broken link the driver sends the same operation again: it must find its own record."""
    room = Otp(driver, KEYRING)._room
    op = ops.issue(room, NewCode(E164, "login"), bytes(range(44)), 0)
    results = [await driver.run(op) for _ in range(3)]
    assert all(isinstance(result, Issued) for result in results)
    assert raw.zcount(f"otp:{{{REF}}}:sends", 0, "inf") == 1


# --- binding ---------------------------------------------------------------------------------------------------------


async def test_a_code_is_good_for_its_challenge_only(hx: Any, clock: FixedClock) -> None:
    login, login_code = await issued(hx)
    clock.advance(seconds(60))
    reset, reset_code = await issued(hx, "pin_reset")
    assert await hx.otp.verify(reset.challenge, login_code) == Wrong(2)
    assert await hx.otp.verify(login.challenge, reset_code) == Wrong(4)
    assert await hx.otp.verify(login.challenge.replace(".login.", ".pin_reset."), login_code) == UNKNOWN
    other, _ = await issued(hx, phone="0803 123 4568")
    swapped = ".".join([*other.challenge.split(".")[:3], *login.challenge.split(".")[3:]])
    assert await hx.otp.verify(swapped, login_code) == UNKNOWN
    assert isinstance(await hx.otp.verify(login.challenge, login_code), Verified)


async def test_a_record_moved_to_another_challenge_opens_nothing(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    """Whoever can write to Redis but has no key cannot make his own code open a victim's challenge."""
    mine, my_code = await issued(hx, phone="0803 123 4568")
    victim, code = await issued(hx)

    def key(result: Issued) -> str:
        _, ref, purpose, cid, _ = result.challenge.split(".")
        return f"otp:{{{ref}}}:{purpose}:{cid}"

    raw.hset(key(victim), "macs", raw.hget(key(mine), "macs") or b"")
    assert await hx.otp.verify(victim.challenge, my_code) == Wrong(4)
    assert await hx.otp.verify(victim.challenge, code) == Wrong(3)


async def test_a_changed_transaction_makes_the_code_useless(hx: Any) -> None:
    result, code = await issued(hx, "transaction", ctx=CTX)
    assert await hx.otp.verify(result.challenge, code, ctx={**CTX, "amount_minor": 500_001}) == Wrong(4, True)
    assert await hx.otp.verify(result.challenge, code) == Wrong(3, True)
    assert await hx.otp.verify(result.challenge, wrong(code), ctx=CTX) == Wrong(2, False)
    verified = await hx.otp.verify(result.challenge, code, ctx=dict(reversed(CTX.items())))
    assert isinstance(verified, Verified)
    assert await hx.otp.consume_grant(verified.grant, "transaction") == Mismatch()
    assert await hx.otp.consume_grant(verified.grant, "transaction", {**CTX, "to": "9876543210"}) == Mismatch()
    assert isinstance(await hx.otp.consume_grant(verified.grant, "transaction", CTX), Granted)


async def test_consume_grant_for_its_purpose_within_ten_minutes(hx: Any, clock: FixedClock) -> None:
    result, code = await issued(hx)
    verified = await hx.otp.verify(result.challenge, code)
    assert await hx.otp.consume_grant(verified.grant, "pin_reset") == Mismatch()
    tampered = verified.grant[:-2] + ("AA" if verified.grant[-2:] != "AA" else "BB")
    assert await hx.otp.consume_grant(tampered, "login") == UNKNOWN
    clock.advance(timedelta(minutes=10))
    assert await hx.otp.consume_grant(verified.grant, "login") == EXPIRED


async def test_verify_phone_on_the_plain_layout(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    result, code = await issued(hx, "default")
    assert raw.type(f"otp:{{{REF}}}") == b"hash"
    assert 300_000 < raw.pttl(f"otp:{{{REF}}}") <= 360_000
    assert await hx.otp.verify_phone("+2348031234567", wrong(code)) == Wrong(None)
    assert await hx.otp.verify_phone("0803 123 4568", code) == UNKNOWN
    assert await hx.otp.verify_phone("not a phone", code) == UNKNOWN
    verified = await hx.otp.verify_phone("234 803 123 4567", code)
    assert isinstance(verified, Verified)
    assert (await hx.otp.consume_grant(verified.grant, "default")).phone == E164
    assert await hx.otp.verify_phone(PHONE, code) == USED
    clock.advance(seconds(60))
    fresh, code = await issued(hx, "default")
    assert await hx.otp.open(result.challenge) == UNKNOWN
    assert await hx.otp.cancel(result.challenge) is False
    assert isinstance(await hx.otp.verify(fresh.challenge, code), Verified)


async def test_replacing_a_phone_bound_code_forgets_no_wrong_code(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    for _ in range(3):
        _, code = await issued(hx, "default")
        for step in (1, 2):
            assert await hx.otp.verify_phone(PHONE, wrong(code, step)) == Wrong(None)
        clock.advance(seconds(60))
    assert raw.zcard(f"otp:{{{REF}}}:fail:anon") == 6


# --- races and lost replies ------------------------------------------------------------------------------------------


async def test_fifty_right_codes_at_once_are_one_success(hx: Any) -> None:
    result, code = await issued(hx)
    answers = await asyncio.gather(*(hx.otp.verify(result.challenge, code, nonce=f"nonce {n}") for n in range(50)))
    won = [answer for answer in answers if isinstance(answer, Verified)]
    assert len(won) == 1
    assert [answer for answer in answers if answer not in won] == [USED] * 49
    spent = await asyncio.gather(*(hx.otp.consume_grant(won[0].grant, "login") for _ in range(50)))
    assert sum(isinstance(answer, Granted) for answer in spent) == 1


async def test_fifty_repeats_of_one_call_get_one_grant(hx: Any, raw: redis.Redis) -> None:
    result, code = await issued(hx)
    answers = await asyncio.gather(*(hx.otp.verify(result.challenge, code, nonce="one call") for _ in range(50)))
    assert Counter(answer.replayed for answer in answers) == {False: 1, True: 49}
    assert len({answer.grant for answer in answers}) == 1
    assert len(list(raw.scan_iter("otp:*:grant:*"))) == 1
    spent = await asyncio.gather(*(hx.otp.consume_grant(answer.grant, "login") for answer in answers))
    assert sum(isinstance(answer, Granted) for answer in spent) == 1


async def test_fifty_wrong_codes_at_once_are_five_attempts(hx: Any, raw: redis.Redis) -> None:
    result, code = await issued(hx)
    answers = await asyncio.gather(*(hx.otp.verify(result.challenge, wrong(code, n)) for n in range(1, 51)))
    assert sorted(answer.left for answer in answers if isinstance(answer, Wrong)) == [1, 2, 3, 4]
    assert answers.count(Locked()) == 46
    assert raw.zcard(f"otp:{{{REF}}}:fail:anon") == 5


async def test_fifty_issues_at_once_are_one_message(hx: Any, raw: redis.Redis) -> None:
    answers = await asyncio.gather(*(hx.otp.issue(PHONE) for _ in range(50)))
    assert sum(isinstance(answer, Issued) for answer in answers) == 1
    assert answers.count(Cooldown(seconds(60))) == 49
    assert raw.zcount(f"otp:{{{REF}}}:sends", 0, "inf") == 1


async def test_fifty_resends_at_once_are_one_message(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    result, _ = await issued(hx)
    clock.advance(seconds(60))
    answers = await asyncio.gather(*(hx.otp.resend(result.challenge) for _ in range(50)))
    assert sum(isinstance(answer, Resent) for answer in answers) == 1
    assert raw.zcount(f"otp:{{{REF}}}:sends", 0, "inf") == 2


async def test_a_lost_reply_is_answered_again_for_a_minute(hx: Any, clock: FixedClock) -> None:
    result, code = await issued(hx)
    first = await hx.otp.verify(result.challenge, code, nonce="n")
    assert await hx.otp.verify(result.challenge, code) == USED
    assert await hx.otp.verify(result.challenge, code, nonce="m") == USED
    assert await hx.otp.verify(result.challenge, wrong(code), nonce="n") == USED, "the nonce alone opens nothing"
    clock.advance(seconds(59.999))
    again = await hx.otp.verify(result.challenge, code, nonce="n")
    assert (again.replayed, again.grant) == (True, first.grant)
    clock.advance(seconds(0.001))
    assert await hx.otp.verify(result.challenge, code, nonce="n") == USED


# --- guessing --------------------------------------------------------------------------------------------------------


async def test_guessing_on_many_challenges_locks_the_phone_longer_each_time(
    hx: Any, clock: FixedClock, raw: redis.Redis
) -> None:
    """Test 14 of the specification: 15 guesses, then one after each of the first two locks: 17 in a day."""
    started, answers = clock.now_ms, []
    for _ in range(3):
        result, code = await issued(hx)
        answers += [await hx.otp.verify(result.challenge, wrong(code, n)) for n in range(1, 7)]
        clock.advance(seconds(60))
    fifteen_minutes = SubjectLocked(timedelta(minutes=15))
    assert Counter(map(type, answers)) == {Wrong: 12, Locked: 4, SubjectLocked: 2}
    assert answers[-2:] == [fifteen_minutes, fifteen_minutes]
    assert raw.zcard(f"otp:{{{REF}}}:fail:anon") == 15
    locked = SubjectLocked(timedelta(minutes=14))
    assert await hx.otp.issue(PHONE) == locked
    assert await hx.otp.issue(PHONE, "register") == locked
    assert await hx.otp.verify(result.challenge, code) == locked
    assert await hx.otp.resend(result.challenge) == locked

    clock.advance(timedelta(minutes=14))
    result, code = await issued(hx)
    assert isinstance(await hx.otp.verify(result.challenge, code), Verified), "a right code works after the lock"
    clock.advance(seconds(60))
    result, code = await issued(hx)
    assert await hx.otp.verify(result.challenge, wrong(code)) == SubjectLocked(timedelta(hours=1))
    clock.advance(timedelta(hours=1))
    result, code = await issued(hx)
    assert await hx.otp.verify(result.challenge, wrong(code)) == SubjectLocked(DAY)
    assert raw.zcard(f"otp:{{{REF}}}:fail:anon") == 17

    clock.advance(DAY)
    assert clock.now_ms - started > DAY // timedelta(milliseconds=1)
    result, code = await issued(hx)
    assert await hx.otp.verify(result.challenge, wrong(code)) == Wrong(4)
    assert raw.zcard(f"otp:{{{REF}}}:fail:anon") == 1


async def test_the_last_lock_repeats_and_a_quiet_day_forgets(driver: Any, clock: FixedClock) -> None:
    limits = Limits(wrong=1, sends=100, locks=(timedelta(minutes=1), timedelta(minutes=2)))
    otp = Otp(driver, KEYRING, clock=clock, options=OtpOptions(limits=limits))
    for minutes in (1, 2, 2):
        result = await otp.issue(PHONE)
        assert isinstance(result, Issued)
        guess = await otp.verify(result.challenge, "000000")
        if isinstance(guess, Verified):
            pytest.skip("guessed right")
        assert guess == SubjectLocked(timedelta(minutes=minutes))
        clock.advance(timedelta(minutes=minutes))
    clock.advance(DAY)
    result = await otp.issue(PHONE)
    assert isinstance(result, Issued)
    assert await otp.verify(result.challenge, "000000") == SubjectLocked(timedelta(minutes=1))


# --- what Redis holds ------------------------------------------------------------------------------------------------


async def test_no_code_no_phone_no_grant_in_redis(driver: Any, clock: FixedClock, raw: redis.Redis) -> None:
    """Ten-digit codes, so that none is found by chance; keys, fields and values of every stage are searched."""
    policies = {"login": Policy(digits=10), "default": Policy(digits=10, binding="subject")}
    otp = Otp(driver, KEYRING, clock=clock, options=OtpOptions(policies=policies))
    secrets, dumps = {"8031234567", E164[1:], SECRET.decode()}, []

    async def watch(challenge: str) -> str:
        delivery = await otp.open(challenge)
        assert isinstance(delivery, Delivery)
        secrets.add(delivery.code)
        dumps.append(str(everything(raw)))
        return delivery.code

    for purpose in policies:
        result = await otp.issue(PHONE, purpose)
        assert isinstance(result, Issued)
        await watch(result.challenge)
        clock.advance(seconds(181))
        await otp.resend(result.challenge)
        code = await watch(result.challenge)
        await otp.verify(result.challenge, wrong(code))
        verified = await otp.verify(result.challenge, code, nonce="a nonce of the client's")
        assert isinstance(verified, Verified)
        secrets |= {verified.grant.rsplit(".", 1)[1], "a nonce of the client's"}
        dumps.append(str(everything(raw)))
        clock.advance(seconds(300))
    assert len(secrets) == 3 + 4 + 2 + 1
    assert all(len(dump) > 500 for dump in dumps)
    assert not [secret for secret in secrets for dump in dumps if secret in dump]


async def test_a_spent_or_locked_record_keeps_nothing_to_attack(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    spent, code = await issued(hx)
    await hx.otp.verify(spent.challenge, code)
    clock.advance(seconds(60))
    locked, code = await issued(hx)
    for step in range(1, 6):
        await hx.otp.verify(locked.challenge, wrong(code, step))
    clock.advance(seconds(60))
    expired, code = await issued(hx)
    clock.advance(seconds(300))
    await hx.otp.verify(expired.challenge, code)
    records = list(raw.scan_iter("otp:*:login:*"))
    assert len(records) == 3
    for record in records:
        assert not {name.rstrip(b"23456789") for name in raw.hgetall(record)} & {b"mac", b"macs", b"seed", b"to"}


async def test_every_key_ends(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    """No key without an end, none kept longer than it is good for, after every kind of call."""
    longest = {"sends": DAY, "fail": DAY, "lock": 2 * DAY, "grant": timedelta(minutes=10), "cool": timedelta(minutes=2)}
    longest["cap"] = timedelta(hours=2)

    def check() -> None:
        for key in raw.scan_iter():
            kind = key.decode().split("}")[1].split(":")[1:2]
            limit = longest.get(kind[0] if kind else "", timedelta(minutes=6))
            assert 0 < raw.pttl(key) <= limit // timedelta(milliseconds=1), key

    for purpose in ("login", "default", "pin_reset"):
        result, code = await issued(hx, purpose)
        check()
        clock.advance(seconds(181))
        assert isinstance(await hx.otp.resend(result.challenge), Resent)
        check()
        code = (await hx.otp.open(result.challenge)).code
        for step in range(1, 3):
            await hx.otp.verify(result.challenge, wrong(code, step))
        check()
        verified = await hx.otp.verify(result.challenge, code)
        check()
        await hx.otp.consume_grant(verified.grant, purpose)
        check()
        clock.advance(seconds(300))
    result, code = await issued(hx)
    await hx.otp.cancel(result.challenge)
    check()
    for _ in range(3):
        clock.advance(seconds(60))
        result, code = await issued(hx)
        for step in range(1, 6):
            await hx.otp.verify(result.challenge, wrong(code, step))
    assert raw.exists(f"otp:{{{REF}}}:lock:anon")
    check()


async def test_on_the_servers_own_clock(driver: Any, raw: redis.Redis) -> None:
    """Production: no injected time anywhere; life and pause end by the server's clock and the keys' own end."""
    otp = Otp(driver, KEYRING, prefix="app:", clock=server_clock)
    result = await otp.issue(PHONE)
    assert isinstance(result, Issued)
    delivery = await otp.open(result.challenge)
    assert isinstance(delivery, Delivery)
    assert seconds(290) < delivery.expires_in <= seconds(300)
    cooling = await otp.issue(PHONE)
    assert isinstance(cooling, Cooldown)
    assert seconds(50) < cooling.retry_after <= seconds(60)
    verified = await otp.verify(result.challenge, delivery.code)
    assert isinstance(verified, Verified)
    assert isinstance(await otp.consume_grant(verified.grant, "login"), Granted)
    assert all(key.startswith(b"app:otp:{") and raw.pttl(key) > 0 for key in raw.scan_iter())


async def test_a_full_server_still_takes_rights_away(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    first, code = await issued(hx)
    clock.advance(seconds(60))
    second, other = await issued(hx)
    clock.advance(seconds(60))
    third, _ = await issued(hx)
    clock.advance(seconds(60))
    raw.config_set("maxmemory", "1")
    try:
        with pytest.raises(Full):
            await hx.otp.issue(PHONE)
        assert await hx.otp.verify(second.challenge, wrong(other)) == Wrong(4)
        verified = await hx.otp.verify(first.challenge, code)
        assert isinstance(verified, Verified)
        assert await hx.otp.verify(first.challenge, code) == USED
        assert isinstance(await hx.otp.consume_grant(verified.grant, "login"), Granted)
        assert await hx.otp.cancel(third.challenge) is True
    finally:
        raw.config_set("maxmemory", "0")


async def test_another_secret_verifies_nothing(driver: Any, clock: FixedClock) -> None:
    ours, theirs = (Otp(driver, Keyring(secret), clock=clock) for secret in (SECRET, SECRET[::-1]))
    result = await ours.issue(PHONE)
    assert isinstance(result, Issued)
    delivery = await ours.open(result.challenge)
    assert isinstance(delivery, Delivery)
    assert await theirs.verify(result.challenge, delivery.code) == UNKNOWN
    claimed = result.challenge.replace(KEYRING.kid, Keyring(SECRET[::-1]).kid)
    assert await theirs.verify(claimed, delivery.code) == Wrong(4)
    assert isinstance(await ours.verify(result.challenge, delivery.code), Verified)


def test_reference_is_the_keyrings() -> None:
    assert Codes(KEYRING).reference(E164) == REF
