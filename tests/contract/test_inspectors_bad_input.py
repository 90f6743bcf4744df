"""Bad input at the operator's side of each room: one sentence, never an error of the interpreter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex import HustleX
from hustlex.cache import CacheInspector
from hustlex.events import EventInspector
from hustlex.idempotency import ClaimInspector, Scope
from hustlex.otp import OtpInspector
from hustlex.pins import PinInspector
from hustlex.ratelimit import LimitInspector, Penalty, Policy
from hustlex.tokens import TokenInspector
from tests.conftest import PATIENCE, SECRET
from tests.support.sweep import Sample, complaints

MINUTE = timedelta(minutes=1)
WHO = {"policy": Policy("p", 5, MINUTE, penalty=Penalty(3, MINUTE, MINUTE)), "identity": "u1", "endpoint": "/x"}
STUCK = f"idem:{{u1}}:POST:{'0' * 32}"
SAMPLES = [
    ("otp", Sample(OtpInspector.phone, {"phone": "+2348031234567", "purposes": ["login"]})),
    ("otp", Sample(OtpInspector.sends, {"phone": "+2348031234567"})),
    ("otp", Sample(OtpInspector.country, {"region": "NG"})),
    ("otp", Sample(OtpInspector.breakers, {"cursor": ""})),
    ("tokens", Sample(TokenInspector.user, {"user_id": "u1"})),
    ("tokens", Sample(TokenInspector.session, {"user_id": "u1", "session_id": "s" * 22})),
    ("tokens", Sample(TokenInspector.ended, {"user_id": "u1"})),
    ("ratelimit", Sample(LimitInspector.caller, WHO)),
    ("ratelimit", Sample(LimitInspector.ban, {**WHO, "length": MINUTE})),
    ("ratelimit", Sample(LimitInspector.unban, WHO)),
    ("ratelimit", Sample(LimitInspector.bans, {"cursor": ""})),
    ("ratelimit", Sample(LimitInspector.lift, {"record": "ratelimit:{u1}:/x:pen"})),
    ("cache", Sample(CacheInspector.entry, {"name": "user", "key": 7})),
    ("cache", Sample(CacheInspector.key, {"key": "cache:user:7"})),
    ("cache", Sample(CacheInspector.size, {"name": "user"})),
    ("idempotency", Sample(ClaimInspector.claim, {"key": "k", "scope": Scope("u1", "POST", "/pay")})),
    ("idempotency", Sample(ClaimInspector.event, {"provider": "paystack", "event_id": "e1"})),
    ("idempotency", Sample(ClaimInspector.unfinished, {"cursor": ""})),
    ("idempotency", Sample(ClaimInspector.unfinished_events, {"cursor": ""})),
    ("idempotency", Sample(ClaimInspector.of_record, {"record": STUCK})),
    ("idempotency", Sample(ClaimInspector.release, {"record": STUCK, "fence": 1})),
    ("idempotency", Sample(ClaimInspector.of_principal, {"principal": "u1", "cursor": ""})),
    ("pins", Sample(PinInspector.user, {"user_id": "u1"})),
    ("events", Sample(EventInspector.listeners, {"channel": "orders:42"})),
]


@pytest.fixture
async def front(url: str, raw: redis.Redis) -> AsyncIterator[HustleX]:
    raw.hset(STUCK, mapping={"st": "run", "lease": 1, "fence": 1})
    async with HustleX(url, secret=SECRET, timeout=PATIENCE) as opened:
        yield opened


@pytest.mark.parametrize(("room", "sample"), SAMPLES, ids=str)
async def test_bad_input_gets_one_sentence(front: HustleX, room: str, sample: Sample) -> None:
    door: Any = getattr(front, room)
    assert await complaints(sample, door.inspector) == []
