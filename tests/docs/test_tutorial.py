"""The tutorial's pages show what stands in its folders, and nothing that a step adds is left out."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import pytest
import yaml

from tests.docs.test_commands import wrong

ROOT = Path(__file__).parents[2]
STEPS = sorted((ROOT / "examples/tutorial").glob("step*"))
PAGES = ("login", "limit", "payment", "cached-page", "job", "events", "console", "deploy")
BLOCK = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOLD = dict(zip(PAGES, STEPS, strict=True))


def blocks(page: str) -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / "docs/tutorial" / f"{page}.md").read_text("utf-8"))


def file(step: Path, name: str) -> str:
    """In the step's folder, or what all steps share."""
    found = step / name if (step / name).exists() else step.parent / name
    return found.read_text("utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_each_block_of_a_page_is_a_part_of_its_file(page: str) -> None:
    shown = [(name, block) for name, block in blocks(page) if name != "pytest.ini"]
    assert [name for name, block in shown if block not in file(TOLD[page], name)] == []
    assert {"app.py", "test_app.py"} <= {name for name, _ in shown}


@pytest.mark.parametrize("number", range(1, len(PAGES)))
def test_a_page_shows_each_line_that_its_step_adds(number: int) -> None:
    before, now = STEPS[number - 1], STEPS[number]
    shown = {line for _, block in blocks(PAGES[number]) for line in block.splitlines()}
    for name in (path.name for path in now.glob("*.*") if path.suffix in (".py", ".yaml")):
        old = (before / name).read_text("utf-8").splitlines() if (before / name).exists() else []
        assert [line for line in added(old, (now / name).read_text("utf-8")) if line not in shown] == [], name


def added(old: list[str], now: str) -> list[str]:
    lines = difflib.ndiff(old, now.splitlines())
    return [line[2:] for line in lines if line.startswith("+ ") and not line.startswith('+ """Ajo')]


def test_the_index_counts_the_lines_that_are_new() -> None:
    index = (ROOT / "docs/tutorial/README.md").read_text("utf-8")
    old: list[str] = []
    counts = []
    for step in STEPS:
        now = (step / "app.py").read_text("utf-8")
        counts.append(sum(bool(line.strip()) for line in added(old, now)))
        old = now.splitlines()
    assert [int(count) for count in re.findall(r"^\| \[\d\. .* \| (\d+)", index, re.MULTILINE)] == counts


def test_the_containers_run_commands_that_exist() -> None:
    services = yaml.safe_load((STEPS[-1] / "compose.yaml").read_text("utf-8"))["services"]
    commands = [service["command"] for service in services.values()]
    assert wrong("\n".join(commands)) == []
    assert sum(command.startswith("hustlex ") for command in commands) == 3
