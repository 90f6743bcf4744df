"""Proofs of possession (DPoP, RFC 9449): reading one, but for its freshness and its first use, which the server judges.

The checks are those of section 4.3, in its order.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import string
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import urlsplit

import msgspec

from hustlex.tokens.jwt import header_of, object_of, verified, well_formed
from hustlex.tokens.keyset import Key, public_key
from hustlex.tokens.types import BadProof, Flaw

PAST_MS = 60_000
FUTURE_MS = 5_000
"""How old a proof may be, and how far the client's clock may be ahead."""

_TYPE = "dpop+jwt"
_LONGEST_ID = 256
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(f"{string.ascii_letters}{string.digits}-._~")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class DpopProof(msgspec.Struct, frozen=True):
    """A good proof, if it is fresh and was not seen before. jkt: thumbprint of its key."""

    jkt: str
    jti: str
    url: str
    made_ms: int


class _Said(msgspec.Struct, frozen=True):
    jti: str
    htm: str
    htu: str
    iat: int
    ath: str = ""


def read_proof(text: str, method: str, url: str, access: str) -> DpopProof | BadProof:
    """access: the access token that came with it, "" for a request that has none (a token request)."""
    if not well_formed(text):
        return BadProof(Flaw.MALFORMED)
    key = _key(text)
    if isinstance(key, BadProof):
        return key
    payload = verified(text, key)
    if payload is None:
        return BadProof(Flaw.BAD_SIGNATURE)
    try:
        said = msgspec.convert(object_of(payload), _Said)
    except (ValueError, RecursionError):
        return BadProof(Flaw.MALFORMED)
    if not 0 < len(said.jti) <= _LONGEST_ID:
        return BadProof(Flaw.MALFORMED)
    if said.htm != method or _plain(said.htu) != (target := _plain(url)):
        return BadProof(Flaw.WRONG_REQUEST)
    if access and not hmac.compare_digest(said.ath.encode("utf-8", "surrogatepass"), hash_of(access).encode()):
        return BadProof(Flaw.WRONG_TOKEN)
    return DpopProof(key.thumbprint, said.jti, target, said.iat * 1000)


def hash_of(access: str) -> str:
    """The ``ath`` claim: base64url of SHA-256."""
    return urlsafe_b64encode(hashlib.sha256(access.encode("utf-8", "surrogatepass")).digest()).rstrip(b"=").decode()


def _key(text: str) -> Key | BadProof:
    """The key that the proof brings along: here, and only here, a token says which key verifies it."""
    try:
        header = header_of(text)
    except (ValueError, RecursionError):
        return BadProof(Flaw.MALFORMED)
    jwk: Any = header.get("jwk")
    if set(header) != {"typ", "alg", "jwk"} or header["typ"] != _TYPE or not isinstance(jwk, dict):
        return BadProof(Flaw.MALFORMED)
    if _PRIVATE.intersection(jwk):
        return BadProof(Flaw.BAD_KEY)
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    try:
        key = public_key(PyJWK(jwk, algorithm=str(header["alg"])).key)
    except (PyJWTError, ValueError, TypeError, KeyError, NotImplementedError):  # the last: algorithm "none"
        return BadProof(Flaw.BAD_KEY)
    return key if key is not None and key.alg == header["alg"] else BadProof(Flaw.BAD_KEY)


def _plain(url: str) -> str:
    """A URL without query and fragment, scheme and host in lower case, default port dropped, each character escaped in
    the one way (RFC 9449, 4.3 note 9; RFC 3986, 6.2.2 and 6.2.3)."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    host = (parts.hostname or "").lower()
    scheme = parts.scheme.lower()
    shown = "" if port is None or port == _DEFAULT_PORTS.get(scheme) else f":{port}"
    return f"{scheme}://{host}{shown}{_ESCAPE.sub(_escaped, parts.path) or '/'}"


def _escaped(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0].upper()
