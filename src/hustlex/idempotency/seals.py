"""The room's cryptography: fingerprints of requests, sealed answers. Pure.

Both are keyed: a request may hold a PIN and little else that cannot be guessed, so its plain hash could be searched.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hustlex.core.keyring import Keyring
from hustlex.errors import BadReply
from hustlex.idempotency.canonical import canonical
from hustlex.idempotency.names import Scope
from hustlex.idempotency.types import Response

NONCE_BYTES = 12


class _Content(msgspec.Struct, frozen=True, array_like=True):
    body: bytes
    headers: tuple[tuple[str, str], ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Content).decode


class Seals:
    """Everything that needs the keyring, with the keys derived once."""

    def __init__(self, keyring: Keyring) -> None:
        self._print_key = keyring.key("idem-print")
        self._seal_key = keyring.key("idem-seal")

    def fingerprint(self, scope: Scope, body: bytes, content_type: str) -> str:
        """What a request asks, 64 hex digits: method, route, principal, target and body; JSON in any order of names."""
        media = content_type.partition(";")[0].strip().lower()
        json = canonical(body) if media in ("", "application/json") or media.endswith("+json") else None
        kind, content = ("raw", body) if json is None else ("json", json)
        parts = (scope.method.upper(), scope.route, scope.principal, scope.target, kind)
        head = "".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")
        return hmac.digest(self._print_key, head + content, hashlib.sha256).hex()

    def seal(self, response: Response, record: str, nonce: bytes) -> bytes:
        """Body and headers, encrypted for this record and status. nonce: 12 random bytes."""
        content = _encode(_Content(response.body, response.headers))
        return nonce + self._cipher(record).encrypt(nonce, content, _bound(response.status))

    def unseal(self, sealed: bytes, record: str, status: int, *, whole: bool = True) -> Response:
        """Raises BadReply when it was sealed for another record or status, with another secret, or changed since."""
        try:
            plain = self._cipher(record).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound(status))
            content = _decode(plain)
        except (InvalidTag, ValueError, msgspec.MsgspecError):
            raise BadReply("the stored answer cannot be opened", hint="was the secret changed since?") from None
        return Response(status, content.body, content.headers, whole)

    def _cipher(self, record: str) -> AESGCM:
        # A key for each record: however many answers are sealed, no key comes near the number of random nonces
        # after which AES-GCM may see one twice.
        return AESGCM(hmac.digest(self._seal_key, record.encode("utf-8", "surrogatepass"), hashlib.sha256))

    def __repr__(self) -> str:
        return "Seals(...)"


def _bound(status: int) -> bytes:
    return b"idem-answer\0%d" % status
