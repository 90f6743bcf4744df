"""Lanes: strangers who guess lock themselves out, and nobody else."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.errors import Misuse
from hustlex.otp import (
    ChallengeRequired,
    DailyCap,
    DeliveryStatus,
    Gone,
    Issued,
    Limits,
    Locked,
    Otp,
    OtpOptions,
    Policy,
    Reason,
    SendsExhausted,
    SubjectLocked,
    Verified,
    Wrong,
)
from tests.support.otp import KEYRING, PHONE, REF, code_of, sent, verified, wrong

MINUTE = timedelta(minutes=1)
UNKNOWN = Gone(Reason.UNKNOWN)


async def exhaust(otp: Any, clock: FixedClock, **options: Any) -> SubjectLocked:
    """Guess in one lane until it locks."""
    for _ in range(3):
        issued = await sent(otp, **options)
        code = await code_of(otp, issued.challenge)
        for step in range(1, 6):
            last = await otp.verify(issued.challenge, wrong(code, step))
        clock.advance(MINUTE)
    assert isinstance(last, SubjectLocked), last
    return last


async def known_device(otp: Any, clock: FixedClock) -> str:
    token: str = (await verified(otp, await sent(otp), remember=True)).device
    assert token.startswith("od1.")
    clock.advance(MINUTE)
    return token


async def test_strangers_cannot_lock_the_owner_out(hx: Any, clock: FixedClock) -> None:
    device = await known_device(hx.otp, clock)
    assert (await exhaust(hx.otp, clock)).retry_after == timedelta(minutes=15)
    assert isinstance(await hx.otp.issue(PHONE), SubjectLocked)
    await verified(hx.otp, await sent(hx.otp, device=device))
    clock.advance(MINUTE)
    await verified(hx.otp, await sent(hx.otp, lane="known"))


async def test_the_known_lane_has_its_own_lock(hx: Any, clock: FixedClock) -> None:
    device = await known_device(hx.otp, clock)
    await exhaust(hx.otp, clock, device=device)
    assert isinstance(await hx.otp.issue(PHONE, device=device), SubjectLocked)
    await verified(hx.otp, await sent(hx.otp))


async def test_a_token_is_good_for_its_own_phone_only(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    device = await known_device(hx.otp, clock)
    for token in (device, device[:-1] + ("A" if device[-1] != "A" else "B"), "od1.", "nonsense", "", "od1." + "A" * 22):
        other = await hx.otp.issue("+2348031234568", device=token)
        assert isinstance(other, Issued)
        assert not other.challenge.endswith(".k")
        clock.advance(MINUTE)
    assert (await sent(hx.otp, device=device)).challenge.endswith(".k")
    stored = str(raw.zrange(f"otp:{{{REF}}}:dev", 0, -1))
    assert device[4:] not in stored


async def test_a_challenge_cannot_be_moved_to_another_lane(hx: Any, clock: FixedClock) -> None:
    issued = await sent(hx.otp)
    code = await code_of(hx.otp, issued.challenge)
    for traits in (".k", ".s", ".ks"):
        typed = code if "s" not in traits else "12345678"
        assert await hx.otp.verify(issued.challenge + traits, typed) == UNKNOWN
        assert await hx.otp.resend(issued.challenge + traits) == UNKNOWN
    clock.advance(MINUTE)
    known = await sent(hx.otp, lane="known")
    code = await code_of(hx.otp, known.challenge)
    assert await hx.otp.verify(known.challenge.removesuffix(".k"), code) == UNKNOWN
    assert isinstance(await hx.otp.verify(known.challenge, code), Verified)


async def test_a_device_is_forgotten_in_time_and_by_newer_ones(driver: Any, clock: FixedClock) -> None:
    limits = Limits(devices=2, device_ttl=timedelta(hours=1), sends=100)
    otp = Otp(driver, KEYRING, clock=clock, options=OtpOptions(limits=limits))
    devices = [await known_device(otp, clock) for _ in range(3)]
    known = []
    for device in devices:
        known.append((await sent(otp, device=device)).challenge.endswith(".k"))
        clock.advance(MINUTE)
    assert known == [False, True, True]
    clock.advance(timedelta(hours=1))
    assert not (await sent(otp, device=devices[2])).challenge.endswith(".k")


async def test_a_repeated_success_repeats_the_device(hx: Any, clock: FixedClock) -> None:
    issued = await sent(hx.otp)
    code = await code_of(hx.otp, issued.challenge)
    answers = [await hx.otp.verify(issued.challenge, code, nonce="n" * 16, remember=True) for _ in range(2)]
    assert [answer.replayed for answer in answers] == [False, True]
    assert answers[0].device == answers[1].device != ""
    clock.advance(MINUTE)
    assert (await sent(hx.otp, device=answers[1].device)).challenge.endswith(".k")


async def test_nothing_is_remembered_unasked(hx: Any, raw: redis.Redis) -> None:
    assert (await verified(hx.otp, await sent(hx.otp))).device == ""
    assert not raw.exists(f"otp:{{{REF}}}:dev")


async def test_locks_escalate_within_a_lane(driver: Any, clock: FixedClock) -> None:
    otp = Otp(driver, KEYRING, clock=clock, options=OtpOptions(limits=Limits(wrong=1, sends=100)))
    for hours in (0.25, 1, 24, 24):
        issued = await sent(otp, lane="known")
        guess = await otp.verify(issued.challenge, wrong(await code_of(otp, issued.challenge)))
        assert guess == SubjectLocked(timedelta(hours=hours))
        clock.advance(timedelta(hours=hours))
    assert isinstance(await otp.issue(PHONE), Issued)


async def test_an_administrator_unlocks_one_lane(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    await exhaust(hx.otp, clock)
    assert await hx.otp.unlock("0803 123 4567", "known") is False
    assert isinstance(await hx.otp.issue(PHONE), SubjectLocked)
    assert await hx.otp.unlock("0803 123 4567", "anon") is True
    assert not raw.exists(f"otp:{{{REF}}}:fail:anon", f"otp:{{{REF}}}:lock:anon")
    issued = await sent(hx.otp)
    code = await code_of(hx.otp, issued.challenge)
    assert await hx.otp.verify(issued.challenge, wrong(code)) == Wrong(4)
    with pytest.raises(Misuse):
        await hx.otp.unlock("nobody", "anon")
    with pytest.raises(Misuse):
        await hx.otp.unlock(PHONE, "vip")


async def test_verify_phone_names_the_lane_under_subject_binding(driver: Any, clock: FixedClock) -> None:
    options = OtpOptions(policies={"default": Policy(binding="subject", attempts=10)}, limits=Limits(wrong=3))
    otp = Otp(driver, KEYRING, clock=clock, options=options)
    issued = await sent(otp, purpose="default")
    code = await code_of(otp, issued.challenge)
    for step in (1, 2):
        assert await otp.verify_phone(PHONE, wrong(code, step)) == Wrong(None)
    assert isinstance(await otp.verify_phone(PHONE, wrong(code, 3)), SubjectLocked)
    assert isinstance(await otp.verify_phone(PHONE, code), SubjectLocked)
    assert isinstance(await otp.verify_phone(PHONE, code, lane="known"), Verified)


async def test_a_flood_of_guesses_in_both_lanes_is_counted_exactly(hx: Any, clock: FixedClock) -> None:
    anon = await sent(hx.otp)
    code = await code_of(hx.otp, anon.challenge)
    clock.advance(MINUTE)
    known = await sent(hx.otp, lane="known")
    other = await code_of(hx.otp, known.challenge)
    calls = [hx.otp.verify(anon.challenge, wrong(code, n)) for n in range(1, 51)]
    calls += [hx.otp.verify(known.challenge, wrong(other, n)) for n in range(1, 51)]
    answers = await asyncio.gather(*calls)
    for half in (answers[:50], answers[50:]):
        assert sorted(answer.left for answer in half if isinstance(answer, Wrong)) == [1, 2, 3, 4]
        assert half.count(Locked()) == 46


# --- lane extra: strangers, while theirs is used up or locked --------------------------------------------------------

ATTACKER, HOME, HOUR = "198.51.100.1", "41.73.1.9", timedelta(hours=1)


def uncapped(driver: Any, clock: FixedClock, **limits: Any) -> Otp:
    return Otp(driver, KEYRING, clock=clock, options=OtpOptions(limits=Limits(**limits), caps=None))


async def use_up(otp: Any, clock: FixedClock) -> None:
    for _ in range(10):
        await sent(otp, ip=ATTACKER)
        clock.advance(MINUTE)


@pytest.mark.parametrize("way", [use_up, exhaust])
async def test_an_owner_from_a_fresh_network_gets_in(hx: Any, clock: FixedClock, way: Any) -> None:
    await way(hx.otp, clock)
    issued = await sent(hx.otp, ip=HOME)
    assert (issued.challenge.rpartition(".")[2], issued.sends_left) == ("es", 0)
    code = await code_of(hx.otp, issued.challenge)
    assert len(code) == 8
    for step in range(1, 5):
        assert await hx.otp.verify(issued.challenge, wrong(code, step)) == Wrong(5 - step)
    device = (await verified(hx.otp, issued, ip=HOME, remember=True)).device
    assert (await sent(hx.otp, device=device)).challenge.endswith(".k")


async def test_a_challenge_of_lane_extra_is_good_for_nothing_else(hx: Any, clock: FixedClock) -> None:
    await use_up(hx.otp, clock)
    challenge = (await sent(hx.otp, ip=HOME)).challenge
    code = await code_of(hx.otp, challenge)
    for traits in ("", ".s", ".k", ".ks", ".e"):
        assert not isinstance(await hx.otp.verify(challenge.removesuffix(".es") + traits, code), Verified)
    assert isinstance(await hx.otp.resend(challenge), SendsExhausted)
    assert isinstance(await hx.otp.verify(challenge, code), Verified)
    with pytest.raises(Misuse):
        await hx.otp.issue(PHONE, lane="extra")


async def test_a_network_has_one_message_a_day(hx: Any, clock: FixedClock) -> None:
    await use_up(hx.otp, clock)
    for first, again in (("41.73.1.9", "41.73.1.200"), ("2001:db8:1::1", "2001:db8:ffff::1")):
        await sent(hx.otp, ip=first)
        clock.advance(MINUTE)
        assert isinstance(await hx.otp.issue(PHONE, ip=again), ChallengeRequired)
    assert isinstance(await hx.otp.issue(PHONE), DailyCap), "no address, no network"


async def test_a_day_of_any_number_of_networks_is_twenty_messages(driver: Any, clock: FixedClock) -> None:
    otp, answers = uncapped(driver, clock), []
    for number in range(40):
        answers.append(type(await otp.issue(PHONE, ip=f"198.18.{number}.1")))
        clock.advance(MINUTE)
    assert answers == [Issued] * 20 + [ChallengeRequired] * 20
    clock.advance(24 * HOUR - 41 * MINUTE)
    assert isinstance(await otp.issue(PHONE, ip=HOME), ChallengeRequired)
    clock.advance(MINUTE)
    assert (await sent(otp, ip=HOME)).sends_left == 2, "the strangers' lane is back"


async def test_a_human_check_opens_one_place_an_hour(driver: Any, clock: FixedClock) -> None:
    clock.now_ms -= clock.now_ms % 3_600_000
    otp = uncapped(driver, clock, sends=1, extra=1)
    for human in (False, False, True):
        await sent(otp, ip=ATTACKER, human=human)
        clock.advance(MINUTE)
    assert await otp.issue(PHONE, ip=HOME) == DailyCap(24 * HOUR - 3 * MINUTE), "this hour's is taken"
    assert await otp.issue(PHONE, ip=HOME, human=True) == DailyCap(57 * MINUTE)
    clock.advance(57 * MINUTE)
    assert isinstance(await otp.issue(PHONE, ip=HOME), ChallengeRequired)
    await verified(otp, await sent(otp, ip=HOME, human=True))


async def test_a_day_behind_human_checks_is_bounded(driver: Any, clock: FixedClock) -> None:
    otp, got = uncapped(driver, clock, sends=1, extra=1), 0
    for _ in range(24 * 3):
        got += isinstance(await otp.issue(PHONE, ip=ATTACKER, human=True), Issued)
        clock.advance(20 * MINUTE)
    assert 1 + 1 + 23 <= got <= 1 + 1 + 25


async def test_guesses_in_lane_extra_close_nothing(driver: Any, clock: FixedClock) -> None:
    otp = uncapped(driver, clock)
    await exhaust(otp, clock)
    for number in range(9):
        issued = await sent(otp, ip=f"198.18.{number}.1")
        code = await code_of(otp, issued.challenge)
        answers = [await otp.verify(issued.challenge, wrong(code, step)) for step in range(1, 8)]
        assert answers[4:] == [Locked()] * 3
        clock.advance(MINUTE)
    await verified(otp, await sent(otp, ip=HOME))


@pytest.mark.parametrize("unsent", [True, False])
async def test_a_message_that_was_not_sent_gives_its_place_back_once(hx: Any, clock: FixedClock, unsent: bool) -> None:
    await use_up(hx.otp, clock)
    issued = await sent(hx.otp, ip=HOME)

    async def given_back() -> bool:
        if unsent:
            return bool(await hx.otp.cancel(issued.challenge, unsent=True))
        return bool(await hx.otp.delivery_report(issued.challenge, DeliveryStatus.FAILED))

    assert await given_back()
    clock.advance(MINUTE)
    await sent(hx.otp, ip=HOME)
    assert await given_back() is unsent
    clock.advance(MINUTE)
    assert isinstance(await hx.otp.issue(PHONE, ip=HOME), ChallengeRequired)


async def test_without_extra_nothing_is_added(driver: Any, clock: FixedClock) -> None:
    otp = uncapped(driver, clock, sends=1, extra=0)
    await sent(otp, ip=ATTACKER)
    clock.advance(MINUTE)
    assert isinstance(await otp.issue(PHONE, ip=HOME, human=True), DailyCap)


async def test_codes_bound_to_the_phone_and_known_callers_have_no_lane_extra(driver: Any, clock: FixedClock) -> None:
    otp = uncapped(driver, clock, sends=1)
    await sent(otp, purpose="default")
    await sent(otp, lane="known")
    clock.advance(MINUTE)
    assert isinstance(await otp.issue(PHONE, "default", ip=HOME), DailyCap)
    assert isinstance(await otp.issue(PHONE, lane="known", ip=HOME), DailyCap)


async def test_a_decoy_has_its_place_too(hx: Any, clock: FixedClock) -> None:
    await use_up(hx.otp, clock)
    decoy = await sent(hx.otp, ip=HOME, deliver=False)
    assert decoy.challenge.endswith(".es")
    assert await hx.otp.open(decoy.challenge) == Gone(Reason.SUPPRESSED)
