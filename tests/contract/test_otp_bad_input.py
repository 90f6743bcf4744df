"""Bad input at every public door of otp, pins and delivery: one sentence of ours, or a value; and no secret in it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from hustlex import sync
from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.delivery import CallbackSender, HttpSender, Texts
from hustlex.errors import Misuse
from hustlex.otp import (
    Breaker,
    Cap,
    Caps,
    Country,
    DeliveryStatus,
    Email,
    Guesses,
    Limits,
    Mailboxes,
    Numbers,
    Otp,
    OtpOptions,
    Policy,
    Risk,
)
from hustlex.pins import PinOptions, Pins
from tests.conftest import PATIENCE, SECRET
from tests.support.blocking import Blocking
from tests.support.otp import PHONE
from tests.support.sweep import ODD, Sample, complaints, unswept

MINUTE = timedelta(minutes=1)
CHALLENGE = "oc1." + "a" * 26 + ".login." + "A" * 22 + ".abcdef"
CTX = {"amount_minor": 5}

ISSUE: dict[str, Any] = {
    "phone": PHONE,
    "purpose": "login",
    "ctx": CTX,
    "about": "NGN 5",
    "ip": "203.0.113.7",
    "lane": "anon",
    "device": "od1." + "A" * 22,
    "user_id": "user-1",
    "deliver": True,
    "risk": Risk(),
    "human": False,
}
ANSWER: dict[str, Any] = {"code": "123456", "ctx": CTX, "nonce": "n" * 16, "ip": "203.0.113.7"}
TOTP: dict[str, Any] = {"user_id": "u", "code": "123456", "purpose": "login", "ctx": CTX, "lane": "anon"}

VERBS = [
    Sample(Otp.issue, ISSUE),
    Sample(Otp.issue, {"phone": Email("ada@example.com")}),
    Sample(Otp.resend, {"challenge": CHALLENGE, "ip": "203.0.113.7", "human": False}),
    Sample(Otp.verify, {"challenge": CHALLENGE, "remember": True, **ANSWER}),
    Sample(Otp.verify_phone, {"phone": PHONE, "purpose": "default", "lane": "anon", **ANSWER}),
    Sample(Otp.open, {"challenge": CHALLENGE, "claim": "job"}),
    Sample(Otp.consume_grant, {"grant": "og1." + "a" * 26 + "." + "A" * 22, "purpose": "login", "ctx": CTX}),
    Sample(Otp.cancel, {"challenge": CHALLENGE, "unsent": True}),
    Sample(Otp.delivery_report, {"challenge": CHALLENGE, "status": DeliveryStatus.FAILED, "channel": "sms"}),
    Sample(Otp.unlock, {"phone": PHONE, "lane": "anon"}),
    Sample(Otp.close_breaker, {"name": "cc:NG"}),
    Sample(Otp.totp_enrol, {"user_id": "u", "issuer": "Ajo", "account": "ada"}),
]

OPTIONS = [
    Sample(Policy, {name: getattr(Policy(), name) for name in Policy.__struct_fields__}),
    Sample(Limits, {name: getattr(Limits(), name) for name in Limits.__struct_fields__}),
    Sample(Numbers, {"region": "NG", "countries": frozenset({"NG"}), "accept_possible": True}),
    Sample(Mailboxes, {"domains": frozenset({"example.com"})}),
    Sample(Cap, {"most": 1, "per": MINUTE}),
    Sample(Caps, {name: getattr(Caps(), name) for name in Caps.__struct_fields__}),
    Sample(Country, {"cap": Cap(1, MINUTE), "price": 1, "budget": 2, "kept": 5}),
    Sample(Breaker, {name: getattr(Breaker(), name) for name in Breaker.__struct_fields__}),
    Sample(Guesses, {name: getattr(Guesses(), name) for name in Guesses.__struct_fields__}),
    Sample(Risk, {"sim_swap": MINUTE}),
    Sample(Email, {"address": "ada@example.com"}),
    Sample(OtpOptions, {name: getattr(OtpOptions(), name) for name in OtpOptions.__struct_fields__}),
    Sample(PinOptions, {name: getattr(PinOptions(), name) for name in PinOptions.__struct_fields__}),
    Sample(Texts, {"app": "Ajo", "lines": {}, "domain": "a.b", "retriever": "x" * 11, "subject": "{app}"}),
    Sample(CallbackSender, {"function": print, "channel": "email"}),
]


@pytest.fixture(params=["aio", "blocking"])
async def front(request: pytest.FixtureRequest, url: str, clock: FixedClock) -> Any:
    pins = PinOptions(memory_kib=8_192, passes=1)
    if request.param == "aio":
        async with HustleX(url, timeout=PATIENCE, secret=SECRET, clock=clock, pins=pins) as front:
            yield front
    else:
        with sync.HustleX(url, timeout=PATIENCE, secret=SECRET, clock=clock, pins=pins) as blocking:
            yield Blocking(blocking)


@pytest.mark.parametrize("sample", VERBS, ids=str)
async def test_verbs(sample: Sample, front: HustleX) -> None:
    assert await complaints(sample, front.otp) == []


@pytest.mark.parametrize("sample", OPTIONS, ids=str)
async def test_options(sample: Sample) -> None:
    assert await complaints(sample) == []


async def test_authenticators(front: HustleX) -> None:
    sealed = front.otp.totp_enrol("u", issuer="Ajo", account="ada").sealed
    assert await complaints(Sample(Otp.totp_verify, {"sealed": sealed, **TOTP}), front.otp) == []
    assert await complaints(Sample(Otp.totp_reseal, {"user_id": "u", "sealed": sealed}), front.otp) == []


async def test_pins(front: HustleX) -> None:
    stored = (await front.pins.hash("u", "4827")).verifier  # type: ignore[union-attr]
    samples = [
        Sample(Pins.hash, {"user_id": "u", "pin": "4827"}),
        Sample(Pins.verify, {"user_id": "u", "pin": "4827", "stored": stored, "ctx": CTX}),
        Sample(Pins.reset, {"user_id": "u"}),
    ]
    assert [await complaints(sample, front.pins) for sample in samples] == [[]] * 3
    assert unswept([Pins], samples, but=BUILT) == set()


async def test_gateways() -> None:
    async with httpx.AsyncClient() as client:
        given = {
            "url": "https://gateway.test/",
            "channel": "sms",
            "headers": {"a": "b"},
            "body": dict,
            "client": client,
        }
        assert await complaints(Sample(HttpSender, given | {"body": lambda message: {"to": message.to}})) == []


BUILT = {f"{kind}({name})" for kind in ("Otp", "Pins") for name in ("driver", "keyring", "prefix", "clock", "options")}
"""What the front fills in."""


def test_the_sweep_is_complete() -> None:
    samples = [
        *VERBS,
        Sample(Otp.totp_verify, {"sealed": 1, **TOTP}),
        Sample(Otp.totp_reseal, {"user_id": 1, "sealed": 1}),
    ]
    assert unswept([Otp], samples, but=BUILT) == set()


SECRETS = {"int": 2348031234567, "bytes": b"2348031234567", "list": ["2348031234567"], "float": 2348031234567.0}


@pytest.mark.parametrize("value", SECRETS.values(), ids=SECRETS)
async def test_no_phone_code_or_pin_is_in_a_message(front: HustleX, value: Any) -> None:
    otp, pins = front.otp, front.pins
    calls = [
        otp.issue(value),
        otp.issue(PHONE, about=value),
        otp.issue(PHONE, device=value),
        otp.issue(PHONE, "transaction", ctx={"to": value if not isinstance(value, int) else 1.5}),
        otp.verify(CHALLENGE, value),
        otp.verify(value, "123456"),
        otp.verify(CHALLENGE, "123456", nonce=value),
        otp.verify_phone(value, "123456"),
        otp.consume_grant(value, "login"),
        otp.unlock(value, "anon"),
        pins.hash("u", value),
        pins.verify("u", value, "x"),
        pins.verify("u", "4827", value),
    ]
    for call in calls:
        with pytest.raises(Misuse) as caught:
            await call
        assert "8031234567" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("label", ["NUL", "a line break", "half a character"])
async def test_a_uid_with_control_characters_is_refused_at_the_door(front: HustleX, label: str) -> None:
    with pytest.raises(Misuse, match="user_id holds"):
        await front.otp.issue(PHONE, user_id=ODD[label])
    for purpose in ("login\n", "login\x00", ODD[label]):
        with pytest.raises(Misuse, match="purpose"):
            await front.otp.issue(PHONE, purpose)


@pytest.mark.parametrize("uid", ["user|1", "a'b\"c", "%s%d", "ünï", 7, "x" * 255])
async def test_any_other_uid_comes_back_whole(front: HustleX, uid: Any) -> None:
    issued = await front.otp.issue(PHONE, user_id=uid)
    opened = await front.otp.open(issued.challenge)  # type: ignore[union-attr]
    answer = await front.otp.verify(issued.challenge, opened.code)  # type: ignore[union-attr]
    granted = await front.otp.consume_grant(answer.grant, "login")  # type: ignore[union-attr]
    assert granted.user_id == str(uid)  # type: ignore[union-attr]
