"""The room's cryptography: codes derived from a seed, MACs, sealed phones, grant secrets. Pure.

A code has only a million values, so nothing stored may allow trying them: Redis sees a random seed, which is worth
nothing without the derivation key, and keyed MACs, which are worth nothing without the MAC key.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import re
import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING

from hustlex.core.keyring import KID_LENGTH, Keyring
from hustlex.core.later import Later
from hustlex.errors import BadReply

if TYPE_CHECKING:
    from cryptography import exceptions
    from cryptography.hazmat.primitives.ciphers import aead
else:
    exceptions = Later("cryptography.exceptions")
    aead = Later("cryptography.hazmat.primitives.ciphers.aead")

_NONCE_BYTES = 12
_SEED_BYTES = 16
_RAW, _TEXT = b":", b"."
"""What stands behind the kid of a seal: bytes follow, or letters."""
_LONGEST_INPUT = 64
_LIST_IT = "add it to old_secrets, see docs/guides/secrets.md"
_DROPPED = frozenset({"Zs", "Pd", "Cf", "Cc"})
_E164 = re.compile(r"\+[0-9]{5,15}", re.ASCII)
_REF_LETTERS = "CDFGHJKMNPRTWXY"


class Hmac:
    """HMAC-SHA-256 with one key, whose two blocks are hashed once: 0.6 us a digest where ``hmac.digest`` takes 1.6."""

    def __init__(self, key: bytes) -> None:
        self._inner, self._outer = (
            hashlib.sha256(bytes(byte ^ pad for byte in key.ljust(64, b"\0"))) for pad in (0x36, 0x5C)
        )

    def digest(self, message: bytes) -> bytes:
        """32 bytes."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()

    def __repr__(self) -> str:
        return "Hmac(...)"


class Codes:
    """Everything that needs the keyring, with the keys derived once. plain: phones stand for themselves in names.

    kid: names the secret that all but ``unseal`` uses.
    """

    def __init__(self, keyring: Keyring, *, plain: bool = False) -> None:
        self.kid = keyring.kid
        self._by_kid = {self.kid: self} | {old.kid: Codes(old, plain=plain) for old in keyring.old}
        self._reference = keyring.reference
        self._plain = plain
        self._derive = Hmac(keyring.key("otp-derive"))
        self._mac = Hmac(keyring.key("otp-mac"))
        self._seal = aead.AESGCM(keyring.key("pii-seal"))

    def under(self, kid: str) -> Codes | None:
        """The same with the secret of this name, if it is listed."""
        return self._by_kid.get(kid)

    @property
    def alone(self) -> bool:
        """Whether one secret is all there is."""
        return len(self._by_kid) == 1

    def reference(self, phone: str) -> str:
        """What stands for a phone (E.164), or another subject, in key names and challenges."""
        return phone if self._plain and _E164.fullmatch(phone) else self._reference(phone)

    def hidden(self, text: str) -> str:
        """A keyed stand-in for personal data, whatever the layout."""
        return self._reference(text)

    def code(self, seed: bytes, generation: int, digits: int) -> str:
        """The code of one generation, uniform: words of the keyed stream above the last full multiple are skipped."""
        limit = 2**64 // 10**digits * 10**digits
        head = b"otp-code\0" + seed + generation.to_bytes(4, "big")
        for counter in itertools.count():
            block = self._derive.digest(head + counter.to_bytes(4, "big"))
            for at in range(0, 32, 8):
                word = int.from_bytes(block[at : at + 8], "big")
                if word < limit:
                    return str(word % 10**digits).zfill(digits)
        raise AssertionError("unreachable")

    def mac(self, bound_to: str, purpose: str, context: str, code: str) -> bytes:
        """What Redis compares: 16 bytes over the code and all it is bound to."""
        return self._keyed("otp-mac", bound_to, purpose, context, code)[:16]

    def nonce_mark(self, nonce: str, mac: bytes) -> str:
        """Recognises a repeated call by its nonce, together with the code it carried; "" without a nonce."""
        return self._keyed("otp-nonce", nonce, mac.hex())[:16].hex() if nonce else ""

    def secret(self, label: str, mac: bytes, salt: str) -> str:
        """A secret that a right code earns, 22 characters. The same salt: the same one, kept nowhere."""
        return text_of(self._keyed(label, mac.hex(), salt)[:16])

    def seal(self, text: str, ref: str, nonce: bytes) -> bytes:
        """A phone, encrypted for the records of this ref alone. nonce: 12 random bytes, never twice."""
        return self.kid.encode() + _RAW + nonce + self._seal.encrypt(nonce, text.encode(), _bound(ref))

    def unseal(self, sealed: bytes, ref: str) -> str:
        """Raises BadReply when it was sealed for another ref, with a secret that is not listed, or changed since."""
        try:
            raw = _raw(sealed)
            plain = self.sealer(sealed)._seal.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound(ref))
        except (exceptions.InvalidTag, ValueError):
            raise BadReply("what is stored cannot be opened", hint="was it sealed for somebody else?") from None
        return plain.decode()

    def sealer(self, sealed: bytes) -> Codes:
        """Those that sealed it. Raises BadReply when their secret is not listed."""
        codes = self.under(sealed[:KID_LENGTH].decode("latin-1"))
        if codes is None:
            raise BadReply("what is stored was sealed with a secret that is not listed", hint=_LIST_IT)
        return codes

    def _keyed(self, label: str, *parts: str) -> bytes:
        return self._mac.digest("\0".join((label, *parts)).encode("utf-8", "surrogatepass"))

    def __repr__(self) -> str:
        return "Codes(...)"


def sealed_text(sealed: bytes) -> str:
    """A seal as text, for applications to keep."""
    return sealed[:KID_LENGTH].decode() + _TEXT.decode() + text_of(_raw(sealed))


def _raw(sealed: bytes) -> bytes:
    """Nonce and ciphertext; seals of the version before, and those of authenticators, are text. Raises ValueError."""
    kind, raw = sealed[KID_LENGTH : KID_LENGTH + 1], sealed[KID_LENGTH + 1 :]
    return raw if kind == _RAW else bytes_of(raw.decode("ascii"))


def seed_of(kept: bytes) -> bytes:
    """A seed as records hold it; those of the version before in letters."""
    return kept if len(kept) == _SEED_BYTES else bytes_of(kept.decode("ascii"))


def _bound(ref: str) -> bytes:
    return b"otp-to\0" + ref.encode()


def typed_digits(text: str, digits: int) -> str | None:
    """The ASCII digits of a code as typed: blanks, dashes and invisible characters dropped, digits of any script read.

    None when that does not leave exactly ``digits`` digits.
    """
    if len(text) == digits and text.isascii() and text.isdigit():
        return text
    if len(text) > _LONGEST_INPUT:
        return None
    kept = [c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) not in _DROPPED]
    values = [unicodedata.decimal(c, None) for c in kept]
    if len(values) != digits or None in values:
        return None
    return "".join(str(value) for value in values)


def same(one: str, other: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def short_ref(cid: str) -> str:
    """Three letters by which a person tells codes apart: no vowels, none that look like another sign."""
    number = int.from_bytes(hashlib.sha256(cid.encode()).digest()[:8], "big")
    return "".join(_REF_LETTERS[number // 15**place % 15] for place in range(3))


def text_of(raw: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def bytes_of(text: str) -> bytes:
    """The inverse of text_of. Raises ValueError."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
