"""What all processes counted of their caches: each adds what is new, with a read that it sends anyway.

There is one hash for five minutes of the clock, so what is kept is bounded however many processes there are and however
often they are started; and it says nothing of who counted. Processes' clocks choose the hash: one that is wrong by
minutes counts for other minutes.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from weakref import ref

from hustlex.cache import ops
from hustlex.cache.counts import Counts
from hustlex.cache.stats import Stats, of_numbers
from hustlex.core.op import Batch, Flow, Op
from hustlex.core.time import Clock
from hustlex.errors import Error

EVERY_S = 10.0
"""A process reports so often at most."""
LAST = timedelta(hours=1)
_PART_MS = 300_000
_PARTS = LAST // timedelta(milliseconds=_PART_MS)
_KEEP_MS = (_PARTS + 2) * _PART_MS
_MOST_FIELDS = 5_000
_MANY = 256


class FleetTally:
    """Of one front."""

    def __init__(self, prefix: str, clock: Clock, monotonic: Callable[[], float]) -> None:
        self._prefix = prefix
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._watched: list[tuple[ref[Any], Counts]] = []
        self._many = _MANY
        self._news: Counter[str] = Counter()
        self._due = monotonic() + EVERY_S

    def watch(self, cache: object, counts: Counts) -> None:
        """Report these, too; once more after the cache is gone."""
        with self._lock:
            if len(self._watched) >= self._many:
                self._gather()
                self._many = max(_MANY, 2 * len(self._watched))
            self._watched.append((ref(cache), counts))

    def riding(self, timeout_ms: int) -> tuple[Op[Any], ...]:
        """The report, when it is time for one, to go with operations that wait no longer than this; whoever sends it
        need not look at its answer: a lost one is lost."""
        if self._monotonic() < self._due:
            return ()
        with self._lock:
            self._due = self._monotonic() + EVERY_S
            self._gather()
            news, self._news = self._news, Counter()
        if not news:
            return ()
        return (ops.report(_key(self._prefix, _part(self._clock)), _KEEP_MS, _MOST_FIELDS, news, timeout_ms),)

    def _gather(self) -> None:
        for _, counts in self._watched:
            self._news.update({f"{counts.name} {what}": times for what, times in counts.news().items()})
        self._watched = [each for each in self._watched if each[0]() is not None]


def fleet(prefix: str, clock: Clock) -> Flow[dict[str, Stats]]:
    """What all processes counted lately, by cache. Raises Unavailable."""
    now = _part(clock)
    answers = yield Batch(tuple(ops.counted(_key(prefix, now - back)) for back in range(_PARTS + 1)))
    total: dict[str, Counter[str]] = {}
    for answer in answers:
        if isinstance(answer, Error):
            raise answer
        for field, times in answer.items():
            name, _, what = field.partition(" ")
            total.setdefault(name, Counter())[what] += times
    return {name: of_numbers(numbers) for name, numbers in sorted(total.items())}


def _part(clock: Clock) -> int:
    return (clock() or time.time_ns() // 1_000_000) // _PART_MS


def _key(prefix: str, part: int) -> str:
    return f"{prefix}cs:{part}"
