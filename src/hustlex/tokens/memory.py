"""What was verified already: a signature costs more than a round trip, and clients show one token many times."""

from __future__ import annotations

import hashlib
import threading

from hustlex.tokens.jwt import Claims

_MOST = 10_000


class Memory:
    """Claims of tokens whose signature was good, by SHA-256 of the exact text; the least recently used leave first.

    Only what can never change is remembered: times and revocation are looked at on every check. Safe between threads.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._claims: dict[bytes, Claims] = {}
        self._lock = threading.Lock()

    def get(self, token: str) -> Claims | None:
        """The claims, if this very text was verified before."""
        name = _name(token)
        with self._lock:
            claims = self._claims.pop(name, None)
            if claims is not None:
                self._claims[name] = claims
            return claims

    def put(self, token: str, claims: Claims) -> None:
        """Remember a verified token."""
        with self._lock:
            self._claims[_name(token)] = claims
            if len(self._claims) > self._most:
                del self._claims[next(iter(self._claims))]

    def __len__(self) -> int:
        return len(self._claims)


def _name(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
