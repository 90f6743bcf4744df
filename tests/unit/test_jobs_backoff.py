"""The default delay against the ranges recorded from Go."""

from __future__ import annotations

import pytest

from hustlex.jobs.define.backoff import default_delay


@pytest.mark.parametrize(
    ("retried", "least", "most"), [(0, 15, 44), (1, 16, 74), (2, 31, 118), (3, 96, 212), (4, 271, 416), (5, 640, 814)]
)
def test_the_delay_has_gos_range(retried: int, least: int, most: int) -> None:
    assert default_delay(retried, draw=lambda _: 0).total_seconds() == least
    assert default_delay(retried, draw=lambda bound: bound - 1).total_seconds() == most
    assert all(least <= default_delay(retried).total_seconds() <= most for _ in range(50))
