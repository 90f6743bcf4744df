"""What the pages on the inside name exists, in the files that they name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "hustlex"
INSIDE = ROOT / "docs" / "internals"
PAGES = ["task.md", "call.md"]
ROW = re.compile(r"^\| `([\w/]+\.(?:py|lua))` \| (.*?) \|", re.MULTILINE)
BESIDE = re.compile(r"`([\w/]+\.py)`, `([\w.]+)`")
FILE = re.compile(r"`((?:\w+/)*\w+\.(?:py|lua))`")
ROOMS = ("otp", "tokens", "idempotency", "pins", "cache", "jobs", "events", "worker", "drivers", "drivers/aio", "core")


def names(path: Path) -> set[str]:
    """Functions, classes and methods as ``Class.method``."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}" for each in node.body if hasattr(each, "name")}
    return found


def claims(page: str) -> Iterator[tuple[str, str]]:
    """Each file with each name that the page says stands in it; "" for the file itself."""
    text = (INSIDE / page).read_text("utf-8")
    for file, looks in ROW.findall(text):
        yield from ((file, name) for name in re.findall(r"`([\w.]+)`", looks) or [""])
    yield from BESIDE.findall(text)
    yield from ((file, "") for file in FILE.findall(text) if "/" in file)


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_function_of_a_way_exists(page: str) -> None:
    wrong = []
    for file, name in claims(page):
        path = SOURCE / file if not file.startswith("tools/") else ROOT / file
        if not path.exists() or (name and name not in names(path)):
            wrong.append(f"{file}: {name}")
    assert wrong == []
    assert len(list(claims(page))) > 15


def test_the_glossary_is_short_and_gives_reasons() -> None:
    rows = re.findall(r"^\| (?!word|---)(.*) \|$", (INSIDE / "glossary.md").read_text("utf-8"), re.MULTILINE)
    assert 0 < len(rows) <= 25
    assert all(len(reason) > 10 for row in rows for reason in row.split(" | ")[1:])


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_how_a_call_flows_and_the_files_are_there(room: str) -> None:
    said = ast.get_docstring(ast.parse((SOURCE / room / "__init__.py").read_text("utf-8"))) or ""
    files = re.findall(r"``((?:\w+/)*\w+\.(?:py|lua)|(?:\w+/)+)``", said)
    assert len(set(files)) >= 3
    assert [file for file in files if not (SOURCE / room / file).exists()] == []
