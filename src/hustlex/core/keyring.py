"""Purpose keys from root secrets: HKDF-SHA-256 (RFC 5869), one label per use, so that no key serves two ends."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b32encode
from collections.abc import Sequence

from hustlex.core import bounds, check
from hustlex.errors import ConfigurationError

KID = "[a-z2-7]{6}"
"""The form of a kid."""

KID_LENGTH = 6
_SHORTEST_ROOT = 32
_SALT = b"hustlex-keyring-1"


class Keyring:
    """Derives keys by label. Root secrets (at least 32 bytes each) are never stored in Redis and never shown.

    root: makes everything new. old: others, whose codes, tokens and seals are still good; the next one stands there
    too, while it is brought to every process. reference: the root of the stand-ins in key names, which must not change
    with ``root``: to be named as soon as there are others. kid: names ``root``; it is public.

    Raises ConfigurationError.
    """

    def __init__(
        self, root: bytes | str, *, old: Sequence[bytes | str] = (), reference: bytes | str | None = None
    ) -> None:
        if isinstance(old, str | bytes) or not isinstance(old, Sequence):
            raise ConfigurationError("old secrets are a list", hint='as ["..."], though there is only one')
        if old and reference is None:
            raise ConfigurationError(
                "with old secrets, reference_secret must be given",
                hint="it is the secret there was before the first change, and stays; see docs/guides/secrets.md",
            )
        self._use(_seed(root, "the secret"))
        self._ref = self.key("ref") if reference is None else _derive(_seed(reference, "reference_secret"), "ref", 32)
        self.old = tuple(self._other(each) for each in old)
        """The same for each old root: its keys, the same references."""
        if len({self.kid, *(each.kid for each in self.old)}) <= len(self.old):
            raise ConfigurationError("a secret is listed twice", hint="the one in use does not stand with the old ones")

    def _use(self, seed: bytes) -> None:
        self._seed = seed
        self.kid = b32encode(self.key("kid"))[:KID_LENGTH].decode().lower()

    def _other(self, root: bytes | str) -> Keyring:
        other = object.__new__(Keyring)
        other._use(_seed(root, "one of old_secrets"))
        other._ref, other.old = self._ref, ()
        return other

    def key(self, label: str, length: int = 32) -> bytes:
        """The key for one purpose, as ``otp-mac``. Same root and label, same key; 1 to 255 * 32 bytes."""
        return _derive(self._seed, label, length)

    def reference(self, text: str) -> str:
        """A 26-character stand-in for personal data in key names (128 bits, keyed: not reversible by enumeration)."""
        digest = hmac.digest(self._ref, text.encode(), hashlib.sha256)
        return b32encode(digest[:17])[:26].decode().lower()

    def __repr__(self) -> str:
        return "Keyring(...)"


def _seed(root: bytes | str, name: str) -> bytes:
    with bounds.options():
        raw = check.secret(name, root, _SHORTEST_ROOT)
    return hmac.digest(_SALT, raw, hashlib.sha256)


def _derive(seed: bytes, label: str, length: int) -> bytes:
    block, out, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(seed, block + label.encode() + bytes([counter]), hashlib.sha256)
        out += block
        counter += 1
    return out[:length]
