"""Random names, drawn where a call starts."""

from __future__ import annotations

import os
import secrets

_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
_DRAWN = 128
_stock: list[str] = []
os.register_at_fork(after_in_child=_stock.clear)


def new_id() -> str:
    """A task id: UUIDv4 text, as Asynq makes it.

    128 at a time are drawn from the system: between two calls to the server, one question to the kernel costs 5 us.
    A forked process draws its own.
    """
    while True:
        try:
            return _stock.pop()
        except IndexError:
            _stock.extend(_uuid4(os.urandom(16).hex()) for _ in range(_DRAWN))


def _uuid4(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"


def new_token() -> str:
    """Names one enqueue call, so that the server knows it when it is repeated: 12 characters, 72 bits."""
    return secrets.token_urlsafe(9)
