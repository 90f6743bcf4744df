"""What suites print is read back as it was, and docs/benchmarks.md says what bench/results say."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bench import page
from bench.harness import print_goals, print_summary, print_table
from bench.results import SUITES, kept, result, tables
from bench.targets import BOUNDS, GOALS, missed

HEAD = ["", "64 callers /s", "CPU us"]
ROWS = [["hustlex, one key", "12,345 (9-13,000)", "4.5 (4.5-4.5)"], ["limits", "1,000", "-"]]


def test_tables_are_read_as_they_were_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print("QUICK=1 make")
    print_table("Decisions: median (min-max)", HEAD, ROWS)
    print("limits: its settings, as they were")
    print_table("Measured once", ["", ""], [["sse_lost", "0"]])
    print_goals("growth", {"growth_worst_ratio": 1.3})
    print_summary({"growth_worst_ratio": 1.3})
    found = result("growth", capsys.readouterr().out, datetime(2026, 11, 29, tzinfo=UTC), "make bench-growth")
    first, second = found.tables
    assert (first.title, first.head, first.rows) == ("Decisions: median (min-max)", HEAD, ROWS)
    assert second.rows == [["sse_lost", "0"]]
    assert (first.cell("hustlex, one key", "64 callers /s"), first.cell("hustlex, one key", "CPU us")) == (12_345, 4.5)
    assert [first.cell("limits", "CPU us"), first.cell("nobody", "CPU us"), first.cell("limits", "p99")] == [None] * 3
    assert [table.title for table in tables(found.printed)][2:] == ["Against the goals"]
    assert found.figures == {"growth_worst_ratio": 1.3} and found.date == "2026-11-29"


def test_the_page_its_pictures_and_the_readme_say_what_was_measured() -> None:
    stale = [path.name for path, text in page.files().items() if path.read_text("utf-8") != text]
    assert stale == [], "run `make docs`"


def test_what_was_measured_has_a_figure_for_every_goal() -> None:
    found = kept()
    assert tuple(SUITES) == tuple(page.SECTIONS) == tuple(GOALS)
    assert [name for suite, each in found.items() for name in GOALS[suite] if name not in each.figures] == []


def test_what_misses_its_goal_says_what_bounds_it_and_nothing_else_does() -> None:
    figures = {suite: each.figures for suite, each in kept().items()}
    late = [name for suite in figures for name, goal in GOALS[suite].items() if missed(figures[suite], name, goal)]
    assert set(late) - BOUNDS.keys() == set()
    assert BOUNDS.keys() <= {name for goals in GOALS.values() for name in goals}


def test_every_comparison_was_measured() -> None:
    shown = [row.title for row, _ in page.compared(kept())]
    assert shown == [row.title for row in page.COMPARISONS]
    drain = next(values for row, values in page.compared(kept()) if row.title.startswith("drain"))
    assert [who for who, _ in drain] == ["hustlex", "repid", "dramatiq", "huey", "Go asynq, 10", "Go asynq, 100"]
