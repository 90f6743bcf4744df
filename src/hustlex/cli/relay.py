"""What a child writes, as lines: of any bytes, of any length, and never more than one line kept in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hustlex.core.printable import printable

LONGEST = 64 * 1024
"""Bytes of one line; a longer one comes in pieces."""


class Relay(asyncio.Protocol):
    """The reading end of a child's output. ended: set when everything that held the other end is gone."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._rest = bytearray()
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Pass on the lines that are complete."""
        self._rest += data
        *lines, rest = self._rest.split(b"\n")
        self._rest = rest
        for line in lines:
            self._pass(line)
        while len(self._rest) >= LONGEST:
            end = _whole(self._rest, LONGEST)
            self._pass(self._rest[:end])
            del self._rest[:end]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the end is the end
        """Pass on what had no newline."""
        if self._rest:
            self._pass(self._rest)
        self.ended.set()

    def _pass(self, line: bytearray) -> None:
        start = 0
        while True:
            end = _whole(line, start + LONGEST)
            self._say(printable(line[start:end].decode(errors="backslashreplace").rstrip()))
            start = end
            if start >= len(line):
                return


def _whole(line: bytearray, end: int) -> int:
    """The same end, or up to 3 bytes earlier where it would cut a character of UTF-8."""
    for back in range(4):
        if end - back >= len(line) or line[end - back] & 0xC0 != 0x80:
            return min(end - back, len(line))
    return end
