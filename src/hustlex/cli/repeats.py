"""A child that ends as soon as it is started writes the same each time: it is told once."""

from __future__ import annotations

import re
from collections.abc import Callable

_MOST = 500
"""Lines that are compared."""
_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+")
"""Times, process ids and addresses differ, whatever else is the same."""


class Repeats:
    """Between a child's lines and who is told of them. What could be the last life's words again waits for a
    difference, or for ``tell``."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._before: list[str] | None = None
        self._lines: list[str] = []
        self._held: list[str] = []

    def hear(self, line: str) -> None:
        """One more line."""
        position, shape = len(self._lines), _NUMBERS.sub("#", line)
        if position < _MOST:
            self._lines.append(shape)
        if self._before is not None and self._before[position : position + 1] == [shape]:
            self._held.append(line)
        else:
            self.tell()
            self._say(line)

    def tell(self) -> None:
        """It is no repetition, or lives: tell what waits, and all that comes."""
        held, self._held, self._before = self._held, [], None
        for line in held:
            self._say(line)

    def ended(self, *, again: bool) -> bool:
        """Whether this life said exactly what the one before had said; else all of it was told.

        again: it was short, and the next one may say the same.
        """
        same = bool(self._lines) and self._lines == self._before
        if same:
            self._held.clear()
        else:
            self.tell()
        self._before, self._lines = self._lines if again else None, []
        return same
