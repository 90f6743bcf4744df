"""Every block of Python on every page is run by some test; those without a file's name are run here."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hustlex import HustleX
from tests.docs import test_guides, test_moving, test_tutorial, test_why
from tests.support.patience import unhurried_fronts

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
NAMELESS = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^```python \S+$", re.MULTILINE)
TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SKETCHES = {"internals/call.md": "how a driver decides, in words of Python"}
"""Not to be run, each with its reason."""
CALLED: dict[str, dict[str, tuple[Any, ...]]] = {
    "guides/jobs.md": {"pay": (), "collect_later": ()},
    "guides/doctor.md": {"fit": ()},
    "guides/operating.md": {"why_no_code": ("0803 123 4567",)},
}
"""Functions that take a front, with what else they take."""


def name(page: Path) -> str:
    return page.relative_to(ROOT / "docs").as_posix()


RUN_ELSEWHERE = {
    *(f"guides/{guide}" for guides, _ in test_guides.RUN for guide in guides.split()),
    *(f"tutorial/{page}.md" for page in test_tutorial.PAGES),
    *(f"migrating/{page}.md" for page in test_moving.PROGRAMS),
    *(name(page) for page in test_why.PROGRAMS),
}
WITH_BLOCKS = [page for page in PAGES if NAMELESS.search(page.read_text("utf-8")) and name(page) not in SKETCHES]


def test_every_page_with_named_blocks_is_run() -> None:
    named = {name(page) for page in PAGES if NAMED.search(page.read_text("utf-8"))}
    assert named - RUN_ELSEWHERE == set()


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name)
async def test_the_other_blocks_of_a_page_run_in_their_order(
    page: Path, hustlex: HustleX, monkeypatch: pytest.MonkeyPatch
) -> None:
    unhurried_fronts(monkeypatch)
    names: dict[str, Any] = {"__name__": "page"}
    for block in NAMELESS.findall(page.read_text("utf-8")):
        exec(compile(block, str(page), "exec", dont_inherit=True), names)
    for function, arguments in CALLED.get(name(page), {}).items():
        await names[function](hustlex, *arguments)


@pytest.mark.parametrize("page", [page for page in PAGES if TOML.search(page.read_text("utf-8"))], ids=name)
def test_toml_can_be_read(page: Path) -> None:
    assert all(tomllib.loads(block) for block in TOML.findall(page.read_text("utf-8")))


def test_the_checks_that_an_incident_names_exist() -> None:
    known = set(re.findall(r"^\| (\w+) \| ", (ROOT / "docs/guides/doctor.md").read_text("utf-8"), re.MULTILINE))
    named = re.findall(r"\[(\w+)\](?!\()", (ROOT / "docs/guides/incidents.md").read_text("utf-8"))
    assert set(named) - known == set()
    assert len(set(named)) > 10
