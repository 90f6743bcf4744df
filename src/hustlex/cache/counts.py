"""What a cache counts, and the one line it logs when the server goes away."""

from __future__ import annotations

import threading
from collections import Counter

from hustlex.cache.stats import Stats, numbers_of, summed
from hustlex.core.logs import logger
from hustlex.errors import Error

_BOUNDS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_LONGER = 60_000
_LOG = logger("hustlex.cache")


class Counts:
    """Counts of one named cache, or of the functions of one key template of it (whole: the cache's); safe between
    threads."""

    def __init__(self, name: str, whole: Counts | None = None) -> None:
        self.name = name
        self._told: Counter[str] = Counter()
        self._whole = whole
        self._templates: dict[str, Counts] = {}
        self._loads: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._tallies: dict[str, Counter[str]] = {
            kind: Counter() for kind in ("requests", "origin", "fill", "wait", "reject", "near", "calls")
        }
        self._reachable = True
        self.near = self.fresh = 0
        """Hits on copies in this process, and by the short way; by its one event loop alone, so without the lock."""
        self._warned_of_size = self._warned_of_circle = False

    def of_template(self, text: str) -> Counts:
        """Of one template; what is counted there is the cache's as well."""
        with self._lock:
            return self._templates.setdefault(text, Counts(self.name, self))

    def computed(self, took_ms: int) -> None:
        """A computation has ended well."""
        with self._lock:
            self._tallies["origin"]["ok"] += 1
            self._loads[next((bound for bound in _BOUNDS_MS if took_ms <= bound), _LONGER)] += 1

    def add(self, kind: str, what: str, times: int = 1) -> None:
        """One more of ``kind`` (a field of Stats, or calls)."""
        with self._lock:
            self._tallies[kind][what] += times

    def failed(self, error: Error) -> None:
        """The server did not answer, and the call was passed over. Logs once per outage, never a key."""
        self.add("calls", "failed")
        whole = self._whole or self
        if whole._reachable:
            whole._reachable = False
            _LOG.warning("cache %s: going on without the server: %s", self.name, error)

    def answered(self) -> None:
        """The server answered."""
        (self._whole or self)._reachable = True

    def too_big(self, size: int, most: int) -> None:
        """A value over ``max_value`` was not stored. Logs once per cache."""
        self.add("fill", "too_big")
        if not self._warned_of_size:
            self._warned_of_size = True
            _LOG.warning(
                "cache %s: a value of %d bytes is over max_value (%d) and is not stored", self.name, size, most
            )

    def circled(self) -> None:
        """A computation asked for what waits for it; it was computed without storing. Logs once per cache."""
        self.add("requests", "bypass")
        if not self._warned_of_circle:
            self._warned_of_circle = True
            _LOG.warning("cache %s: computations need each other's results; one is computed without storing", self.name)

    def news(self) -> dict[str, int]:
        """What was counted since it was asked for last; by one caller at a time."""
        now = Counter(numbers_of(self.snapshot()))
        new, self._told = now - self._told, now
        return dict(new)

    def snapshot(self) -> Stats:
        """All counts at one moment."""
        with self._lock:
            tallies = {kind: dict(tally) for kind, tally in self._tallies.items()}
            loads, templates = dict(self._loads), dict(self._templates)
        hits = {"near": self.near, "fresh": self.fresh + tallies["requests"].get("fresh", 0)}
        tallies["requests"] |= {how: times for how, times in hits.items() if times}
        calls = tallies.pop("calls")
        ends = {"failures": calls.get("failed", 0), "invalidations": calls.get("invalidated", 0)}
        own = Stats(**tallies, **ends, loads=loads)  # type: ignore[arg-type]
        return summed(own, {text: counts.snapshot() for text, counts in templates.items()})
