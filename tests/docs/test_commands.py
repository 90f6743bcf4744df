"""Every command and option that a page shows exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from hustlex.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN = re.compile(r"(?:^|[`$] ?|python -m )hustlex ((?:[a-z]+(?:-[a-z]+)* ?)+)([^\n`|]*)", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
HUSTLEX: Any = get_command(cli)


def options(words: list[str]) -> set[str] | None:
    """Of the command that these words begin with."""
    command = HUSTLEX
    for word in words:
        below = getattr(command, "commands", {})
        name = word if word in below else word.removesuffix("s")  # a noun has its plural
        if name not in below:
            break
        command = below[name]
    if command is HUSTLEX:
        return None
    command = getattr(command, "commands", {}).get("start", command)  # `hustlex worker MODULE` leaves the verb out
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def wrong(text: str) -> list[str]:
    found = []
    for shown in SHOWN.finditer(text):
        known = options(shown[1].split())
        if known is not None:
            found += [f"hustlex {shown[1]}: {option}" for option in OPTION.findall(shown[2]) if option not in known]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_option_shown_exists(page: Path) -> None:
    assert wrong(page.read_text("utf-8")) == []


def test_a_wrong_option_is_found() -> None:
    text = "`hustlex worker app --healthport 1`\n$ hustlex api app --port 1\nhustlex limits explain --josn '1/s'\n"
    assert wrong(text) == ["hustlex worker app : --healthport", "hustlex limits explain : --josn"]
