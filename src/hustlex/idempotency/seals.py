"""The room's cryptography: fingerprints of requests, sealed answers. Pure.

Both are keyed: a request may hold a PIN and little else that cannot be guessed, so its plain hash could be searched.
"""

from __future__ import annotations

import hashlib
import hmac
import zlib
from typing import TYPE_CHECKING

import msgspec

from hustlex.core.keyring import KID_LENGTH, Keyring
from hustlex.core.later import Later
from hustlex.errors import BadReply
from hustlex.idempotency.canonical import canonical
from hustlex.idempotency.multipart import parts_of
from hustlex.idempotency.names import Scope
from hustlex.idempotency.types import Response

if TYPE_CHECKING:
    from cryptography import exceptions
    from cryptography.hazmat.primitives.ciphers import aead
else:
    exceptions = Later("cryptography.exceptions")
    aead = Later("cryptography.hazmat.primitives.ciphers.aead")

NONCE_BYTES = 12
_HEAD = KID_LENGTH + NONCE_BYTES
_WORTH_COMPRESSING = 256
_SMALL = 4096
_MOST_INFLATED = 4 * 2**20
_DEFLATED = b"\x01"
"""Stands before a compressed content; any other begins with the head of an array."""


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    body: bytes
    headers: tuple[tuple[str, str], ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Sealed).decode


class Seals:
    """Everything that needs the keyring, with the keys derived once. kid: names the secret of new prints and seals."""

    def __init__(self, keyring: Keyring) -> None:
        self.kid = keyring.kid
        self._by_kid = {self.kid: self} | {old.kid: Seals(old) for old in keyring.old}
        self._print_key = keyring.key("idem-print")
        self._seal_key = keyring.key("idem-seal")

    def under(self, kid: str) -> Seals | None:
        """The same with the secret of this name, if it is listed."""
        return self._by_kid.get(kid)

    def fingerprint(self, scope: Scope, body: bytes, content_type: str) -> bytes:
        """What a request asks, a kid, a colon and 32 bytes: method, route, principal, target and body; JSON in any
        order of names, and multipart under any boundary."""
        kind, content = _content(body, content_type)
        parts = (scope.method.upper(), scope.route, str(scope.principal), scope.target, kind)
        head = "".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")
        return self.kid.encode() + b":" + hmac.digest(self._print_key, head + content, hashlib.sha256)

    def seal(self, response: Response, record: str, nonce: bytes) -> bytes:
        """Body and headers, compressed and encrypted for this record and status. nonce: 12 random bytes."""
        content = _deflated(_encode(_Sealed(response.body, response.headers)))
        return self.kid.encode() + nonce + self._cipher(record).encrypt(nonce, content, _bound(response.status))

    def unseal(self, sealed: bytes, record: str, status: int, *, whole: bool = True) -> Response:
        """Raises BadReply when it was sealed for another record or status, with a secret that is not listed, or changed
        since."""
        kid, nonce, cipher = sealed[:KID_LENGTH], sealed[KID_LENGTH:_HEAD], sealed[_HEAD:]
        seals = self._by_kid.get(kid.decode("latin-1"))
        if seals is None:
            raise unlisted()
        try:
            content = _decode(_inflated(seals._cipher(record).decrypt(nonce, cipher, _bound(status))))
        except (exceptions.InvalidTag, ValueError, zlib.error, msgspec.MsgspecError):
            raise BadReply("the stored answer cannot be opened", hint="was it moved or changed since?") from None
        return Response(status, content.body, content.headers, whole)

    def _cipher(self, record: str) -> aead.AESGCM:
        # A key for each record: however many answers are sealed, no key comes near the number of random nonces
        # after which AES-GCM may see one twice.
        return aead.AESGCM(hmac.digest(self._seal_key, record.encode("utf-8", "surrogatepass"), hashlib.sha256))

    def __repr__(self) -> str:
        return "Seals(...)"


def unlisted() -> BadReply:
    """Of what can only be read with a secret that this process does not have."""
    return BadReply(
        "the record was made with a secret that is not listed", hint="add it to old_secrets, see docs/guides/secrets.md"
    )


def _deflated(content: bytes) -> bytes:
    """Compressed where that saves something. A small window does for small answers, at a fifth of the time."""
    if not _WORTH_COMPRESSING < len(content) <= _MOST_INFLATED:
        return content
    bits, memory = (-12, 5) if len(content) <= _SMALL else (-15, 8)
    machine = zlib.compressobj(3, zlib.DEFLATED, bits, memory)
    packed = _DEFLATED + machine.compress(content) + machine.flush()
    return packed if len(packed) < len(content) else content


def _inflated(content: bytes) -> bytes:
    """As it was; never more than 4 MiB, whatever it claims. Raises ValueError and zlib.error."""
    if content[:1] != _DEFLATED:
        return content
    machine = zlib.decompressobj(-15)
    whole = machine.decompress(content[1:], _MOST_INFLATED)
    if not machine.eof:
        raise ValueError("cut off, or larger than any answer")
    return whole


def _bound(status: int) -> bytes:
    return b"idem-answer\0%d" % status


def _content(body: bytes, content_type: str) -> tuple[str, bytes]:
    """How a body was read, and what is compared of it."""
    media = content_type.partition(";")[0].strip().lower()
    if media in ("", "application/json") or media.endswith("+json"):
        json = canonical(body)
        return ("raw", body) if json is None else ("json", json)
    if media.startswith("multipart/"):
        parts = parts_of(body, content_type)
        return ("raw", body) if parts is None else (media, parts)
    return "raw", body
