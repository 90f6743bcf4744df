"""Authenticators: the vectors of RFC 6238, each step once, the same lanes and locks as text messages."""

from __future__ import annotations

import asyncio
from base64 import b32decode
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
import redis

from hustlex.core.time import FixedClock, server_clock
from hustlex.errors import BadReply, Misuse
from hustlex.otp import Enrolment, Gone, Granted, Malformed, Otp, Reason, SubjectLocked, Verified, Wrong
from hustlex.otp.totp import hotp
from tests.support.otp import KEYRING, PHONE, REF, sent, wrong
from tests.support.otp import verified as verified_by_text

USED = Gone(Reason.USED)
STEP = timedelta(seconds=30)
SEEDS = {"sha1": b"1234567890" * 2, "sha256": (b"1234567890" * 4)[:32], "sha512": (b"1234567890" * 7)[:64]}
VECTORS = [
    (59, "94287082", "46119246", "90693936"),
    (1111111109, "07081804", "68084774", "25091201"),
    (1111111111, "14050471", "67062674", "99943326"),
    (1234567890, "89005924", "91819424", "93441116"),
    (2000000000, "69279037", "90698825", "38618901"),
    (20000000000, "65353130", "77737706", "47863826"),
]


@pytest.mark.parametrize(("second", "sha1", "sha256", "sha512"), VECTORS)
def test_the_vectors_of_rfc_6238(second: int, sha1: str, sha256: str, sha512: str) -> None:
    for algorithm, code in (("sha1", sha1), ("sha256", sha256), ("sha512", sha512)):
        assert hotp(SEEDS[algorithm], second // 30, 8, algorithm) == code


def enrol(otp: Any, subject: str = "user-1") -> tuple[Enrolment, bytes]:
    enrolment = otp.totp_enrol(subject, issuer="HustleX", account="ada@example.com")
    return enrolment, b32decode(enrolment.secret)


def shown(secret: bytes, clock: FixedClock, off: int = 0) -> str:
    """What the authenticator shows."""
    return hotp(secret, clock.now_ms // 30_000 + off)


async def test_a_code_is_good_once_and_one_step_early_or_late(hx: Any, clock: FixedClock) -> None:
    enrolment, secret = enrol(hx.otp)
    for off, expected in (
        (-2, Wrong(None)),
        (2, Wrong(None)),
        (-1, None),
        (-1, USED),
        (0, None),
        (-1, USED),
        (1, None),
    ):
        answer = await hx.otp.totp_verify("user-1", enrolment.sealed, shown(secret, clock, off))
        assert isinstance(answer, Verified) if expected is None else answer == expected, off
    clock.advance(STEP)
    assert await hx.otp.totp_verify("user-1", enrolment.sealed, shown(secret, clock)) == USED
    clock.advance(STEP)
    answer = await hx.otp.totp_verify(
        "user-1", enrolment.sealed, f" {shown(secret, clock)[:3]}-{shown(secret, clock)[3:]}"
    )
    granted = await hx.otp.consume_grant(answer.grant, "login")
    assert isinstance(granted, Granted)
    assert granted.phone == "user-1"


async def test_totp_verify_of_fifty_at_once_is_one(hx: Any, clock: FixedClock) -> None:
    enrolment, secret = enrol(hx.otp)
    code = shown(secret, clock)
    answers = await asyncio.gather(*(hx.otp.totp_verify("user-1", enrolment.sealed, code) for _ in range(50)))
    assert sum(isinstance(answer, Verified) for answer in answers) == 1
    assert answers.count(USED) == 49


async def test_wrong_ones_lock_a_lane_together_with_text_messages(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    enrolment, secret = enrol(hx.otp, PHONE)
    for step in range(1, 11):
        assert await hx.otp.totp_verify(PHONE, enrolment.sealed, wrong(shown(secret, clock), 7 * step)) == Wrong(None)
    issued = await sent(hx.otp)
    code = (await hx.otp.open(issued.challenge)).code
    for step in range(1, 5):
        await hx.otp.verify(issued.challenge, wrong(code, step))
    assert raw.zcard(f"otp:{{{REF}}}:fail:anon") == 14
    locked = SubjectLocked(timedelta(minutes=15))
    assert await hx.otp.totp_verify(PHONE, enrolment.sealed, wrong(shown(secret, clock), 99)) == locked
    assert await hx.otp.totp_verify(PHONE, enrolment.sealed, shown(secret, clock)) == locked
    assert isinstance(await hx.otp.issue(PHONE), SubjectLocked)
    assert isinstance(await hx.otp.totp_verify(PHONE, enrolment.sealed, shown(secret, clock), lane="known"), Verified)


async def test_totp_verify_takes_a_sealed_secret_of_its_user_only(hx: Any, clock: FixedClock) -> None:
    enrolment, secret = enrol(hx.otp)
    with pytest.raises(BadReply):
        await hx.otp.totp_verify("user-2", enrolment.sealed, shown(secret, clock))
    with pytest.raises(BadReply):
        await hx.otp.totp_verify("user-1", enrolment.sealed[:-4], shown(secret, clock))
    assert await hx.otp.totp_verify("user-1", enrolment.sealed, "12345") == Malformed()
    for mistake in ({"purpose": "unheard_of"}, {"lane": "vip"}, {"purpose": "transaction"}):
        with pytest.raises(Misuse):
            await hx.otp.totp_verify("user-1", enrolment.sealed, "123456", **mistake)


async def test_it_approves_a_transaction(hx: Any, clock: FixedClock) -> None:
    enrolment, secret = enrol(hx.otp)
    ctx = {"amount_minor": 1}
    answer = await hx.otp.totp_verify("user-1", enrolment.sealed, shown(secret, clock), "transaction", ctx=ctx)
    assert not isinstance(await hx.otp.consume_grant(answer.grant, "transaction", {"amount_minor": 2}), Granted)
    assert isinstance(await hx.otp.consume_grant(answer.grant, "transaction", ctx), Granted)


async def test_totp_enrol_gives_the_uri_that_authenticators_read(hx: Any) -> None:
    enrolment, secret = enrol(hx.otp)
    uri = urlparse(enrolment.uri)
    assert (uri.scheme, uri.netloc, uri.path) == ("otpauth", "totp", "/HustleX:ada%40example.com")
    query = {name: values[0] for name, values in parse_qs(uri.query).items()}
    assert b32decode(query["secret"]) == secret
    assert query | {"secret": ""} == {
        "secret": "", "issuer": "HustleX", "algorithm": "SHA1", "digits": "6", "period": "30",
    }  # fmt: skip
    assert len(secret) == 20
    assert enrolment.secret not in repr(enrolment)
    assert hx.otp.totp_enrol("user-1", issuer="A B", account="x").uri.startswith("otpauth://totp/A%20B:x?")
    for subject in ("", "a\nb"):
        with pytest.raises(Misuse):
            hx.otp.totp_enrol(subject, issuer="a", account="b")
    for bad in ({"issuer": "a:b"}, {"issuer": ""}, {"account": ""}):
        with pytest.raises(Misuse):
            hx.otp.totp_enrol("user-1", **({"issuer": "a", "account": "b"} | bad))


async def test_the_servers_clock_decides(driver: Any, raw: redis.Redis) -> None:
    """Production: the code of now is good, that of three minutes ago is not, although it is found."""
    import time

    otp = Otp(driver, KEYRING, clock=server_clock)
    enrolment, secret = enrol(otp)
    step = int(time.time()) // 30
    assert await otp.totp_verify("user-1", enrolment.sealed, hotp(secret, step - 6)) == Wrong(None)
    assert isinstance(await otp.totp_verify("user-1", enrolment.sealed, hotp(secret, step)), Verified)
    assert all(raw.pttl(key) > 0 for key in raw.scan_iter())


async def test_a_device_is_remembered_by_text_messages_only(hx: Any) -> None:
    assert (await verified_by_text(hx.otp, await sent(hx.otp), remember=True)).device
