"""Series by the values of their labels, found fast, and never more of them than their metric allows."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence

from hustlex.metrics.board import Board
from hustlex.metrics.declared import METRICS, Metric

OTHER = "_other"
_LONGEST = 200


class Family:
    """One metric on a board. All changes are made under the board's lock."""

    def __init__(self, metric: Metric, board: Board, lock: threading.Lock) -> None:
        self.metric = metric
        self.folded = 0
        """Values of labels beyond their bounds."""
        self.bounds = metric.bounds
        self._board = board
        self._lock = lock
        self._places: dict[tuple[str, ...], int] = {}
        self._seen: tuple[set[str], ...] = tuple(set() for _ in metric.labels)
        self._limits = tuple(metric.labels.values())

    def place(self, labels: tuple[str, ...]) -> int:
        """Where the first number of a series stands; made when it is asked for first. Under the lock."""
        place = self._places.get(labels)
        return self._made(labels) if place is None else place

    def _made(self, labels: tuple[str, ...]) -> int:
        bounded = tuple(self._fitting(position, value) for position, value in enumerate(labels))
        place = self._places.get(bounded)
        if place is None:
            place = self._places[bounded] = self._board.add(self.metric.name, bounded)
        if bounded == labels:
            self._places[labels] = place
        return place

    def _fitting(self, position: int, value: str) -> str:
        """The value, or the one that stands for all that are too many."""
        seen = self._seen[position]
        if value in seen:
            return value
        if len(seen) >= self._limits[position] or len(value) > _LONGEST:
            self.folded += 1
            return OTHER
        seen.add(value)
        return value

    def add(self, labels: tuple[str, ...] = (), amount: float = 1.0) -> None:
        """Count."""
        with self._lock:
            self._board.numbers[self.place(labels)] += amount

    def put(self, value: float, labels: tuple[str, ...] = ()) -> None:
        """Set a gauge."""
        with self._lock:
            self._board.numbers[self.place(labels)] = value

    def forget(self) -> None:
        """Set all series of a gauge to nothing: those that are still true are put again."""
        with self._lock:
            for place in self._places.values():
                self._board.numbers[place] = 0.0

    def observe(self, value: float, labels: tuple[str, ...] = (), times: int = 1) -> None:
        """Count a duration, or so many of the same."""
        with self._lock:
            place = self.place(labels)
            self._board.numbers[place + bisect_left(self.bounds, value)] += times
            self._board.numbers[place + len(self.bounds) + 1] += value * times


class Families:
    """All metrics of a process, on a board of its own."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.lock = threading.Lock()
        self._families: dict[str, Family] = {}

    def __getitem__(self, name: str) -> Family:
        """By its name without the prefix."""
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = Family(METRICS[f"hustlex_{name}"], self.board, self.lock)
        return family

    def folded(self) -> Sequence[tuple[str, int]]:
        """Metrics with too many values of labels, and how many."""
        return [(family.metric.name, family.folded) for family in list(self._families.values()) if family.folded]
