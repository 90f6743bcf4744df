"""What the console signs: cookies of people who signed in, and the tokens in its forms."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64

from hustlex.core.op import AsyncDriver
from hustlex.dashboard import ops

_DAY_S = 86_400


class Signer:
    """Signs and verifies under one key, which lies in Redis: consoles agree, and restarts sign nobody out."""

    def __init__(self, driver: AsyncDriver, prefix: str) -> None:
        self._driver = driver
        self._prefix = prefix
        self._key = b""

    async def ready(self) -> None:
        """Fetch the key, once. Raises Unavailable."""
        if not self._key:
            self._key = await self._driver.run(ops.signing_key(self._prefix, secrets.token_bytes(32)))

    def sealed(self, text: bytes) -> str:
        """Text that only we can have written. It can be read."""
        return f"{_coded(text)}.{_coded(self._mac(b'cookie', text))}"

    def opened(self, sealed: str) -> bytes | None:
        """The text of ``sealed``; None for what we did not write."""
        try:
            text, mac = map(urlsafe_b64decode, sealed.encode("ascii").split(b".", 1))
        except (ValueError, NotBase64):
            return None
        return text if self._key and hmac.compare_digest(mac, self._mac(b"cookie", text)) else None

    def form_token(self, who: str, day: int | None = None) -> str:
        """What a form of ours carries, for one person and day."""
        today = int(time.time() // _DAY_S) if day is None else day
        return _coded(self._mac(b"form", f"{today}:{who}".encode()))

    def is_form_token(self, token: str, who: str) -> bool:
        """Whether we gave this token to this person, today or yesterday."""
        today = int(time.time() // _DAY_S)
        return any(
            hmac.compare_digest(token.encode(), self.form_token(who, day).encode()) for day in (today, today - 1)
        )

    def _mac(self, purpose: bytes, text: bytes) -> bytes:
        return hmac.digest(self._key, purpose + b"\0" + text, hashlib.sha256)


def _coded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode()
