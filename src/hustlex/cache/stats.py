"""What a process counted of a cache, and what follows from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec

from hustlex.core import check

K = TypeVar("K")

_HITS = ("near", "fresh", "early", "stale", "negative")
_ENOUGH = 100
_POOR = 0.2
_QUICK_MS = 1


class Stats(msgspec.Struct, frozen=True):
    """Counts since this process declared the cache."""

    requests: dict[str, int]
    """Reads: near (a copy in this process), fresh, early (served, and computed anew), stale (the same, or instead of an
    error), negative (a cached None), miss, bypass (the server failed or refused the lease)."""
    origin: dict[str, int]
    """Computations: ok or error."""
    fill: dict[str, int]
    """Results: stored, refused (invalidated meanwhile), too_big, failed."""
    wait: dict[str, int]
    """Waits for another process: polled or timeout."""
    reject: dict[str, int]
    """Unreadable entries by reason."""
    near: dict[str, int]
    """Proofs of near copies: same or differed, see ``near_proof``."""
    failures: int
    """Calls that the server did not answer and that were passed over."""
    invalidations: int
    """Keys deleted."""
    loads: dict[int, int] = {}
    """Computations that ended well, by how many milliseconds they took at most: 1, 2, 5, 10 and so on; 60000 stands for
    more than 10 s."""
    templates: dict[str, Stats] = {}
    """Of the functions of each key template alone; their counts are in those of the cache."""

    @property
    def hit_ratio(self) -> float | None:
        """The part of the reads that were answered from what is stored; None before the first."""
        reads = sum(self.requests.values())
        return sum(self.requests.get(kind, 0) for kind in _HITS) / reads if reads else None

    @property
    def stale_ratio(self) -> float | None:
        """The part of the reads that got what was out of date; None before the first."""
        reads = sum(self.requests.values())
        return self.requests.get("stale", 0) / reads if reads else None

    def load_ms(self, part: float = 0.5) -> int | None:
        """How long a computation takes: so many milliseconds or less for this part of them (0.99: nearly all). None
        before the first. Raises Misuse."""
        wanted = check.number("part", part, 0, 1) * sum(self.loads.values())
        seen = 0
        for bound, times in sorted(self.loads.items()):
            seen += times
            if seen >= wanted:
                return bound
        return None

    def advice(self) -> list[str]:
        """What does not pay, one sentence each; nothing before a hundred reads."""
        parts = self.templates or {"": self}
        said = [f"{text}: {each}" if text else each for text, part in parts.items() for each in _of_reads(part)]
        return [*said, *_of_whole(self)]


def _of_reads(stats: Stats) -> Iterator[str]:
    ratio, load_ms = stats.hit_ratio, stats.load_ms()
    if ratio is None or sum(stats.requests.values()) < _ENOUGH:
        return
    if not ratio and stats.fill.get("stored", 0) >= _ENOUGH:
        yield "nothing that was stored was ever read: do not cache it"
    elif ratio < _POOR:
        yield f"{ratio:.0%} of the reads hit: a longer ttl, fewer parts in its key, or no cache"
    if load_ms is not None and load_ms <= _QUICK_MS:
        yield "computing takes no longer than asking Redis: compute it, or keep near copies"


def _of_whole(stats: Stats) -> Iterator[str]:
    if stats.invalidations > max(_ENOUGH, sum(stats.requests.values())):
        yield "it is invalidated more often than it is read: the ttl is not what ends its entries"
    if stats.fill.get("too_big"):
        yield f"{stats.fill['too_big']} values were over max_value and not stored"
    if stats.near.get("differed"):
        yield f"{stats.near['differed']} near copies were out of date when they were proved"


def summed(own: Stats, templates: Mapping[str, Stats]) -> Stats:
    """With what was counted of templates."""
    if not templates:
        return own
    every = [own, *templates.values()]
    return Stats(
        requests=_sum(each.requests for each in every),
        origin=_sum(each.origin for each in every),
        fill=_sum(each.fill for each in every),
        wait=_sum(each.wait for each in every),
        reject=_sum(each.reject for each in every),
        near=_sum(each.near for each in every),
        failures=sum(each.failures for each in every),
        invalidations=sum(each.invalidations for each in every),
        loads=_sum(each.loads for each in every),
        templates=dict(templates),
    )


def _sum(tallies: Iterable[Mapping[K, int]]) -> dict[K, int]:
    total: Counter[K] = Counter()
    for tally in tallies:
        total.update(tally)
    return dict(total)


_TALLIES = ("requests", "origin", "fill", "wait", "reject", "near")
_NUMBERS = ("failures", "invalidations")


def numbers_of(stats: Stats) -> dict[str, int]:
    """All counts of a whole cache under one name each, as "requests.fresh"."""
    found = {f"{kind}.{what}": times for kind in _TALLIES for what, times in getattr(stats, kind).items()}
    found |= {f"loads.{bound}": times for bound, times in stats.loads.items()}
    return found | {name: getattr(stats, name) for name in _NUMBERS}


def of_numbers(numbers: Mapping[str, int]) -> Stats:
    """The same back again; what another version counts is passed over."""
    tallies: dict[str, dict[str, int]] = {kind: {} for kind in (*_TALLIES, "loads")}
    for name, times in numbers.items():
        kind, dot, what = name.partition(".")
        if dot and kind in tallies:
            tallies[kind][what] = times
    loads = {int(bound): times for bound, times in tallies.pop("loads").items() if bound.isdecimal()}
    ends = {name: numbers.get(name, 0) for name in _NUMBERS}
    return Stats(**tallies, **ends, loads=loads)  # type: ignore[arg-type]
