"""Random names, drawn where a call starts."""

from __future__ import annotations

import os
import secrets
from time import monotonic

_FORM = b"********-****-4***-?***-************ "
_PLACES = [place for place, digit in enumerate(_FORM) if digit == ord("*")]
_VARIANT = bytes.maketrans(b"0123456789abcdef", b"89ab" * 4)
_DRAWN = 128
_SET_S = 8.0
"""For so long calls are noted in one set, which the server keeps for 20 s from the first of them."""
_SET_CALLS = 500
"""And so many: up to 512 numbers are 8 bytes each to the server (set-max-intset-entries), more of them 40."""
_SET_LETTERS = 8
_COUNTS = [str(number) for number in range(100, 200)]
_ENDS = 10**15

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
            _stock.extend(_drawn_ids())


def _drawn_ids() -> list[str]:
    """Written digit by digit for all of them at once: one after the other they took four times as long."""
    digits, written = os.urandom(16 * _DRAWN).hex().encode(), bytearray(_FORM * _DRAWN)
    for number, place in enumerate(_PLACES):
        written[place :: len(_FORM)] = digits[number::32]
    written[_FORM.index(b"?") :: len(_FORM)] = digits[len(_PLACES) :: 32].translate(_VARIANT)
    return written.decode().split()


class _Tokens:
    """A stock of names for calls, made a hundred at a time: numbers that differ, with one random end, so that no name
    comes twice; and the name of the set in which they are noted.
    """

    def __init__(self) -> None:
        self._set, self._ends, self._room = "", 0.0, 0
        self._stock: list[str] = []

    def draw(self) -> str:
        if monotonic() < self._ends:
            try:
                return self._stock.pop()
            except IndexError:
                pass
        return self._more()

    def _more(self) -> str:
        now = monotonic()
        if self._room <= 0 or now >= self._ends:
            self._set, self._ends, self._room = secrets.token_urlsafe(6), now + _SET_S, _SET_CALLS
        self._room -= len(_COUNTS)
        name, end = self._set, f"{secrets.randbelow(_ENDS):015}"
        stock = f"{name}{f'{end} {name}'.join(_COUNTS)}{end}".split(" ")
        token, self._stock = stock.pop(), stock
        return token

    def forget(self) -> None:
        """In a forked process, which draws its own."""
        self._ends = 0.0
        self._stock = []


_tokens = _Tokens()
os.register_at_fork(after_in_child=_tokens.forget)


def new_token() -> str:
    """Names one enqueue call, so that the server knows it when it is repeated: 8 random letters for the set in which it
    is noted, and a number of 18 digits for the call: three that count, and 15 random ones, nearly 50 bits.
    """
    return _tokens.draw()


def nth(token: str, n: int) -> str:
    """The name of one of several calls that belong together, noted in the same set."""
    call = token[_SET_LETTERS:]
    return token[:_SET_LETTERS] + str(int(call) + n) if call.isdecimal() else f"{token}{n}"
