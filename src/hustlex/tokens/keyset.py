"""Keys that sign access tokens. Each has one algorithm, decided here and never by a token."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Self, TypeGuard, cast

import msgspec

from hustlex.core import check
from hustlex.core.keyring import Keyring
from hustlex.core.later import Later
from hustlex.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography import exceptions
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from jwt import algorithms

    PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
    PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
else:
    exceptions = Later("cryptography.exceptions")
    serialization = Later("cryptography.hazmat.primitives.serialization")
    ec = Later("cryptography.hazmat.primitives.asymmetric.ec")
    ed25519 = Later("cryptography.hazmat.primitives.asymmetric.ed25519")
    rsa = Later("cryptography.hazmat.primitives.asymmetric.rsa")
    algorithms = Later("jwt.algorithms")

Jwk = dict[str, str]

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_SHORTEST_RSA = 2048


class Key(msgspec.Struct, frozen=True, eq=False):
    """kid: 16 characters of the RFC 7638 thumbprint. alg: ES256, EdDSA or RS256. private: None for verify-only."""

    kid: str
    alg: str
    public: PublicKey
    private: PrivateKey | None

    @property
    def thumbprint(self) -> str:
        """RFC 7638, SHA-256, in full."""
        return _thumbprint(self.public)

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("kid", self.kid), ("alg", self.alg)]

    def __repr__(self) -> str:
        return f"Key(kid={self.kid!r}, alg={self.alg!r})"


class KeySet:
    """One key that signs, and any number that only verify (keys that signed before, or will sign next)."""

    def __init__(self, signing: Key | None, verify_only: Iterable[Key] = ()) -> None:
        check.instance("signing", signing, Key, type(None), hint="pass a Key, or make the set with KeySet.from_pem")
        others = check.several("verify_only", verify_only)
        for each in others:
            check.instance("verify_only", each, Key, hint="pass Keys, or make the set with KeySet.from_pem")
        if signing is not None and signing.private is None:
            raise ConfigurationError("the signing key has no private part", hint="hand in a PEM private key")
        self._signing = signing
        self._keys = {key.kid: key for key in (*others, *([signing] if signing else ()))}

    @property
    def signing(self) -> Key:
        """Raises ConfigurationError when it was retired and none took its place."""
        if self._signing is None:
            raise ConfigurationError("the signing key was retired", hint="configure another one")
        return self._signing

    @classmethod
    def derived(cls, keyring: Keyring) -> Self:
        """The default: one ES256 key that every process with the same secret derives alike."""
        return cls(cls.derive(keyring, 1))

    @staticmethod
    def derive(keyring: Keyring, generation: int) -> Key:
        """The ES256 key of a generation, from 1."""
        check.instance("keyring", keyring, Keyring)
        check.whole("generation", generation, 1)
        label = "jwt-es256" if generation == 1 else f"jwt-es256-{generation}"
        # 384 bits reduced to 256: no bias worth speaking of (FIPS 186-5, A.2.1).
        number = int.from_bytes(keyring.key(label, 48), "big") % (_P256_ORDER - 1) + 1
        return _key(ec.derive_private_key(number, ec.SECP256R1()))

    @classmethod
    def from_pem(cls, signing: bytes | str, verify_only: Iterable[bytes | str] = ()) -> Self:
        """Keys of your own: P-256, Ed25519, or RSA from 2048 bits. verify_only: PEM keys, public or private.

        Raises ConfigurationError for anything else. Private keys must not be encrypted.
        """
        return cls(
            _key(_load(signing)), [_public_only(_key(_load(pem))) for pem in check.several("verify_only", verify_only)]
        )

    def find(self, kid: str) -> Key | None:
        """The key of that name, if it is one of ours."""
        return self._keys.get(check.typed("kid", kid))

    def trusted(self) -> list[Key]:
        """All keys, the signing one last."""
        return [*self._keys.values()]

    def without(self, kids: Collection[str]) -> KeySet:
        """The others."""
        kids = check.several("kids", kids)
        signing = self._signing if self._signing is not None and self._signing.kid not in kids else None
        return KeySet(signing, [key for kid, key in self._keys.items() if kid not in kids and key is not signing])

    def jwks(self) -> dict[str, list[Jwk]]:
        """The public keys as a JWK Set (RFC 7517), to be served to other verifiers."""
        own = {"use": "sig"}
        return {"keys": [{**_jwk(key.public), **own, "alg": key.alg, "kid": key.kid} for key in self._keys.values()]}


def public_key(key: object) -> Key | None:
    """A key that somebody else made, for verifying; None when it is of no supported kind or too short."""
    try:
        return _key(key) if _is_public(key) else None
    except ConfigurationError:
        return None


def _key(key: PrivateKey | PublicKey) -> Key:
    private = key if _is_private(key) else None
    public = cast("PublicKey", key) if private is None else private.public_key()
    return Key(_thumbprint(public)[:16], _algorithm(public), public, private)


def _public_only(key: Key) -> Key:
    return Key(key.kid, key.alg, key.public, None)


def _is_private(key: object) -> TypeGuard[PrivateKey]:
    return isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey)


def _is_public(key: object) -> TypeGuard[PublicKey]:
    return isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey)


def _algorithm(public: PublicKey) -> str:
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "EdDSA"
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size < _SHORTEST_RSA:
            raise ConfigurationError(f"an RSA key needs at least {_SHORTEST_RSA} bits, not {public.key_size}")
        return "RS256"
    if not isinstance(public.curve, ec.SECP256R1):
        raise ConfigurationError(f"the curve must be P-256, not {public.curve.name}")
    return "ES256"


def _load(pem: bytes | str) -> PrivateKey | PublicKey:
    check.instance("a key", pem, str, bytes, hint="hand in unencrypted PEM")
    raw = pem.encode("utf-8", "surrogatepass") if isinstance(pem, str) else pem
    try:
        key: Any = (
            serialization.load_pem_private_key(raw, None)
            if b"PRIVATE KEY-----" in raw
            else serialization.load_pem_public_key(raw)
        )
    except (ValueError, TypeError, exceptions.UnsupportedAlgorithm):
        raise ConfigurationError("a key could not be read", hint="hand in unencrypted PEM") from None
    if not _is_private(key) and not _is_public(key):
        raise ConfigurationError("a key is of no supported kind", hint="use P-256, Ed25519 or RSA")
    return key


def _jwk(public: PublicKey) -> Jwk:
    """The members that RFC 7638 requires of this kind of key, and no others."""
    if isinstance(public, rsa.RSAPublicKey):
        full = algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        full = algorithms.ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        full = algorithms.OKPAlgorithm.to_jwk(public, as_dict=True)
    return {name: str(full[name]) for name in ("crv", "e", "kty", "n", "x", "y") if name in full}


def _thumbprint(public: PublicKey) -> str:
    digest = hashlib.sha256(msgspec.json.encode(_jwk(public), order="sorted")).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
