"""The order of the tests over several processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.order import long_first


class Item:
    def __init__(self, module: str, limit: int | None) -> None:
        self.path = Path(module)
        self.mark = pytest.mark.timeout(limit).mark if limit else None

    def get_closest_marker(self, name: str) -> Any:
        return self.mark if name == "timeout" else None


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [0, 1, 7, 40])
def test_every_test_runs_once_and_each_process_begins_with_long_ones(count: int, processes: int) -> None:
    items: list[Any] = [Item(f"m{n // 2}", 450 if n // 2 % 4 == 1 else None) for n in range(count)]
    ordered = long_first(list(items), processes)
    assert sorted(map(id, ordered)) == sorted(map(id, items))
    if count == 40:
        size = count // processes
        parts = [ordered[at : at + size] for at in range(0, size * processes, size)]
        assert all(part[0].mark for part in parts)
        assert all(part == sorted(part, key=lambda item: item.mark is None) for part in parts)
