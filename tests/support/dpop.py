"""A client that holds a key and proves it (RFC 9449), made with PyJWT alone."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


class Holder:
    """``proof(...)``: keywords replace or (None) remove claims; ``header`` does the same to the header."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.jwk: dict[str, Any] = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)

    @property
    def jkt(self) -> str:
        members = {name: self.jwk[name] for name in ("crv", "kty", "x", "y")}
        return b64(hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).digest())

    def proof(
        self, method: str, url: str, now_s: int, access: str = "", header: dict[str, Any] | None = None, **changes: Any
    ) -> str:
        claims: dict[str, Any] = {"jti": secrets.token_hex(8), "htm": method, "htu": url, "iat": now_s}
        if access:
            claims["ath"] = b64(hashlib.sha256(access.encode()).digest())
        head = {"typ": "dpop+jwt", "jwk": self.jwk} | (header or {})
        kept = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(kept, self.key, "ES256", headers={n: v for n, v in head.items() if v is not None})
