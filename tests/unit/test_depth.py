"""Every property asks one place how many examples it is tried with."""

from __future__ import annotations

import re
from pathlib import Path

import hypothesis
import pytest

from tests.support import depth

ROOT = Path(__file__).parents[1]
GIVEN = re.compile(r"max_examples\s*=\s*(?!examples\()\S+")


def test_a_desk_tries_a_third_and_who_looks_deep_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depth, "DEEP", False)
    assert [depth.examples(most) for most in (1, 15, 25, 100)] == [1, 5, 9, 34]
    monkeypatch.setattr(depth, "DEEP", True)
    assert depth.examples(100) == 100


def test_no_property_has_a_number_of_its_own() -> None:
    assert hypothesis.settings().max_examples == depth.examples(100)
    own = {
        str(path.relative_to(ROOT)): found
        for path in ROOT.rglob("*.py")
        if path != Path(__file__) and (found := GIVEN.findall(path.read_text("utf-8")))
    }
    assert not own, "say max_examples=examples(...)"
