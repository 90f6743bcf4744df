"""Attacks on codes, by a thousand callers at once and over days; and servers that are full, forget or restart."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.drivers.aio import Driver
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import OutcomeUnknown
from hustlex.otp import (
    Gone,
    Granted,
    Issued,
    Limits,
    Locked,
    Mismatch,
    Otp,
    OtpOptions,
    Reason,
    SubjectLocked,
    Suppressed,
    Verified,
    Wrong,
)
from tests.conftest import PATIENCE, SECRET
from tests.support.otp import KEYRING, PHONE, REF, code_of, phone, sent, units, verified, wrong
from tests.support.proxy import Proxy

MINUTE = timedelta(minutes=1)
UNKNOWN, USED = Gone(Reason.UNKNOWN), Gone(Reason.USED)
CTX = {"amount_minor": 500_000, "currency": "NGN", "to": "0123456789"}


# --- a thousand at once ----------------------------------------------------------------------------------------------


async def test_a_thousand_right_codes_are_one_success(hx: Any, raw: redis.Redis) -> None:
    issued = await sent(hx.otp)
    code = await code_of(hx.otp, issued.challenge)
    answers = await asyncio.gather(*(hx.otp.verify(issued.challenge, code, nonce=f"n{n}") for n in range(1000)))
    won = [answer for answer in answers if isinstance(answer, Verified)]
    assert len(won) == 1
    assert sum(answer == USED for answer in answers if answer is not won[0]) == 999
    assert len(list(raw.scan_iter("otp:*:grant:*"))) == 1
    spent = await asyncio.gather(*(hx.otp.consume_grant(won[0].grant, "login") for _ in range(100)))
    assert Counter(map(type, spent)) == {Granted: 1, Gone: 99}


async def test_a_thousand_repeats_of_one_call_are_one_grant(hx: Any, raw: redis.Redis) -> None:
    issued = await sent(hx.otp)
    code = await code_of(hx.otp, issued.challenge)
    answers = await asyncio.gather(*(hx.otp.verify(issued.challenge, code, nonce="one call") for _ in range(1000)))
    assert Counter(answer.replayed for answer in answers) == {False: 1, True: 999}
    assert len({answer.grant for answer in answers}) == 1
    assert len(list(raw.scan_iter("otp:*:grant:*"))) == 1
    spent = await asyncio.gather(*(hx.otp.consume_grant(answers[n].grant, "login") for n in range(100)))
    assert Counter(map(type, spent)) == {Granted: 1, Gone: 99}


async def test_a_thousand_wrong_codes_stop_at_the_cap(hx: Any, raw: redis.Redis) -> None:
    issued = await sent(hx.otp)
    code = await code_of(hx.otp, issued.challenge)
    answers = await asyncio.gather(*(hx.otp.verify(issued.challenge, wrong(code, n)) for n in range(1, 1001)))
    assert sorted(answer.left for answer in answers if isinstance(answer, Wrong)) == [1, 2, 3, 4]
    assert answers.count(Locked()) == 996
    assert raw.zcard(f"otp:{{{REF}}}:fail:anon") == 5
    assert await hx.otp.verify(issued.challenge, code) == Locked()


# --- guessing over days ----------------------------------------------------------------------------------------------


async def test_a_patient_guesser_gets_seventeen_tries_a_day_per_lane(driver: Any, clock: FixedClock) -> None:
    """He asks for a code whenever he may, guesses on every one, and waits out every lock."""
    otp = Otp(driver, KEYRING, clock=clock, options=OtpOptions(limits=Limits(sends=1000), caps=None))
    begun, counted, levels = clock.now_ms, {"anon": 0, "known": 0}, []
    while clock.now_ms < begun + 86_400_000 - 60_000:
        for lane in ("anon", "known"):
            issued = await otp.issue(PHONE, lane=lane)  # type: ignore[arg-type]
            if not isinstance(issued, Issued):
                continue
            code = await code_of(otp, issued.challenge)
            for step in range(1, 7):
                answer = await otp.verify(issued.challenge, wrong(code, step))
                locks = isinstance(answer, SubjectLocked) and answer.retry_after % timedelta(minutes=15) == timedelta(0)
                counted[lane] += isinstance(answer, Wrong) or (isinstance(answer, Locked) and step == 5) or locks
                if isinstance(answer, SubjectLocked):
                    levels.append(answer.retry_after)
                    break
            clock.advance(MINUTE)
        clock.advance(MINUTE)
    assert counted == {"anon": 17, "known": 17}
    assert Counter(levels) == {timedelta(minutes=15): 2, timedelta(hours=1): 2, timedelta(hours=24): 2}


# --- replay and exchange ---------------------------------------------------------------------------------------------


async def test_no_code_is_good_anywhere_else(driver: Any, clock: FixedClock) -> None:
    """Every code on every challenge of the others: other purposes, other contexts, other phones, other challenges."""
    otp = Otp(driver, KEYRING, clock=clock, options=OtpOptions(limits=Limits(wrong=100)))
    made = []
    for to in (PHONE, phone(7)):
        for purpose, ctx in (("login", None), ("login", None), ("pin_reset", None), ("transaction", CTX)):
            issued = await sent(otp, to, purpose, ctx=ctx)
            made.append((issued.challenge, await code_of(otp, issued.challenge), ctx))
            clock.advance(MINUTE)
    for index, (challenge, code, ctx) in enumerate(made[4:], 4):
        tried = 0
        for other, (_, foreign, _) in enumerate(made):
            if other != index and foreign != code and tried < 2:
                assert isinstance(await otp.verify(challenge, foreign, ctx=ctx), Wrong)
                tried += 1
        answer = await otp.verify(challenge, code, ctx=ctx)
        assert isinstance(answer, Verified)
        assert await otp.verify(challenge, code, ctx=ctx) == USED
        for purpose in ("login", "pin_reset", "transaction"):
            for given in (None, CTX, {**CTX, "amount_minor": 1}):
                if (purpose, given) != (answer.purpose, ctx):
                    assert await otp.consume_grant(answer.grant, purpose, given) == Mismatch()
        assert isinstance(await otp.consume_grant(answer.grant, answer.purpose, ctx), Granted)


# --- enumeration -----------------------------------------------------------------------------------------------------


def ks_distance(one: list[float], other: list[float]) -> float:
    """The largest distance of the two empirical distributions (two-sample Kolmogorov-Smirnov)."""
    both = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    seen, most = [0, 0], 0.0
    for _, which in both:
        seen[which] += 1
        most = max(most, abs(seen[0] / len(one) - seen[1] / len(other)))
    return most


_OF_LINKS = re.compile("config|hello|client|ping|replconf|cluster|info")
"""Of servers among each other, and of connections."""


async def test_a_decoy_takes_as_long_and_does_the_same(driver: Any, clock: FixedClock, raw: redis.Redis) -> None:
    """400 pairs in random order; the distance of two samples of one distribution stays under 0.14 but once in 1,000
    (p > 0.001), and a decoy that skipped its MACs, its seal or a command would be beyond it: three rounds decide.
    """
    otp = Otp(driver, KEYRING, clock=clock, options=OtpOptions(caps=None))
    commands: dict[bool, Counter[str]] = {}
    for number in range(20):  # each node of a cluster has the script then
        await sent(otp, phone(899, number))
    for deliver in (True, False):
        raw.config_resetstat()
        await sent(otp, phone(900, int(deliver)), deliver=deliver)
        stats = raw.info("commandstats")
        commands[deliver] = Counter({name: stats[name]["calls"] for name in stats if not _OF_LINKS.search(name)})
    assert commands[True] == commands[False]
    assert commands[True]["cmdstat_evalsha"] == 1
    distances = []
    for round_number in range(3):
        times: dict[bool, list[float]] = {True: [], False: []}
        for number in range(400):
            for deliver in ((True, False), (False, True))[number % 2]:
                start = time.perf_counter()
                await otp.issue(phone(300 * round_number + number // 2, 2 * (number % 2) + deliver), deliver=deliver)
                times[deliver].append(time.perf_counter() - start)
        distances.append(ks_distance(times[True], times[False]))
    assert statistics.median(distances) < 0.14, distances


async def test_a_decoy_looks_like_a_code(hx: Any, raw: redis.Redis) -> None:
    real, decoy = await sent(hx.otp, phone(1)), await sent(hx.otp, phone(2), deliver=False)
    assert isinstance(decoy, Suppressed)
    shape = [(len(made.challenge), made.expires_in, made.resend_in, made.sends_left) for made in (real, decoy)]
    assert shape[0] == shape[1]
    records = [raw.hgetall(key) for key in raw.scan_iter("otp:*:login:*")]
    assert len(records) == 2
    sizes = [{name: len(value) for name, value in record.items()} for record in records]
    assert sizes[0] == sizes[1], "a decoy can be told from a code by its record"


# --- the server's bad days -------------------------------------------------------------------------------------------


async def test_scripts_that_the_server_forgot_are_sent_again(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    issued = await sent(hx.otp)
    raw.script_flush()
    code = await code_of(hx.otp, issued.challenge)

    async def flush() -> None:
        for _ in range(20):
            raw.script_flush()
            await asyncio.sleep(0)

    answers, _ = await asyncio.gather(
        asyncio.gather(*(hx.otp.verify(issued.challenge, code, nonce=f"n{n}") for n in range(100))), flush()
    )
    assert sum(isinstance(answer, Verified) for answer in answers) == 1
    raw.script_flush()
    clock.advance(MINUTE)
    await verified(hx.otp, await sent(hx.otp, ip="203.0.113.7"))


async def test_a_restart_in_the_middle_loses_no_state(clock: FixedClock, tmp_path: Any) -> None:
    """With the append-only file: what was used is used, what was counted is counted, a right code works once."""
    with EmbeddedServer(tmp_path, append_only=True, appendfsync="always") as server:
        async with HustleX(server.url, timeout=PATIENCE, secret=SECRET, clock=clock) as hx:
            used, open_one = await sent(hx.otp, phone(1)), await sent(hx.otp, phone(2))
            code = await code_of(hx.otp, open_one.challenge)
            spent = await code_of(hx.otp, used.challenge)
            await verified(hx.otp, used)
            assert await hx.otp.verify(open_one.challenge, wrong(code)) == Wrong(4)
    with EmbeddedServer(tmp_path, append_only=True, appendfsync="always") as server:
        async with HustleX(server.url, timeout=PATIENCE, secret=SECRET, clock=clock) as hx:
            assert await hx.otp.verify(used.challenge, spent) == USED
            assert await hx.otp.verify(open_one.challenge, wrong(code)) == Wrong(3)
            answers = await asyncio.gather(*(hx.otp.verify(open_one.challenge, code) for _ in range(50)))
            assert sum(isinstance(answer, Verified) for answer in answers) == 1


async def test_a_full_server_still_locks(driver: Any, clock: FixedClock, raw: redis.Redis) -> None:
    otp = Otp(driver, KEYRING, clock=clock, options=OtpOptions(limits=Limits(wrong=3)))
    issued = await sent(otp)
    code = await code_of(otp, issued.challenge)
    raw.config_set("maxmemory", "1")
    try:
        answers = [await otp.verify(issued.challenge, wrong(code, n)) for n in range(1, 4)]
        assert answers == [Wrong(4), Wrong(3), SubjectLocked(timedelta(minutes=15))]
        assert await otp.verify(issued.challenge, code) == SubjectLocked(timedelta(minutes=15))
        assert await otp.unlock(PHONE, "anon") is True
        assert isinstance(await otp.verify(issued.challenge, code), Verified)
    finally:
        raw.config_set("maxmemory", "0")


async def test_what_an_evicting_server_forgets_opens_nothing(driver: Any, clock: FixedClock, raw: redis.Redis) -> None:
    """Any key may vanish under a policy that evicts. No loss but that of the wrong codes makes anything easier."""
    otp = Otp(driver, KEYRING, clock=clock)
    for kind in (":login:", ":act:", ":sends", ":cool", ":grant:", ":cap"):
        raw.flushall()
        issued = await sent(otp)
        code = await code_of(otp, issued.challenge)
        answer = await otp.verify(issued.challenge, code)
        assert isinstance(answer, Verified)
        for key in raw.scan_iter("otp:*"):
            if kind.encode() in key:
                raw.delete(key)
        assert not isinstance(await otp.verify(issued.challenge, code), Verified)
        if kind == ":grant:":
            assert await otp.consume_grant(answer.grant, "login") == UNKNOWN
        clock.advance(timedelta(minutes=2))


async def test_every_script_of_the_room_touches_one_slot_and_only_declared_keys(
    driver: Driver, clock: FixedClock, raw: redis.Redis
) -> None:
    """The whole story under an ACL user who may touch the room's keys only."""
    from hustlex.core.keys import slot

    seen: list[Any] = []
    run, run_many = driver.run, driver.run_many

    async def spy(op: Any) -> Any:
        seen.append(op)
        return await run(op)

    async def spy_many(ops: Any) -> Any:
        seen.extend(ops)
        return await run_many(ops)

    driver.run, driver.run_many = spy, spy_many  # type: ignore[method-assign]
    otp = Otp(driver, KEYRING, clock=clock)
    issued = await sent(otp, ip="203.0.113.7")
    clock.advance(MINUTE)
    await otp.resend(issued.challenge, ip="203.0.113.7")
    await otp.issue(PHONE, ip="203.0.113.7")
    await otp.verify(issued.challenge, wrong(await code_of(otp, issued.challenge)))
    answer = await verified(otp, issued, remember=True)
    await otp.consume_grant(answer.grant, "login")
    await otp.unlock(PHONE, "anon")
    assert {op.name.partition(".")[2] for op in seen} >= {
        "issue", "resend", "verify", "open", "consume_grant", "reserve", "unreserve", "adjust", "tickets", "unlock",
    }  # fmt: skip
    for op in seen:
        assert len({slot(key) for key in op.keys}) == 1, op.name
        assert all(key.startswith("otp:{") for key in op.keys), op.name


