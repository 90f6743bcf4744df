"""Pages that name tests name tests that exist, and each row of "What happens when ..." is one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS, fitting
from tests.chaos.stage import STAGES

ROOT = Path(__file__).parents[2]
WHEN = ROOT / "docs/guides/what-happens.md"
LOST = ROOT / "docs/guides/durability.md"
TOPOLOGIES = ROOT / "docs/guides/topologies.md"
CHAOS = ROOT / "docs/internals/chaos.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ROW = re.compile(r"^\| (?!when|id|---)(.*) \|$", re.MULTILINE)


@cache
def functions_of(file: str) -> frozenset[str]:
    """Its functions; nothing for a file that is not there."""
    path = ROOT / file
    if not path.exists():
        return frozenset()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, functions))


@pytest.mark.parametrize("page", [WHEN, CHAOS], ids=lambda page: page.stem)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = NAMED.findall(page.read_text("utf-8"))
    assert [f"{file}::{name}" for file, name in named if name not in functions_of(file)] == []
    assert len(named) > 20


def test_every_row_of_what_happens_when_is_a_test() -> None:
    rows = ROW.findall(WHEN.read_text("utf-8"))
    assert [row for row in rows if not NAMED.search(row)] == []
    assert len(rows) > 40


def test_every_row_of_what_a_lost_write_means_is_a_test_and_every_such_test_a_row() -> None:
    section = LOST.read_text("utf-8").partition("## What a lost write means")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?!lost |---).* \|$", section, re.MULTILINE)
    named = [re.findall(r"`(test_\w+)` \|$", row) for row in rows]
    tests = {name for name in functions_of("tests/contract/test_durability_failover.py") if name.startswith("test_")}
    assert [row for row, names in zip(rows, named, strict=True) if len(names) != 1] == []
    assert {names[0] for names in named} == tests


def test_every_sentence_that_the_guide_of_topologies_quotes_can_be_said() -> None:
    said = "".join(path.read_text("utf-8") for path in (ROOT / "src/hustlex/drivers").rglob("*.py"))
    said = re.sub(r'"\s*\n\s*f?"', "", said)
    section = TOPOLOGIES.read_text("utf-8").partition("## What it says")[2].partition("\n## ")[0]
    quoted = re.findall(r"^\| `(.*?)`(?: \(a warning\))? \|", section, re.MULTILINE)
    parts = [
        part.strip()
        for each in quoted
        for part in re.split(r"host\d?:\d+(?:, host\d:\d+)*|\.\.\.|\d+(?:\.\d+){2}", each)
    ]
    assert [part for part in parts if part not in said] == []
    assert len(quoted) > 10


def test_every_fault_is_in_the_table_of_chaos_and_every_row_is_covered() -> None:
    rows = {row.partition(" ")[0]: row for row in ROW.findall(CHAOS.read_text("utf-8")) if row.startswith("K-")}
    assert list(rows) == [f"K-{number:02}" for number in range(1, 22)]
    for name in STAGES:
        fitting(name)
    struck = {(fault.covers, fault.strike.__name__) for fault in FAULTS}  # type: ignore[attr-defined]
    assert [each for each in struck if f"`{each[1]}`" not in rows[each[0]]] == []
    covered = {covers for covers, _ in struck}
    assert [id_ for id_, row in rows.items() if id_ not in covered and not NAMED.search(row)] == []
