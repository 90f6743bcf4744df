"""Lanes: strangers who guess lock themselves out, and nobody else."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.errors import Misuse
from hustlex.otp import Gone, Issued, Limits, Locked, Otp, OtpOptions, Policy, Reason, SubjectLocked, Verified, Wrong
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
    limits = Limits(devices=2, device_life=timedelta(hours=1), sends=100)
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


async def test_under_subject_binding_the_caller_names_the_lane(driver: Any, clock: FixedClock) -> None:
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
