"""Records of the version before, byte by byte as it wrote them: still read, continued and ended."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.idempotency import InFlight, Mismatch, Orphaned, Replay, Response, Scope, Started
from hustlex.otp import Cooldown, Delivery, Granted, Issued, OtpOptions, Policy, Resent, Verified, Wrong
from tests.conftest import SECRET

PHONE = "0803 123 4567"
RECORDS: dict[str, Any] = json.loads(Path(__file__).with_name("records").joinpath("before_compact.json").read_text())
PAY = Scope("user-7", "POST", "/transfers")
CTX = {"to": "0123456789"}


@pytest.fixture
def rooms() -> dict[str, Any]:
    policies = {"login": Policy(), "subject": Policy(binding="subject"), "transfer": Policy(needs_context=True)}
    return {"otp": OtpOptions(policies=policies)}


@pytest.fixture
def stored(raw: redis.Redis) -> Any:
    """Write a story's keys."""

    def write(name: str) -> Any:
        story = RECORDS[name]
        for key, held in story["keys"].items():
            value = held["value"]
            if held["type"] == "hash":
                raw.hset(key, mapping={field: text.encode("latin-1") for field, text in value.items()})
            elif held["type"] == "string":
                raw.set(key, value.encode("latin-1"))
            else:
                raw.zadd(key, dict(value))
            raw.pexpire(key, timedelta(minutes=6))
        return story

    return write


def _wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


async def test_an_open_code_of_before_is_verified_and_its_grant_spent(hx: Any, stored: Any, raw: redis.Redis) -> None:
    story = stored("open")
    assert await hx.otp.verify(story["challenge"], _wrong(story["code"])) == Wrong(4)
    opened = await hx.otp.open(story["challenge"])
    assert (opened.phone, opened.code) == ("+2348031234567", story["code"])
    verified = await hx.otp.verify(story["challenge"], story["code"])
    assert isinstance(verified, Verified)
    assert not [name for key in raw.scan_iter("otp:*:login:*") for name in raw.hkeys(key) if name in (b"mac", b"to")]
    granted = await hx.otp.consume_grant(verified.grant, "login")
    assert isinstance(granted, Granted)
    assert granted.phone == "+2348031234567"


async def test_a_pause_of_before_holds_and_a_resend_goes_on(hx: Any, stored: Any, clock: FixedClock) -> None:
    story = stored("open")
    assert await hx.otp.issue(PHONE, "login") == Cooldown(timedelta(seconds=60))
    clock.advance(timedelta(seconds=181))
    assert isinstance(await hx.otp.resend(story["challenge"]), Resent)
    delivery = await hx.otp.open(story["challenge"])
    assert isinstance(delivery, Delivery)
    assert delivery.code != story["code"], "another generation"
    assert isinstance(await hx.otp.verify(story["challenge"], delivery.code), Verified)


async def test_a_new_code_makes_an_old_one_void_as_any_does(hx: Any, stored: Any, clock: FixedClock) -> None:
    story = stored("open")
    made = []
    for _ in range(3):
        clock.advance(timedelta(seconds=60))
        made.append(await hx.otp.issue(PHONE, "login"))
    assert all(isinstance(each, Issued) for each in made)
    assert not isinstance(await hx.otp.verify(story["challenge"], story["code"]), Verified)
    codes = [(await hx.otp.open(each.challenge)).code for each in made]
    assert isinstance(await hx.otp.verify(made[0].challenge, codes[0]), Verified)


async def test_a_code_of_before_that_was_never_sent_is_given_back(hx: Any, stored: Any, raw: redis.Redis) -> None:
    story = stored("open")
    assert await hx.otp.cancel(story["challenge"], unsent=True) is True
    assert not [key for key in raw.scan_iter("otp:*") if key.endswith((b":sends", b":cool", b":act:login"))]


async def test_a_long_sealed_text_of_before_is_read(hx: Any, stored: Any) -> None:
    story = stored("about")
    opened = await hx.otp.open(story["challenge"])
    assert opened.about == "NGN 250,000.00 to Chinedu Balogun, 0123456789, Zenith Bank"
    verified = await hx.otp.verify(story["challenge"], story["code"], ctx=CTX)
    granted = await hx.otp.consume_grant(verified.grant, "transfer", CTX)
    assert (granted.phone, granted.user_id) == ("+2348031234567", "user-7")


