"""Purpose keys from one root secret: HKDF-SHA-256 (RFC 5869), one label per use, so that no key serves two ends."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b32encode

from hustlex.errors import ConfigurationError

_SHORTEST_ROOT = 32
_SALT = b"hustlex-keyring-1"


class Keyring:
    """Derives keys by label. The root secret (at least 32 bytes) is never stored in Redis and never shown."""

    def __init__(self, root: bytes | str) -> None:
        raw = root.encode() if isinstance(root, str) else bytes(root)
        if len(raw) < _SHORTEST_ROOT:
            raise ConfigurationError(
                f"the secret must have at least {_SHORTEST_ROOT} bytes, not {len(raw)}",
                hint="make one with: python -c 'import secrets; print(secrets.token_hex(32))'",
            )
        self._seed = hmac.digest(_SALT, raw, hashlib.sha256)
        self._ref = self.key("ref")

    def key(self, label: str, length: int = 32) -> bytes:
        """The key for one purpose, as ``otp-mac``. Same root and label, same key; 1 to 255 * 32 bytes."""
        block, out, counter = b"", b"", 1
        while len(out) < length:
            block = hmac.digest(self._seed, block + label.encode() + bytes([counter]), hashlib.sha256)
            out += block
            counter += 1
        return out[:length]

    def reference(self, text: str) -> str:
        """A 26-character stand-in for personal data in key names (128 bits, keyed: not reversible by enumeration)."""
        digest = hmac.digest(self._ref, text.encode(), hashlib.sha256)
        return b32encode(digest[:17])[:26].decode().lower()

    def __repr__(self) -> str:
        return "Keyring(...)"
