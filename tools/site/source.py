"""The tree that the generator reads, from the pages as they stand in the repository.

Pages are written for whoever reads them there, so here links into folders and source files get pages of their own,
names of files above code become titles, and headings get the names that a repository's host gives them.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
ASSETS = Path(__file__).parent / "assets"
BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
"""Pages outside docs."""
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^( *)(```+)(\w*) ?(\S*)(.*)$")
_HEADING = re.compile(r"^(#+) (.*)$")
_CODE = re.compile(r"(`+)(?:.+?)\1")
_LANGUAGES = {".py": "python", ".lua": "lua", ".js": "js", ".css": "css", ".html": "html", ".yaml": "yaml"}
_UNSEARCHED = "---\nsearch: {exclude: true}\n---\n\n"
_SKIPPED = frozenset({"__pycache__", ".hustlex"})


def anchor(heading: str) -> str:
    """What a repository's host calls a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def place(path: str) -> str:
    """Where a file of the repository stands on the site."""
    if path == "README.md":
        return "index.md"
    if path.endswith(".md"):
        inside = path.removeprefix("docs/")
        return posixpath.join(posixpath.dirname(inside), "index.md") if inside.endswith("/README.md") else inside
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"source/{path}.md" if (ROOT / path).is_file() else f"source/{path}/index.md"


class SiteSource:
    """Writes pages; ``wanted`` are files and folders that a page links to and that have none yet."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._written: set[str] = set()
        self.wanted: list[str] = []

    def write(self, generated: Mapping[str, str]) -> None:
        """All pages. generated: those that are made from code, by their place."""
        for path in sorted((ROOT / "docs").rglob("*")):
            if path.is_file():
                self._add(path.relative_to(ROOT).as_posix())
        for name in BESIDE:
            self._add(name)
        for name, text in generated.items():
            self._put(name, text)
        while self.wanted:
            self._add(self.wanted.pop())
        shutil.copytree(ASSETS, self._target / "assets", dirs_exist_ok=True)

    def _add(self, path: str) -> None:
        if place(path) in self._written:
            return
        source = ROOT / path
        if source.is_dir():
            self._put(place(path), "\n".join(self._listing(path)))
        elif path.endswith(".md"):
            head = "---\nhide: [navigation]\n---\n\n" if place(path) == "index.md" else ""
            self._put(place(path), head + "\n".join(self._page(path, source.read_text("utf-8"))))
        elif path.startswith("docs/"):
            self._copy(source, place(path))
        else:
            language = _LANGUAGES.get(source.suffix, "text")
            self._put(place(path), f"{_UNSEARCHED}# {path}\n\n````{language}\n{source.read_text('utf-8')}````\n")

    def _put(self, name: str, text: str) -> None:
        self._written.add(name)
        file = self._target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")

    def _copy(self, source: Path, name: str) -> None:
        self._written.add(name)
        file = self._target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, file)

    def _listing(self, path: str) -> Iterator[str]:
        """A folder: its own page, if it has one, and what is in it."""
        yield f"# {path}\n"
        for inside in sorted((ROOT / path).iterdir()):
            if inside.name not in _SKIPPED:
                name = inside.relative_to(ROOT).as_posix()
                yield f"- [{inside.name}{'/' * inside.is_dir()}]({self._link(place(path), name)})"

    def _page(self, path: str, text: str) -> Iterator[str]:
        closing = ""
        indent = 0
        for line in text.splitlines():
            fence = _FENCE.match(line)
            if closing:
                yield " " * indent + line
                closing = "" if line.strip() == closing else closing
            elif fence:
                closing, indent = fence[2], -len(fence[1]) % 4
                yield " " * indent + fence[1] + fence[2] + _opening(fence[3], fence[4])
            else:
                yield self._linked(path, _named(line))

    def _linked(self, path: str, line: str) -> str:
        """Links outside of code, as the site has them."""
        parts, end = [], 0
        for code in _CODE.finditer(line):
            if _inside_link(line, code.start()):
                continue
            parts += [self._rewritten(path, line[end : code.start()]), code[0]]
            end = code.end()
        return "".join([*parts, self._rewritten(path, line[end:])])

    def _rewritten(self, path: str, text: str) -> str:
        return _LINK.sub(lambda link: f"]({self._target_of(path, link[1])})", text)

    def _target_of(self, path: str, link: str) -> str:
        if re.match(r"[a-z]+:|#", link):
            return link
        name, _, fragment = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
        return self._link(place(path), target) + (f"#{fragment}" if fragment else "")

    def _link(self, here: str, target: str) -> str:
        """From a page of the site to a file of the repository, which gets a page if it has none."""
        if place(target) not in self._written:
            self.wanted.append(target)
        return posixpath.relpath(place(target), posixpath.dirname(here) or ".")


def _opening(language: str, name: str) -> str:
    title = f' title="{name}"' if name else ""
    return f"{language or 'text'}{title}"


def _named(line: str) -> str:
    heading = _HEADING.match(line)
    return f"{line} {{ #{anchor(heading[2])} }}" if heading else line


def _inside_link(line: str, start: int) -> bool:
    """Whether a piece of code is (a part of) a link's text."""
    before = line[:start]
    return before.rfind("[") > before.rfind("]")


def configuration(target: Path) -> dict[str, Any]:
    """``mkdocs.yml`` with this tree, and with ``folder/*`` in its navigation spelled out."""
    settings: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    pages = {path.relative_to(target).as_posix() for path in target.rglob("*.md")}
    unnamed = pages - set(listed(settings["nav"]))
    settings["nav"] = _spelled(settings["nav"], unnamed)
    return settings


def listed(nav: Any) -> list[str]:
    """Every page of a navigation."""
    if isinstance(nav, str):
        return [nav]
    return [page for each in (nav.values() if isinstance(nav, dict) else nav) for page in listed(each)]


def _spelled(nav: Any, unnamed: set[str]) -> Any:
    if isinstance(nav, list):
        return [_spelled(each, unnamed) for item in nav for each in _of_folder(item, unnamed)]
    if isinstance(nav, dict):
        return {name: _spelled(each, unnamed) for name, each in nav.items()}
    return nav


def _of_folder(item: Any, unnamed: set[str]) -> list[Any]:
    """``folder/*`` is each page of it that is named nowhere else."""
    if not isinstance(item, str) or not item.endswith("/*"):
        return [item]
    return sorted(page for page in unnamed if posixpath.dirname(page) == item.removesuffix("/*"))
