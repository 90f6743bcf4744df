"""What was verified already: a signature costs more than a round trip, and clients show one token many times."""

from __future__ import annotations

import hashlib
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST = 10_000


class SignatureCache(Generic[T]):
    """What is known of tokens whose signature was good, by SHA-256 of the exact text: no token stays in memory.

    Only what can never change is remembered: times and revocation are looked at on every check. Two generations: when
    the young one has half of ``most``, it becomes the old one, and what was in the old one and is not asked for again
    is gone. So a hit changes nothing and needs no lock (a lock and a reordering cost a quarter of a bounded check).
    """

    def __init__(self, most: int = _MOST) -> None:
        self._half = max(1, most // 2)
        self._young: dict[bytes, T] = {}
        self._old: dict[bytes, T] = {}

    def get(self, token: str) -> T | None:
        """What is known, if this very text was verified before."""
        name = _name(token)
        known = self._young.get(name)
        if known is None and (known := self._old.get(name)) is not None:
            self._keep(name, known)
        return known

    def put(self, token: str, known: T) -> None:
        """Remember a verified token."""
        self._keep(_name(token), known)

    def _keep(self, name: bytes, known: T) -> None:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[name] = known

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


def _name(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
