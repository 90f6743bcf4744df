"""Random names, drawn where a call starts."""

from __future__ import annotations

import os
import secrets
import struct
from time import monotonic

_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
_DRAWN = 128
_SET_S = 8.0
"""For so long calls are noted in one set, which the server keeps for 10 s after the last of them."""
_SET_CALLS = 500
"""And so many: up to 512 numbers are 8 bytes each to the server (set-max-intset-entries), more of them 40."""
_SET_LETTERS = 8
_LEAST = 10**17

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
            digits = os.urandom(16 * _DRAWN).hex()
            _stock.extend(_uuid4(digits[at : at + 32]) for at in range(0, len(digits), 32))


def _uuid4(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"


class _Tokens:
    """A stock of names for calls, and the name of the set in which they are noted."""

    def __init__(self) -> None:
        self._set, self._ends, self._room = "", 0.0, 0
        self._calls: list[str] = []

    def draw(self) -> str:
        now = monotonic()
        if self._room <= 0 or now >= self._ends:
            self._set, self._ends, self._room = secrets.token_urlsafe(6), now + _SET_S, _SET_CALLS
        self._room -= 1
        while True:
            try:
                return self._set + self._calls.pop()
            except IndexError:
                numbers = struct.unpack(f"{_DRAWN}Q", os.urandom(8 * _DRAWN))
                self._calls.extend(str(_LEAST + number % (9 * _LEAST)) for number in numbers)

    def forget(self) -> None:
        """In a forked process, which draws its own."""
        self._ends = 0.0
        self._calls.clear()


_tokens = _Tokens()
os.register_at_fork(after_in_child=_tokens.forget)


def new_token() -> str:
    """Names one enqueue call, so that the server knows it when it is repeated: 8 letters for the set in which it is
    noted, and a number of 18 digits for the call, nearly 60 bits.
    """
    return _tokens.draw()


def nth(token: str, n: int) -> str:
    """The name of one of several calls that belong together, noted in the same set."""
    call = token[_SET_LETTERS:]
    return token[:_SET_LETTERS] + str(int(call) + n) if call.isdecimal() else f"{token}{n}"
