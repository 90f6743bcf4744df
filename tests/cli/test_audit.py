"""The list of dependencies is current, and what must not pass does not."""

from __future__ import annotations

from functools import cache

import pytest

from tools import audit

ROWS = cache(audit.rows)


def test_the_list_is_current() -> None:
    assert audit.faults(ROWS()) == []


@pytest.mark.parametrize("stated", ["GPL-3.0-only", "LGPL-2.1 OR MIT", "SSPL-1.0", "not stated", "Business Source"])
def test_other_licences_are_told(stated: str) -> None:
    found = ROWS()
    name = next(iter(found))
    told = audit.faults(found | {name: (found[name][0], stated, "base")})
    assert f"{name} has the licence {stated!r}, which is not among those we take" in told


def test_another_version_is_told() -> None:
    found = ROWS()
    told = audit.faults(found | {"redis": ("0.1", *found["redis"][1:])})
    assert any(line.startswith("redis 0.1 is installed, constraints.txt pins") for line in told)
