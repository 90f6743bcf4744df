"""What the pages say of each other and of the code: links lead somewhere, names exist, the opening example runs."""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.main import get_command

from hustlex import HustleX
from hustlex.cli.main import cli
from hustlex.drivers.embedded import EmbeddedServer
from tools.gen_docs import STRUCTS, field_docs

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
ROOMS = (ROOT / "docs/guides/rooms.md").read_text("utf-8")
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(path for folder in ("docs", "bench", "examples", "tests") for path in (ROOT / folder).rglob("*.md")),
]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
IMPORT = re.compile(r"^ *from (hustlex(?:\.[\w.]+)?) import (\([^)]+\)|[^\n]+)", re.MULTILINE)
ALIAS = re.compile(r" as \w+|#.*")
MAKE = re.compile(r"(?:^|[`$] ?)make ([a-z][a-z-]*)", re.MULTILINE)
RUN = re.compile(r"(?:^|[`$] ?)hustlex ([a-z]+)", re.MULTILINE)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = HEADING.findall(re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    dead = []
    for link in LINK.findall(CODE.sub("", page.read_text("utf-8"))):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert dead_links(page) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](page.md#one) [b](#two) [c](none.md) `[d](none.md)` [e](https://example.org)\n", "utf-8")
    assert dead_links(page) == ["#two", "none.md"]


def test_every_import_shown_exists() -> None:
    missing = []
    for page in PAGES:
        for module, names in IMPORT.findall(page.read_text("utf-8")):
            found = importlib.import_module(module)
            missing += [
                f"{page.name}: {module}.{name}"
                for name in re.findall(r"\w+", ALIAS.sub("", names))
                if not hasattr(found, name)
            ]
    assert missing == []


def test_every_command_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    commands: Any = get_command(cli)
    missing = []
    for page in PAGES:
        code = "\n".join(CODE.findall(page.read_text("utf-8")))
        missing += [f"{page.name}: make {name}" for name in MAKE.findall(code) if name not in targets]
        missing += [f"{page.name}: hustlex {name}" for name in RUN.findall(code) if name not in commands.commands]
    assert missing == []


def test_the_readme_is_short() -> None:
    assert len(README.split()) < 900


@pytest.mark.parametrize(
    ("index", "folder"),
    [("guides", "guides"), ("guides", "reference"), ("internals", "internals"), ("migrating", "migrating")],
)
def test_the_index_of_the_guides_or_of_the_inside_knows_every_page(index: str, folder: str) -> None:
    text = (ROOT / "docs" / index / "README.md").read_text("utf-8")
    prefix = "" if index == folder else f"../{folder}/"
    pages = {path.name for path in (ROOT / "docs" / folder).glob("*.md")} - {"README.md"}
    assert [name for name in sorted(pages) if f"]({prefix}{name})" not in text] == []
    assert f"docs/{index}/README.md" in README


def test_decisions_are_listed_in_order() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"^\| \[(\d{4})\]\((.*?)\)", (folder / "README.md").read_text("utf-8"), re.MULTILINE)
    assert [name for _, name in listed] == sorted(path.name for path in folder.glob("0*.md"))
    assert all(name.startswith(number) for number, name in listed)


@pytest.mark.parametrize("kind", [kind for kinds in STRUCTS.values() for kind in kinds])
def test_every_option_is_explained(kind: type) -> None:
    words = set(re.findall(r"\w+", kind.__doc__ or "")) | field_docs(kind).keys()
    assert [name for name in inspect.get_annotations(kind) if name not in words] == []


async def test_every_verb_of_the_rooms_exists() -> None:
    rows = re.findall(r"^\| `hx\.(\w+)` \| (.*?) \|", ROOMS, re.MULTILINE)
    async with HustleX("redis://127.0.0.1:1", secret="32 random bytes or more, from your vault") as hx:
        cache, channel = (
            hx.cache("user", int, ttl=timedelta(minutes=1)),
            hx.events.channel("user:{id}", dict, kind="replay"),
        )
        places: dict[str, Any] = {"cache": cache, "events": channel}
        assert len(rows) == 8
        for room, text in rows:
            for verb in re.findall(
                r"`[\w@.()]*?(\w+)`", text.replace("hustlex.worker", "").replace("channel(...)", "")
            ):
                assert hasattr(places.get(room, getattr(hx, room)), verb), f"hx.{room}.{verb}"


async def test_the_opening_example_runs(hustlex_server: EmbeddedServer) -> None:
    """As it stands, but for the address of the server."""
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    head, _, body = code.partition("async with ")
    body = "async with " + body.replace("redis://localhost:6379/0", hustlex_server.url)

    class User(msgspec.Struct):
        name: str

    async def load_user(user_id: int) -> User:
        return User("Ada")

    names: dict[str, Any] = {"SECRET": "32 random bytes or more, from a vault", "User": User, "load_user": load_user}
    end = "\nreturn issued, checked, pair, user, passed, profile"
    exec(f"{head}\nasync def example():\n{textwrap.indent(body + end, '    ')}", names)
    outcomes = await names["example"]()
    assert [type(each).__name__ for each in outcomes] == ["Issued", "Wrong", "TokenPair", "Access", "Decision", "User"]
    assert outcomes[1].left == 4
    assert outcomes[4].allowed
    assert outcomes[5].name == "Ada"
