"""Keys of all servers, gone through a page at a time: where no room keeps a list of what an operator asks for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from hustlex.core import check
from hustlex.core.op import Effect, Flow, Op, Part, Reply, command
from hustlex.errors import Misuse

T = TypeVar("T")

PER_STEP, _PER_LOOK = 500, 250
_MOST_MATCHING, _ENOUGH = 1_000, 100
"""Of one page: keys that are looked at more closely, and those that are found; one step more may add to either."""
_CURSOR_END = "0"
_LONGEST_CURSOR = 26
_CURSOR = re.compile(r"([0-9]{1,5})-([0-9]{1,20})")


class Walked(msgspec.Struct, Generic[T], frozen=True):
    """A page. cursor: where to go on, "" when all keys were looked at. looked_at: at how many, about."""

    found: list[T]
    cursor: str
    looked_at: int


def literal(text: str) -> str:
    """Of a pattern: each character as it is."""
    return "".join(f"\\{letter}" if letter in "*?[]^\\" else letter for letter in text)


def walk(room: str, pattern: str, cursor: str, look: Callable[[list[str]], Op[list[T]]], most: int) -> Flow[Walked[T]]:
    """Go through the servers' keys until enough was seen; hashes that match are looked at where they are.

    look: asks about some names, which lie on the server that is asked. most: keys of a page, 500 a step. Raises Misuse
    for a cursor that was not given out.
    """
    (part, at), looked, matching, found = _place(cursor), 0, 0, list[T]()
    while at == _CURSOR_END or (looked < most and matching < _MOST_MATCHING and len(found) < _ENOUGH):
        step = yield Part(_scan(room, pattern, at), part)
        if step is None:
            return Walked(found, "", looked)
        at, names = step
        looked, matching = looked + PER_STEP, matching + len(names)
        for n in range(0, len(names), _PER_LOOK):
            found += (yield Part(look(names[n : n + _PER_LOOK]), part)) or ()
        part += at == _CURSOR_END
    return Walked(found, f"{part}-{at}", looked)


def _scan(room: str, pattern: str, cursor: str) -> Op[tuple[str, list[str]]]:
    def decode(reply: Reply) -> tuple[str, list[str]]:
        at, names = reply
        return bytes(at).decode(), [bytes(name).decode("utf-8", "surrogateescape") for name in names]

    args = ("SCAN", cursor, "MATCH", pattern, "COUNT", PER_STEP, "TYPE", "hash")
    return command(f"{room}.scan", Effect.READ, *args, decode=decode)


def _place(cursor: str) -> tuple[int, str]:
    """Which part of the data, and how far in it. Raises Misuse for what was not given out."""
    found = _CURSOR.fullmatch(check.text("cursor", cursor, longest=_LONGEST_CURSOR, blank=True) or f"0-{_CURSOR_END}")
    if found is None:
        raise Misuse("this is no cursor", hint="pass the cursor of the page before")
    check.whole("cursor", int(found[2]), 0, 2**64 - 1)
    return int(found[1]), found[2]