async def test_a_code_bound_to_the_phone_is_checked_and_replaced(
    hx: Any, stored: Any, raw: redis.Redis, clock: FixedClock
) -> None:
    story = stored("subject")
    assert isinstance(await hx.otp.verify_phone(PHONE, _wrong(story["code"]), "subject"), Wrong)
    assert isinstance(await hx.otp.verify_phone(PHONE, story["code"], "subject"), Verified)
    clock.advance(timedelta(seconds=60))
    issued = await hx.otp.issue(PHONE, "subject")
    (record,) = raw.scan_iter("otp:*:subject")
    assert not {b"mac", b"used_at", b"n", b"lane"} & set(raw.hkeys(record)), "nothing of the one before stays"
    code = (await hx.otp.open(issued.challenge)).code
    assert isinstance(await hx.otp.verify_phone(PHONE, code, "subject"), Verified)


async def test_a_grant_of_before_is_spent(hx: Any, stored: Any) -> None:
    granted = await hx.otp.consume_grant(stored("grant")["grant"], "login")
    assert isinstance(granted, Granted)
    assert granted.phone == "+2348031234567"


async def test_an_answer_of_before_is_repeated(hx: Any, stored: Any) -> None:
    stored("answered")
    replay = await hx.idempotency.begin("a-key", PAY, body=b'{"amount":5}')
    assert isinstance(replay, Replay)
    assert (replay.response.status, replay.response.body) == (201, b'{"id": 42}')
    assert replay.response.headers == (("content-type", "application/json"),)
    assert isinstance(await hx.idempotency.begin("a-key", PAY, body=b'{"amount":6}'), Mismatch)


async def test_a_claim_of_before_stands_and_is_taken_over_and_answered(hx: Any, stored: Any, clock: FixedClock) -> None:
    stored("claimed")
    assert isinstance(await hx.idempotency.begin("a-key", PAY, body=b'{"amount":5}'), InFlight)
    clock.advance(timedelta(seconds=31))
    orphan = await hx.idempotency.begin("a-key", PAY, body=b'{"amount":5}')
    assert isinstance(orphan, Orphaned)
    started = await hx.idempotency.begin("a-key", PAY, body=b'{"amount":5}', over=orphan)
    assert isinstance(started, Started)
    assert await hx.idempotency.complete(started, Response(201, b"x" * 3_000))
    replay = await hx.idempotency.begin("a-key", PAY, body=b'{"amount":5}')
    assert isinstance(replay, Replay)
    assert replay.response.body == b"x" * 3_000


@pytest.mark.parametrize("size", [0, 20, 1_000, 30_000])
async def test_an_answer_of_any_length_is_repeated_as_it_was(hx: Any, raw: redis.Redis, size: int) -> None:
    body = random.Random(size).randbytes(size)
    started = await hx.idempotency.begin("a-key", PAY)
    await hx.idempotency.complete(started, Response(200, body))
    replay = await hx.idempotency.begin("a-key", PAY)
    assert isinstance(replay, Replay)
    assert replay.response.body == body
    (key,) = raw.scan_iter("idem:*")
    assert raw.object("encoding", key) == (b"listpack" if size < 2_000 else b"hashtable")


def test_an_authenticator_of_before_opens() -> None:
    from hustlex.core.keyring import Keyring
    from hustlex.otp.codes import Codes
    from hustlex.otp.totp import _owner

    assert len(Codes(Keyring(SECRET)).unseal(RECORDS["totp"]["sealed"].encode(), _owner("user-7"))) == 27


async def test_a_new_code_is_one_piece_on_the_server(hx: Any, raw: redis.Redis) -> None:
    """Whatever it says and whoever it is for: a record that became a table would be three times as large."""
    issued = await hx.otp.issue(PHONE, "transfer", ctx=CTX, about="é" * 100, user_id="u" * 200)
    assert isinstance(issued, Issued)
    found = {key: raw.object("encoding", key) for key in raw.scan_iter("otp:*") if b":cap" not in key}
    assert set(found.values()) == {b"listpack"}
    assert len(found) == 2
    assert (await hx.otp.open(issued.challenge)).about == "é" * 100
