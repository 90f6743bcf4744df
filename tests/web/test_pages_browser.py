"""The example's pages in a real Chromium, with server, API and worker: they move by themselves, and fit a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.gigs.browse import enter, pay
from tests.cli.backend import Up
from tests.support.browser import Tab, connected, started

_CONTRAST = """(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const style = getComputedStyle(node);
      if (style.backgroundImage.startsWith("linear-gradient(135deg")) return null;
      const color = rgba(style.backgroundColor);
      if (color[3] > 200) return color;
    }
    return rgba("white");
  };
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !node.checkVisibility()) continue;
    if (node.closest(":disabled, .unseen, .skip")) continue;
    const back = behind(node);
    if (!back) continue;
    const [high, low] = [light(rgba(getComputedStyle(node).color)), light(back)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) faint.push(`${texts.currentNode.data.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return faint;
})()"""
"""Texts whose contrast is below 4.5 (WCAG 2 AA), but on the wallet's gradient."""

_NAMELESS = """[...document.querySelectorAll("a, button, input:not([type=hidden]), select")].filter((node) => {
  const label = node.labels?.[0]?.innerText ?? "";
  return !(label || node.innerText || node.textContent).trim();
}).map((node) => node.outerHTML.slice(0, 80))"""

_SMALL = """[...document.querySelectorAll("button, .button, .tab, input:not([type=hidden]), select")].filter((node) => {
  const box = node.getBoundingClientRect();
  return node.checkVisibility() && (box.height < 36 || box.width < 36);
}).map((node) => node.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with started() as running:
        yield running


async def test_pages_move_by_themselves_and_fit_a_phone(tmp_path: Path, address: str) -> None:
    with Up(tmp_path / "data") as up:
        up.wait_for_line("^ready$")
        assert up.wait_for_line("  pages ").endswith(f"{up.url}/")
        async with connected(address) as one, connected(address) as other:
            owner, worker = await one.open(up.url), await other.open(up.url)
            await fits(owner, up.url, "/", "/login")
            await enter(owner, up.url, up.data / "outbox.jsonl", "owner")
            await enter(worker, up.url, up.data / "outbox.jsonl", "worker")
            await pay(owner, worker, up.url)
            await owner.until("document.querySelector('#gig .paid')")
            assert await worker.run("document.querySelectorAll('.toast').length") == 1
            await fits(owner, up.url, "/", "/new", "/work", "/notices", "/wallet", "/gig/1", "/gig/99")
        assert up.stop() == 0
    assert not any("Traceback" in line for line in up.lines), "\n".join(up.lines)


async def fits(tab: Tab, url: str, *paths: str) -> None:
    """Nothing is wider than a phone, nothing faint, nothing without a name, nothing too small for a thumb."""
    for path in paths:
        await tab.go(url + path)
        for scheme in ("light", "dark"):
            await tab.look(360, 740, scheme)
            wide = "[...document.querySelectorAll('body *')].filter((node) => node.getBoundingClientRect().right > 361"
            wide += " && !node.closest('.chips')).map((node) => node.outerHTML.slice(0, 80))"
            found = {
                "scrolls": await tab.run("document.documentElement.scrollWidth > innerWidth"),
                "wide": await tab.run(wide),
                "faint": await tab.run(_CONTRAST),
                "nameless": await tab.run(_NAMELESS),
                "small": await tab.run(_SMALL),
            }
            assert not any(found.values()), f"{path}, {scheme}: {json.dumps(found, indent=1)}"
    await tab.look(1280, 860)
