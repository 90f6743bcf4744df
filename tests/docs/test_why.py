"""Programs that pages show (of races, attacks, drills) print what the pages say."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from tests.support.patience import unhurried_fronts

DOCS = Path(__file__).parents[2] / "docs"
WHY = DOCS / "why"
PROGRAM = re.compile(r"^```python (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRINTS = re.compile(r"^```console\n\$ python (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = sorted(path for path in WHY.glob("*.md") if path.name != "README.md")
PROGRAMS = [*PAGES, DOCS / "guides/drills.md"]


@pytest.mark.parametrize("page", PROGRAMS, ids=lambda page: page.stem)
def test_a_program_prints_what_its_page_says(
    page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page.read_text("utf-8")
    ((name, code),) = PROGRAM.findall(text)
    assert text.count("```python") == 1
    (tmp_path / name).write_text(code, "utf-8")
    unhurried_fronts(monkeypatch)
    monkeypatch.setattr("sys.argv", [name])
    runpy.run_path(str(tmp_path / name), run_name="__main__")
    assert [(name, capsys.readouterr().out)] == PRINTS.findall(text)


def test_each_page_is_listed() -> None:
    index = (WHY / "README.md").read_text("utf-8")
    assert [page.name for page in PAGES if f"]({page.name})" not in index] == []