async def test_a_success_whose_reply_was_lost_is_found_again(faulty: Proxy, clock: FixedClock) -> None:
    async with HustleX(faulty.url, timeout=PATIENCE, secret=SECRET, clock=clock) as hx:
        await verified(hx.otp, await sent(hx.otp, phone(1)))  # the server knows all scripts
        issued = await sent(hx.otp)
        code = await code_of(hx.otp, issued.challenge)
        faulty.lose_reply(containing=b":grant:")
        with pytest.raises(OutcomeUnknown):
            await hx.otp.verify(issued.challenge, code, nonce="a nonce")
        again = await hx.otp.verify(issued.challenge, code, nonce="a nonce")
        assert isinstance(again, Verified)
        assert again.replayed
        assert isinstance(await hx.otp.consume_grant(again.grant, "login"), Granted)


async def test_what_caps_were_not_told_harms_no_success(faulty: Proxy, clock: FixedClock, raw: redis.Redis) -> None:
    async with HustleX(faulty.url, timeout=PATIENCE, secret=SECRET, clock=clock) as hx:
        await verified(hx.otp, await sent(hx.otp, phone(1)))
        issued = await sent(hx.otp)
        code = await code_of(hx.otp, issued.challenge)
        faulty.lose_reply(containing=b"cc:NG}:cap")
        assert isinstance(await hx.otp.verify(issued.challenge, code), Verified)
        assert units(raw, "cc:NG") in (0, 1), "too strict at most"
        await verified(hx.otp, await sent(hx.otp, phone(3)))


async def test_a_lost_reservation_costs_a_unit_and_no_more(faulty: Proxy, clock: FixedClock, raw: redis.Redis) -> None:
    async with HustleX(faulty.url, timeout=PATIENCE, secret=SECRET, clock=clock) as hx:
        await verified(hx.otp, await sent(hx.otp, phone(1)))
        faulty.lose_reply(containing=b"cc:NG}:cap")
        with pytest.raises(OutcomeUnknown):
            await hx.otp.issue(PHONE, ip="203.0.113.7")
        assert raw.zcard(f"otp:{{{REF}}}:sends") == 0
        assert units(raw, "cc:NG") == 1
        await verified(hx.otp, await sent(hx.otp, ip="203.0.113.7"))
        assert units(raw, "cc:NG") == 1
