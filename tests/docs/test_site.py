"""What the site is made from, and what is found when it is looked through. ``make docs-site`` builds the whole."""

from __future__ import annotations

import posixpath
from pathlib import Path

import pytest
import yaml

from tools.check_exports import ROOMS
from tools.site import api, finished
from tools.site.source import ROOT, SiteSource, anchor, configuration, listed


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree that the generator is given."""
    place = tmp_path_factory.mktemp("site")
    SiteSource(place).write(api.pages())
    return place


def test_every_page_stands_in_the_navigation_and_nothing_else_does(pages: Path) -> None:
    nav = listed(configuration(pages)["nav"])
    all_pages = {path.relative_to(pages).as_posix() for path in pages.rglob("*.md")}
    assert [page for page in nav if page not in all_pages] == []
    missing = {page for page in all_pages if not page.startswith("source/")} - set(nav)
    assert missing <= {"bench/index.md"}
    assert len(nav) == len(set(nav))


def test_links_out_of_the_docs_lead_to_pages_that_show_the_source(pages: Path) -> None:
    guide = (pages / "guides/rooms.md").read_text("utf-8")
    assert "](../source/examples/gigs/jobs.py.md)" in guide
    shown = (pages / "source/examples/gigs/jobs.py.md").read_text("utf-8")
    assert (ROOT / "examples/gigs/jobs.py").read_text("utf-8") in shown
    assert "(test_app.py.md)" in (pages / "source/examples/tutorial/step1_login/index.md").read_text("utf-8")


def test_names_of_files_are_titles_and_headings_keep_their_anchors(pages: Path) -> None:
    page = (pages / "guides/cache.md").read_text("utf-8")
    assert '```python title="app.py"\n' in page
    assert "## Stale, but at once { #stale-but-at-once }\n" in page
    assert anchor("`code` of [a link](x.md), and more") == "code-of-a-link-and-more"


@pytest.mark.parametrize("room", ROOMS)
def test_the_reference_has_every_public_name(room: str, pages: Path) -> None:
    module = __import__(f"hustlex.{room}", fromlist=["__all__"])
    text = (pages / f"reference/api/hustlex.{room}.md").read_text("utf-8")
    assert [name for name in module.__all__ if f"## {name} {{ #{name} }}" not in text] == []
    assert "object at 0x" not in text


def test_the_reference_has_signatures(pages: Path) -> None:
    text = (pages / "reference/api/hustlex.otp.md").read_text("utf-8")
    assert "async def verify(\n    challenge: str,\n    code: str,\n    *,\n    ctx: Context | None = None," in text


def test_nothing_in_the_configuration_asks_another_host() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    assert settings["theme"]["font"] is False
    assert "://" not in (ROOT / "mkdocs.yml").read_text("utf-8").replace("file://", "")
    assert posixpath.basename(settings["extra"]["polyfills"][0]) == "iframe-worker.js"


def test_what_is_wrong_with_a_site_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="here">a</h1><a href="b.html#there">1</a><a href="#here">2</a><a href="c.html">3</a>'
        '<a href="b.html#nowhere">4</a><a href="https://example.org">5</a><script src="https://cdn.example/x.js">'
    )
    (tmp_path / "b.html").write_text('<h1 id="there">b</h1><img src="a.png">')
    (tmp_path / "a.css").write_text("@import url(https://fonts.example/x.css);")
    assert list(finished.problems(tmp_path)) == [
        "a.html: c.html: no such page",
        "a.html: b.html#nowhere: no such place in the page",
        "a.html loads https://cdn.example/x.js",
        "a.css loads from elsewhere",
    ]
