"""Phones, codes and keys for the tests of one-time passwords."""

from __future__ import annotations

from typing import Any

import redis

from hustlex.core.keyring import Keyring
from hustlex.otp import Delivery, Issued, Verified
from tests.conftest import SECRET

PHONE = "+2348031234567"
KEYRING = Keyring(SECRET)
REF = KEYRING.reference(PHONE)


def phone(block: int, number: int = 0) -> str:
    """A Nigerian mobile number in block 0 to 999 of the prefix 2348031."""
    return f"+2348031{block:03}{number:03}"


def wrong(code: str, step: int = 1) -> str:
    """Another code of the same length."""
    return str((int(code) + step) % 10 ** len(code)).zfill(len(code))


async def code_of(otp: Any, challenge: str) -> str:
    """The code, as the message would say it."""
    delivery = await otp.open(challenge)
    assert isinstance(delivery, Delivery), delivery
    return delivery.code


async def sent(otp: Any, to: str = PHONE, purpose: str = "login", **options: Any) -> Issued:
    """A challenge that was opened."""
    result = await otp.issue(to, purpose, **options)
    assert isinstance(result, Issued), result
    return result


async def verified(otp: Any, issued: Issued, **options: Any) -> Verified:
    """Type its code right."""
    result = await otp.verify(issued.challenge, await code_of(otp, issued.challenge), **options)
    assert isinstance(result, Verified), result
    return result


def everything(raw: redis.Redis) -> dict[bytes, Any]:
    """All keys with all they hold."""
    reads = {
        b"hash": raw.hgetall,
        b"string": raw.get,
        b"list": lambda key: raw.lrange(key, 0, -1),
        b"set": raw.smembers,
        b"zset": lambda key: raw.zrange(key, 0, -1, withscores=True),
        b"stream": lambda key: raw.xrange(key),
    }
    return {key: reads[raw.type(key)](key) for key in raw.scan_iter()}


def units(raw: redis.Redis, tag: str, kind: str = "c") -> int:
    """What a scope counts now, over all its buckets."""
    fields = raw.hgetall(f"otp:{{{tag}}}:cap")
    return sum(int(value) for name, value in fields.items() if name[:1] == kind.encode() and name[1:].isdigit())
