"""The example's pages in a real Chromium: they fit a phone, can be read, and move by themselves."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from examples.gigs import market, money
from examples.gigs.accounts import find_or_create
from examples.gigs.app import create_app
from examples.gigs.backend import Backend
from examples.gigs.views import Notice
from tests.conftest import SECRET
from tests.support.browser import Tab, connected, running
from tools.serving import serving

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

_WATCH = """window.forbidden = [];
document.addEventListener("securitypolicyviolation", (event) => forbidden.push(event.violatedDirective));"""
"""What the page's own policy has stopped."""

_WIDE = """[...document.querySelectorAll("html, body *")].filter((node) => {
  if (node === document.documentElement) return node.scrollWidth > innerWidth;
  return node.getBoundingClientRect().right > 361 && !node.closest(".chips");
}).map((node) => node.outerHTML.slice(0, 80))"""

_NAMELESS = """[...document.querySelectorAll("a, button, input:not([type=hidden]), select")].filter((node) => {
  const label = node.labels?.[0]?.innerText ?? "";
  return !(label || node.innerText || node.textContent).trim();
}).map((node) => node.outerHTML.slice(0, 80))"""

_SMALL = """[...document.querySelectorAll("button, .button, .tab, input:not([type=hidden]), select")].filter((node) => {
  const box = node.getBoundingClientRect();
  return node.checkVisibility() && (box.height < 36 || box.width < 36);
}).map((node) => node.outerHTML.slice(0, 80))"""


@pytest.fixture
async def site(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[str, Backend]]:
    """The application behind a socket; its address, and what it holds."""
    told = {"HUSTLEX_URL": url, "HUSTLEX_SECRET": SECRET.decode(), "HUSTLEX_DATA": str(tmp_path)}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    app = create_app()
    async with app.router.lifespan_context(app), serving(app) as address:
        yield address, app.state.backend


async def test_pages_fit_a_phone_and_the_wallet_moves_by_itself(
    site: tuple[str, Backend], browser_address: str
) -> None:
    url, backend = site
    user = await find_or_create(backend.database, "+2348031234567", 5_000_000)
    async with connected(browser_address) as browser:
        tab = await browser.open(f"{url}/static/icon.svg")
        await tab.call("Page.enable")
        await tab.call("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)
        await fits(tab, url, "/", "/login")
        pair = (await backend.hx.tokens.login(user, client_id="pages")).or_raise()
        for name, value in (("gigs-access", pair.access), ("gigs-refresh", pair.refresh)):
            await tab.call("Network.setCookie", url=url, name=name, value=value, httpOnly=True)
        gig = await market.post(backend, user, "Mathematics for the examination, twice a week", "tutoring", 975_050)
        await fits(tab, url, "/", "/new", "/work", "/notices", f"/gig/{gig.id}", "/gig/99", "/wallet")
        assert await tab.run("document.querySelector('.sum').innerText") == "₦40,249.50"
        async with backend.database.transaction() as session:
            await money.move(session, "test", user, 1_000_000)
        await backend.profiles.delete(user)
        await backend.notices.publish(Notice("money_received", "<b>₦10,000</b> arrived"), user_id=user)
        await tab.until("document.querySelector('.sum').innerText === '₦50,249.50'")
        assert await tab.run("document.querySelector('.toast').innerText") == "<b>₦10,000</b> arrived"
        assert await tab.run("document.querySelector('#news').checkVisibility()")


async def fits(tab: Tab, url: str, *paths: str) -> None:
    """Nothing is wider than a phone, nothing faint, nothing without a name, nothing too small for a thumb."""
    for path in paths:
        await tab.go(url + path)
        for scheme in ("light", "dark"):
            await tab.look(360, 740, scheme)
            found = await tab.run(
                f"({{forbidden, wide: {_WIDE}, faint: {_CONTRAST}, nameless: {_NAMELESS}, small: {_SMALL}}})"
            )
            assert not any(found.values()), f"{path}, {scheme}: {json.dumps(found, indent=1)}"


def test_a_browser_that_a_script_starts_ends_with_it(tmp_path: Path) -> None:
    """Debian's headless shell is one."""
    browser = tmp_path / "browser.py"
    browser.write_text(
        "import os, signal, sys\n"
        "place = next(word for word in sys.argv if word.startswith('--user-data-dir=')).partition('=')[2]\n"
        "open(f'{place}/DevToolsActivePort', 'w').write(f'{os.getpid()}\\n/devtools')\n"
        "signal.pause()\n"
    )
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh -e\n{sys.executable} {browser} "$@"\nexit 0\n')
    script.chmod(0o700)
    with running(str(script)) as address:
        number = int(address.removeprefix("ws://127.0.0.1:").partition("/")[0])
        assert runs(number)
    while runs(number):
        time.sleep(0.01)


def runs(number: int) -> bool:
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
