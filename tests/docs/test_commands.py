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


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """What these words begin with, and the words that are left."""
    command = HUSTLEX
    for number, word in enumerate(words):
        below = getattr(command, "commands", {})
        name = word if word in below else word.removesuffix("s")  # a noun has its plural
        if name not in below:
            return command, words[number:]
        command = below[name]
    return command, []


def wrong(text: str) -> list[str]:
    found = []
    for shown in SHOWN.finditer(text):
        command, rest = command_of(shown[1].split())
        below = getattr(command, "commands", {})
        if command is HUSTLEX:
            continue
        command = below.get("start", command)  # `hustlex worker MODULE` leaves the verb out
        if rest and below and "start" not in below:
            found.append(f"hustlex {shown[1]}: {rest[0]}")
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        found += [f"hustlex {shown[1]}: {option}" for option in OPTION.findall(shown[2]) if option not in known]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_option_shown_exists(page: Path) -> None:
    assert wrong(page.read_text("utf-8")) == []


def test_a_wrong_option_is_found() -> None:
    text = "`hustlex worker app --healthport 1`\n$ hustlex api app --port 1\nhustlex limits explain --josn '1/s'\n"
    assert wrong(text) == ["hustlex worker app : --healthport", "hustlex limits explain : --josn"]
    assert wrong("`hustlex otp phone -`, `hustlex otp status -`") == ["hustlex otp phone : phone"]
