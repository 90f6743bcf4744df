"""Access tokens as JWTs (RFC 9068): writing and reading. Pure; the time is compared elsewhere.

Everything a token says about how to verify it is checked against what is known here before its signature is looked at.
PyJWT does the signatures. Its own reading of a token is not used: it compares times with the process's clock, and it
costs half as much again as the signature (measured: ES256 62 us, PyJWT's decode 99 us).
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cache
from typing import Any, ClassVar

import msgspec

from hustlex.tokens.keyset import Key, KeySet
from hustlex.tokens.types import Rejection

_LONGEST = 8192
_EXTRA_LIFE_S = 60
_LAST_S = 221_845_392_000
"""The year 9000: a date can still be made of what comes soon after."""
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_KID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_HEADERS = frozenset({"alg", "kid", "typ"})
_ALGORITHMS = frozenset({"ES256", "EdDSA", "RS256"})
"""Signatures by these algorithms and no other."""


class Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    """The claims of an access token. typ: what a token is for, as its header says; one kind never counts as another
    (RFC 8725, 3.11)."""

    typ: ClassVar[str] = "at+jwt"

    iss: str
    """Who issued it."""
    sub: str
    """The user."""
    aud: str | list[str]
    """For whom it is meant."""
    exp: int
    """When it ends, in seconds since 1970."""
    iat: int
    """When it was issued, in seconds since 1970."""
    jti: str
    """``{<uref>}.<random>``."""
    client_id: str
    """The application."""
    sid: str
    """The session."""
    ims: int
    """When it was issued, in milliseconds since 1970."""
    nbf: int = 0
    """From when it is good, in seconds since 1970."""
    auth_time: int = 0
    """When the user proved who they are, in seconds since 1970."""
    amr: tuple[str, ...] = ()
    """Authentication methods (RFC 8176)."""
    acr: str = ""
    """How strongly the user proved it, as given at login."""
    scope: str = ""
    """What it may be used for, as given at login."""
    cnf: dict[str, str] = {}
    """``{"jkt": ...}``, the thumbprint of the key that must prove each use (RFC 9449)."""

    @property
    def jkt(self) -> str:
        """The thumbprint of the key that this token is bound to, or "" (a bearer token)."""
        return self.cnf.get("jkt", "")


class SubscriptionClaims(Claims, frozen=True, omit_defaults=True, kw_only=True):
    """The claims of a subscription token: of the access token that it was made for, and the one channel."""

    typ: ClassVar[str] = "subscription+jwt"
    channel: str
    """Its name."""
    since: str = ""
    """A position in it as text."""


def write(claims: Claims, key: Key) -> str:
    """Sign. The key must have its private part."""
    assert key.private is not None
    header = {"alg": key.alg, "kid": key.kid, "typ": claims.typ}
    signed = f"{_text(msgspec.json.encode(header))}.{_text(msgspec.json.encode(claims))}"
    algorithm = _algorithm(key.alg)
    return f"{signed}.{_text(algorithm.sign(signed.encode(), key.private))}"


@cache
def _algorithm(name: str) -> Any:
    if name not in _ALGORITHMS:
        raise KeyError(name)
    from jwt import get_algorithm_by_name

    return get_algorithm_by_name(name)


def verified(token: str, key: Key) -> bytes | None:
    """The payload of a well-formed token that this key signed, or None."""
    signed, _, signature = token.rpartition(".")
    algorithm = _algorithm(key.alg)
    try:
        good = algorithm.verify(signed.encode(), key.public, _bytes(signature))
        return _bytes(signed.partition(".")[2]) if good else None
    except ValueError:
        return None


def read(
    token: str, keys: KeySet, *, issuer: str, audience: str, longest_life_s: int, kind: type[Claims] = Claims
) -> Claims | Rejection:
    """The claims of a token of this kind that one of our keys signed for us, or what is wrong with it. Times are not
    compared."""
    if not well_formed(token):
        return Rejection.MALFORMED
    key = _key(token, keys, kind.typ)
    if isinstance(key, Rejection):
        return key
    payload = verified(token, key)
    if payload is None:
        return Rejection.BAD_SIGNATURE
    try:
        claims = msgspec.convert(object_of(payload), kind)
    except (ValueError, RecursionError):
        return Rejection.MALFORMED
    return _misfit(claims, issuer, audience, longest_life_s) or claims


def _key(token: str, keys: KeySet, typ: str) -> Key | Rejection:
    """The key a token must have been signed with. Only its name is taken from the token, never the algorithm."""
    try:
        header = header_of(token)
    except (ValueError, RecursionError):
        return Rejection.MALFORMED
    kid, alg = header.get("kid"), header.get("alg")
    # No crit, jku, jwk, x5u, x5c: nothing that brings a key or an unknown rule along.
    if not _HEADERS.issuperset(header) or not isinstance(kid, str) or not _KID.fullmatch(kid):
        return Rejection.MALFORMED
    key = keys.find(kid)
    if key is None:
        return Rejection.UNKNOWN_KID
    if alg != key.alg:
        return Rejection.BAD_SIGNATURE
    return key if header.get("typ") == typ else Rejection.BAD_TYPE


def _misfit(claims: Claims, issuer: str, audience: str, longest_life_s: int) -> Rejection | None:
    if claims.iss != issuer:
        return Rejection.BAD_ISSUER
    if audience not in ([claims.aud] if isinstance(claims.aud, str) else claims.aud):
        return Rejection.BAD_AUDIENCE
    lives = 0 <= claims.exp - claims.iat <= longest_life_s + _EXTRA_LIFE_S
    # Revocations go by ims: one that is not the time of issue would be above them.
    dated = claims.ims // 1000 == claims.iat and all(0 <= each <= _LAST_S for each in (claims.iat, claims.auth_time))
    return None if lives and dated else Rejection.MALFORMED


def well_formed(token: str) -> bool:
    """Whether it has the three parts of a signed token, and at most 8 KiB."""
    return len(token) <= _LONGEST and _FORM.fullmatch(token) is not None


def header_of(token: str) -> dict[str, Any]:
    """The header, nothing of it believed. Raises ValueError or RecursionError."""
    return object_of(_bytes(token.partition(".")[0]))


def _bytes(segment: str) -> bytes:
    """Raises ValueError, also for a text that is not the one way to write these bytes."""
    raw = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if _text(raw) != segment:
        raise ValueError("not canonical")
    return raw


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def object_of(raw: bytes) -> dict[str, Any]:
    """A JSON object without repeated names: parsers disagree on which of two counts."""
    value = json.loads(raw.decode(), object_pairs_hook=_distinct)
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - callers catch one kind
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name is repeated")
    return names
