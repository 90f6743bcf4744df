"""The plain layout: what a service in another language finds at ``otp:{phone}``, and how it checks a code itself."""

from __future__ import annotations

import hashlib
import hmac
import logging
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.errors import ConfigurationError
from hustlex.otp import Delivery, Gone, Granted, Issued, Otp, OtpOptions, Policy, Reason, Verified, Wrong
from tests.conftest import SECRET
from tests.support.otp import KEYRING, PHONE, sent, wrong

KEY = "otp:{+2348031234567}"
POLICIES = {"default": Policy(binding="subject")}


@pytest.fixture
def otp(driver: Any, clock: FixedClock) -> Otp:
    return Otp(driver, KEYRING, clock=clock, options=OtpOptions(policies=POLICIES, layout="plain"))


def foreign_mac(record: dict[bytes, bytes], phone: str, code: str) -> bool:
    """As docs/guides/otp.md tells a service that has the secret: two HMACs, no library of ours."""
    seed = hmac.digest(b"hustlex-keyring-1", SECRET, hashlib.sha256)
    key = hmac.digest(seed, b"otp-mac\x01", hashlib.sha256)
    mac = hmac.digest(key, f"otp-mac\0{phone}\0default\0\0{code}".encode(), hashlib.sha256)[:16].hex()
    generation = int(record[b"gen"])
    return record[b"mac"][32 * generation - 32 : 32 * generation].decode() == mac


async def test_a_go_service_finds_and_checks_the_record(otp: Otp, raw: redis.Redis, clock: FixedClock) -> None:
    issued = await sent(otp, "0803 123 4567", "default")
    opened = await otp.open(issued.challenge)
    assert isinstance(opened, Delivery)
    record = raw.hgetall(KEY)
    assert (record[b"st"], record[b"att"], record[b"max"]) == (b"active", b"0", b"5")
    assert int(record[b"exp"]) == clock.now_ms + 300_000
    assert 0 < raw.pttl(KEY) <= 300_000, "five minutes, and no longer"
    assert foreign_mac(record, PHONE, opened.code)
    assert not foreign_mac(record, PHONE, wrong(opened.code))
    assert opened.code.encode() not in b"".join(record.values())
    assert await otp.verify_phone(PHONE, wrong(opened.code)) == Wrong(None)
    verified = await otp.verify_phone("0803 123 4567", opened.code)
    assert isinstance(verified, Verified)
    assert raw.hget(KEY, "st") == b"used"
    granted = await otp.consume_grant(verified.grant, "default")
    assert isinstance(granted, Granted)
    assert granted.phone == PHONE
    assert await otp.verify_phone(PHONE, opened.code) == Gone(Reason.USED)


async def test_the_challenge_works_too(otp: Otp) -> None:
    issued = await sent(otp, PHONE, "default")
    opened = await otp.open(issued.challenge)
    assert isinstance(opened, Delivery)
    assert isinstance(await otp.verify(issued.challenge, opened.code), Verified)


async def test_logs_hide_the_phone_all_the_same(otp: Otp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    issued = await sent(otp, PHONE, "default")
    await otp.verify(issued.challenge, "000000")
    await otp.verify_phone(PHONE, "000001")
    assert "otp event=verify" in caplog.text
    assert "31234567" not in caplog.text


async def test_it_is_chosen_expressly_and_for_one_purpose(driver: Any, clock: FixedClock, raw: redis.Redis) -> None:
    for policies in ({"default": Policy()}, {"login": Policy(binding="subject")}, POLICIES | {"login": Policy()}):
        with pytest.raises(ConfigurationError, match="plain"):
            OtpOptions(policies=policies, layout="plain")
    sealed = Otp(driver, KEYRING, clock=clock)
    assert isinstance(await sealed.issue(PHONE, "default"), Issued)
    assert not [key for key in raw.scan_iter() if b"31234567" in key]
