"""Which tests begin: the long ones, that none is left over while other processes have nothing to do."""

from __future__ import annotations

from itertools import cycle, groupby

import pytest

LONG_S = 400
"""A test with a timeout over this waits for processes, servers or a great many examples."""


def long_first(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """xdist's worksteal cuts the list into as many parts; each begins with its share of the long modules."""
    short = [item for item in items if not is_long(item)]
    piles: list[list[pytest.Item]] = [[] for _ in range(processes)]
    for pile, (_, module) in zip(cycle(piles), groupby(filter(is_long, items), lambda item: item.path), strict=False):
        pile.extend(module)
    ordered: list[pytest.Item] = []
    for number, pile in enumerate(piles):
        room = max(0, (len(items) - len(ordered)) // (processes - number) - len(pile))
        ordered += [*pile, *short[:room]]
        del short[:room]
    return ordered + short


def is_long(item: pytest.Item) -> bool:
    limit = item.get_closest_marker("timeout")
    return limit is not None and bool(limit.args) and limit.args[0] > LONG_S
