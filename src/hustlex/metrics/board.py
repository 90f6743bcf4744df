"""The numbers of one process, in memory that other processes may read while they change.

Layout: 16 bytes (the length of the names), the numbers as doubles, the names as lines of JSON: metric, values of
labels, place of the first number. A series never moves, and is there as soon as the length says so.
"""

from __future__ import annotations

import mmap

import msgspec

from hustlex.metrics.declared import METRICS

SeriesName = tuple[str, tuple[str, ...]]
"""A metric, and the values of its labels."""
Figures = dict[SeriesName, list[float]]

_HEAD = 16
_NUMBERS = 16_384
_NAMES = 512 * 1024
_START = 32
"""The first numbers belong to nobody: what finds no room is counted there."""
SIZE = _HEAD + 8 * _NUMBERS + _NAMES


class Board:
    """Numbers by place. Whoever changes them has a lock."""

    def __init__(self, memory: mmap.mmap) -> None:
        """memory: SIZE bytes of zeros."""
        self.memory = memory
        view = memoryview(memory)
        self.numbers = view[_HEAD : _HEAD + 8 * _NUMBERS].cast("d")
        self._length = view[:_HEAD].cast("Q")
        self._names = view[_HEAD + 8 * _NUMBERS :]
        self._next = _START

    def add(self, metric: str, labels: tuple[str, ...]) -> int:
        """The place of a new series; 0 when there is no room for it."""
        width = METRICS[metric].width
        line = msgspec.json.encode((metric, labels, self._next)) + b"\n"
        used = self._length[0]
        if self._next + width > _NUMBERS or used + len(line) > _NAMES:
            return 0
        self._names[used : used + len(line)] = line
        place, self._next = self._next, self._next + width
        self._length[0] = used + len(line)
        return place


def anonymous() -> mmap.mmap:
    """Memory of this process alone."""
    return mmap.mmap(-1, SIZE)


def read(memory: mmap.mmap | bytes) -> Figures:
    """All series, as of now. Of a file that was cut off, what is there."""
    view = memoryview(memory)
    if len(view) < SIZE:
        return {}
    numbers = view[_HEAD : _HEAD + 8 * _NUMBERS].cast("d")
    start = _HEAD + 8 * _NUMBERS
    length = min(view[:_HEAD].cast("Q")[0], _NAMES)
    figures: Figures = {}
    for line in bytes(view[start : start + length]).splitlines():
        metric, labels, place = msgspec.json.decode(line, type=tuple[str, tuple[str, ...], int])
        if metric in METRICS:
            figures[metric, labels] = list(numbers[place : place + METRICS[metric].width])
    return figures


def merged(total: Figures, more: Figures, *, living: bool) -> Figures:
    """Both together. living: whether the second is of a process that runs; else its gauges say nothing any more."""
    for name, numbers in more.items():
        metric = METRICS[name[0]]
        if metric.kind == "gauge" and not living:
            continue
        known = total.get(name)
        if known is None or len(known) != len(numbers):  # of another version of this package
            total[name] = list(numbers)
        elif metric.worst:
            total[name] = [max(known[0], numbers[0])]
        else:
            total[name] = [one + other for one, other in zip(known, numbers, strict=True)]
    return total
