"""The slow hash: Argon2id over a keyed digest of user and PIN. Pure, and meant to be slow.

A PIN has so few values that no hash alone protects it: whoever has the verifiers can try them all. The key (pepper)
comes from the secret, which is not in the database, so the verifiers alone are worth nothing; the slow hash is for the
day when both leak. The user is part of the digest: a verifier copied to another user's row fits nobody.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

import msgspec

from hustlex.core import check
from hustlex.core.keyring import KID, Keyring
from hustlex.core.later import Later
from hustlex.errors import ConfigurationError, Misuse
from hustlex.pins.options import PinOptions

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.kdf import argon2
else:
    argon2 = Later("cryptography.hazmat.primitives.kdf.argon2")

SALT_BYTES = 16
_HASH_BYTES = 32
_DEAREST_KIB = 2**20
_MOST_PASSES = 10
# The form of the PHC string format, as other Argon2 libraries write it; the password in it is the keyed digest.
_VERIFIER = re.compile(
    rf"\$argon2id\$v=19\$m=(\d{{1,7}}),t=(\d{{1,2}}),p=1,keyid=({KID})\$([A-Za-z0-9+/]{{22}})\$([A-Za-z0-9+/]{{43}})",
    re.ASCII,
)


class Verifier(msgspec.Struct, frozen=True):
    """A stored verifier, read. kid: of the secret it was made with."""

    memory_kib: int
    passes: int
    kid: str
    salt: bytes
    digest: bytes

    def __repr__(self) -> str:
        return "Verifier(...)"

    def weaker_than(self, options: PinOptions) -> bool:
        """Whether the options ask for more."""
        return self.memory_kib < options.memory_kib or self.passes < options.passes


def read_verifier(stored: str) -> Verifier:
    """Raises Misuse for what this room never wrote, or what would cost too much to compare."""
    found = _VERIFIER.fullmatch(check.typed("stored", stored))
    if found:
        memory_kib, passes = int(found[1]), int(found[2])
        if 8 <= memory_kib <= _DEAREST_KIB and 1 <= passes <= _MOST_PASSES:
            return Verifier(memory_kib, passes, found[3], _bytes(found[4]), _bytes(found[5]))
    raise Misuse("this is not a verifier that pins.hash returned", hint="store its text whole, 115 characters or so")


class Hasher:
    """Everything that needs the keyring, with the key derived once. kid: names the secret of new verifiers."""

    def __init__(self, keyring: Keyring) -> None:
        self.kid = keyring.kid
        self._by_kid = {self.kid: self} | {old.kid: Hasher(old) for old in keyring.old}
        self._pepper = keyring.key("pin-pepper")

    def under(self, kid: str) -> Hasher:
        """The same with the secret of this name. Raises ConfigurationError when it is not listed."""
        found = self._by_kid.get(kid)
        if found is None:
            raise ConfigurationError(
                "this PIN's verifier was made with a secret that is not listed",
                hint="add it to old_secrets, see docs/guides/secrets.md",
            )
        return found

    def write(self, user_id: str, pin: str, options: PinOptions, salt: bytes) -> str:
        """A new verifier. salt: 16 random bytes."""
        digest = self._digest(user_id, pin, salt, options.memory_kib, options.passes)
        cost = f"m={options.memory_kib},t={options.passes},p=1"
        return f"$argon2id$v=19${cost},keyid={self.kid}${_text(salt)}${_text(digest)}"

    def matches(self, user_id: str, pin: str, verifier: Verifier) -> bool:
        """Whether this is the user's PIN."""
        digest = self._digest(user_id, pin, verifier.salt, verifier.memory_kib, verifier.passes)
        return hmac.compare_digest(digest, verifier.digest)

    def _digest(self, user_id: str, pin: str, salt: bytes, memory_kib: int, passes: int) -> bytes:
        message = f"{pin}\0{user_id}".encode("utf-8", "surrogatepass")
        peppered = hmac.digest(self._pepper, message, hashlib.sha256)
        slow = argon2.Argon2id(salt=salt, length=_HASH_BYTES, iterations=passes, lanes=1, memory_cost=memory_kib)
        return slow.derive(peppered)

    def __repr__(self) -> str:
        return "Hasher(...)"


def _text(raw: bytes) -> str:
    return b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4))
