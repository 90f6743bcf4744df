"""What a driver counts of its connections. All of it is rare: a call that goes well counts nothing."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from hustlex.core.link import LinkFigures

What = Literal["open", "busy", "dialled", "failed", "repeated"]
_SHEDDING_S = 5.0
"""For so long after the last call that failed at once the server counts as left alone."""


class LinkTally:
    """Of one driver, or of one pool; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[What] = Counter()
        self._shed_at = float("-inf")

    def add(self, what: What, times: int = 1) -> None:
        """So many more; open and busy may become fewer."""
        with self._lock:
            self._counts[what] += times

    def opened(self) -> bool:
        """A connection was: True, it is counted."""
        self.add("dialled")
        self.add("open")
        return True

    def ended(self) -> bool:
        """One that was counted: False, it is no more."""
        self.add("open", -1)
        return False

    def shed(self) -> None:
        """A call failed at once, since the server has been away for long."""
        self._shed_at = time.monotonic()

    def figures(self) -> LinkFigures:
        """As of now."""
        with self._lock:
            counts = self._counts.copy()
        return LinkFigures(
            open=counts["open"],
            busy=counts["busy"],
            dialled=counts["dialled"],
            failed=counts["failed"],
            repeated=counts["repeated"],
            shedding=time.monotonic() - self._shed_at < _SHEDDING_S,
        )


def together(tallies: Iterable[LinkTally], busy: int) -> LinkFigures:
    """The sum of several. busy: counted elsewhere."""
    found = [tally.figures() for tally in tallies]
    return LinkFigures(
        open=sum(each.open for each in found),
        busy=busy,
        dialled=sum(each.dialled for each in found),
        failed=sum(each.failed for each in found),
        repeated=sum(each.repeated for each in found),
        shedding=any(each.shedding for each in found),
    )
