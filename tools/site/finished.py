"""Look through the built site: each link leads to a page and to a place in it; nothing is loaded from elsewhere."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
_STYLE = re.compile(r"(?:url\(|@import\s+)[\"']?(https?:)?//", re.IGNORECASE)
_NOT_LOADED = frozenset({"canonical", "prev", "next", "alternate"})


class Seen(HTMLParser):
    """links: where a page leads. names: the places in it. loaded: what a browser fetches for it."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.names |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        fetched = given.get(_LOADED.get(tag, ""))
        if fetched and given.get("rel") not in _NOT_LOADED:
            self.loaded.append(fetched)


def problems(site: Path) -> Iterator[str]:
    """One line for each."""

    @cache
    def seen(page: Path) -> Seen:
        parser = Seen()
        parser.feed(page.read_text("utf-8"))
        return parser

    for page in sorted(site.rglob("*.html")):
        name = page.relative_to(site)
        if str(name) == "404.html":  # its links begin at a root that nobody knows yet
            continue
        for link in seen(page).links:
            yield from (f"{name}: {link}: {why}" for why in _dead(site, page, link, seen))
        yield from (f"{name} loads {url}" for url in seen(page).loaded if _foreign(url))
    for style in site.rglob("*.css"):
        if _STYLE.search(style.read_text("utf-8")):
            yield f"{style.relative_to(site)} loads from elsewhere"


def _dead(site: Path, page: Path, link: str, seen: Callable[[Path], Seen]) -> Iterator[str]:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return
    path = unquote(parts.path)
    target = Path(posixpath.normpath(page.parent / path)) if path else page
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        yield "no such page"
    elif parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in seen(target).names:
        yield "no such place in the page"


def _foreign(url: str) -> bool:
    parts = urlsplit(url)
    return bool(parts.netloc) or parts.scheme in ("http", "https")
