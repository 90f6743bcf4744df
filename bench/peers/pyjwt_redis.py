"""What one would write by hand: PyJWT verifies, redis-py's asyncio client (with hiredis) looks at the blacklist."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from redis.asyncio import Redis

from bench.harness import CALLERS, per_second
from bench.own.auth import latency, timed

_USERS = 500


async def measure(url: str, seconds: float) -> dict[str, float]:
    """Checks by one and by 64 callers, signed as ours (ES256), by Ed25519, and with a shared secret (HS256)."""
    client = Redis.from_url(url)
    found: dict[str, float] = {}
    private, edwards = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
    keys: dict[str, Any] = {"ES256": (private, private.public_key()), "HS256": ("k" * 32, "k" * 32)}
    keys["EdDSA"] = (edwards, edwards.public_key())
    for algorithm, (signing, verifying) in keys.items():
        texts = [jwt.encode(_claims(number), signing, algorithm) for number in range(_USERS)]
        found |= await _checks(client, texts, verifying, algorithm, int(8_000 * seconds))
    await client.aclose()
    return found


def _claims(number: int) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": "hustlex", "sub": f"user{number}", "aud": "hustlex", "iat": now, "exp": now + 900, "client_id": "app",
        "jti": f"{number:022}", "sid": f"{number:022}",
    }  # fmt: skip


async def _checks(client: Redis, texts: Sequence[str], key: Any, algorithm: str, calls: int) -> dict[str, float]:
    async def call(number: int) -> None:
        claims = jwt.decode(texts[number % _USERS], key, [algorithm], audience="hustlex", issuer="hustlex")
        if await client.exists(f"jwt:blacklist:{claims['jti']}"):
            raise SystemExit("a token was forbidden")

    await per_second(CALLERS, range(640), call)
    name = f"{algorithm.lower()}_check"
    return await timed(name, range(calls), call) | await latency(name, min(calls, 1_000), call)
