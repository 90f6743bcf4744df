"""The console in a real Chromium: every page with and without a script, both themes, from 360 px on, live, by keys."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from hustlex.jobs import State
from tests.dashboard.browsing import (
    DEAD,
    HOSTILE,
    PAPER,
    PHONE,
    READ,
    UNSEEN,
    enter,
    fill,
    go,
    pages,
    press,
    scripted,
    signed_in,
    visited,
)
from tests.dashboard.strangers import strange
from tests.support import axe
from tests.support.browser import Chromium, Tab
from tests.support.needs import needs

PARTS = 3
LOOKS = ((360, "light"), (1280, "dark"), (1280, "light"))
"""Colours know no width: the narrow one in one theme."""


@pytest.mark.parametrize("part", range(PARTS))
async def test_every_page_can_be_read(browser: Chromium, place: str, hx: Any, raw: redis.Redis, part: int) -> None:
    """Without a script; then light and dark, wide and narrow, by who presses Tab alone, on paper, and by axe-core."""
    strange(raw, HOSTILE)
    rules, tab = axe.source(), await signed_in(browser, place)
    await tab.call("Page.setBypassCSP", enabled=True)  # so that escaping alone keeps harmless what is hostile
    async for path in visited(tab, place, (await pages(hx))[part::PARTS]):
        assert await tab.run(DEAD) == [], path
        await scripted(tab)
        await press(tab, "Tab")
        for width, theme in LOOKS:
            await tab.look(width, 800, theme)
            found = await tab.run(READ)
            assert not any(found.values()), (path, width, theme, found)
            assert width > 360 or await tab.run(UNSEEN) == [], path
        if rules:
            assert await tab.run(f"{rules}\n{axe.serious('color-contrast', 'region')}") == [], path
        await on_paper(tab, path)
    needs(rules, "the wheel of axe-core")


async def on_paper(tab: Tab, path: str) -> None:
    """On upright A4, whatever the theme."""
    await tab.look(718, 800, "dark")
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    await tab.call("Emulation.setEmulatedMedia", media="print", features=dark)
    assert await tab.run(PAPER) == [], path
    await tab.call("Emulation.setEmulatedMedia", media="")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open pages are rendered anew twenty times as often as for people."""
    monkeypatch.setattr("hustlex.dashboard.live.random", SimpleNamespace(uniform=lambda *_: 0.05))


async def test_an_open_page_follows_what_happens(browser: Chromium, place: str, hx: Any, quick: None) -> None:
    tab = await signed_in(browser, place)
    await go(tab, place, "/tasks/default/t1")
    await tab.until("document.getElementById('state').textContent === 'live'")
    await hx.jobs.inspector.run("default", "t1")
    await tab.until("document.querySelector('h1').textContent.includes('pending')")
    assert await tab.run("window.old") is None  # the page was not loaded anew


async def test_buttons_and_keys_work(browser: Chromium, place: str, hx: Any) -> None:
    tab = await signed_in(browser, place)
    await go(tab, place, "/tasks/default/t1")
    await tab.run(
        "window.old = true; [...document.querySelectorAll('button')].find((b) => b.textContent === 'Run now').click()"
    )
    await tab.until("!window.old && document.querySelector('.said')?.textContent.includes('pending now')")
    assert (await hx.jobs.inspector.task("default", "t1")).state is State.PENDING
    for key in ("g", "q"):
        await tab.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
    await tab.until("location.pathname === '/queues' && document.readyState === 'complete'")
    await tab.call("Input.dispatchKeyEvent", type="keyDown", key="/", text="/")
    await tab.until("document.activeElement.id === 'jump'")
    await tab.run("document.activeElement.value = 't1'; document.activeElement.form.requestSubmit()")
    await tab.until("location.pathname === '/tasks/default/t1'")


async def test_what_is_new_waits_while_somebody_points_at_a_table(
    browser: Chromium, place: str, hx: Any, quick: None
) -> None:
    tab = await signed_in(browser, place)
    await go(tab, place, "/tasks?queue=default&state=scheduled")
    await tab.until("document.getElementById('state').textContent === 'live'")
    await tab.run("document.querySelector('tbody tr').dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))")
    await hx.jobs.enqueue("gig:notify", task_id="t2", process_in=timedelta(hours=2))
    await tab.until("document.querySelector('button.waiting')")
    assert await tab.run("document.querySelectorAll('tbody tr').length") == 1
    await tab.run("document.querySelector('button.waiting').click()")
    assert await tab.run("document.querySelectorAll('tbody tr').length") == 2
    assert await tab.run("document.activeElement.id") == "main"  # so that Tab goes on from there


async def test_the_theme_is_chosen_and_kept(browser: Chromium, place: str) -> None:
    tab = await signed_in(browser, place)
    await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    await tab.call("Input.dispatchKeyEvent", type="keyDown", key="t", text="t")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert await tab.run(ground) == "rgb(18, 22, 28)"
    await go(tab, place, "/queues")
    assert await tab.run(ground) == "rgb(18, 22, 28)"
    await tab.call("Emulation.setEmulatedMedia", media="print")
    assert await tab.run(PAPER) == []


async def test_all_that_match_are_deleted_and_put_back_by_keyboard_alone(
    browser: Chromium, place: str, hx: Any
) -> None:
    tab = await signed_in(browser, place)
    await go(tab, place, "/tasks")
    await to(tab, "q")
    await tab.call("Input.insertText", text="state:scheduled type:gig:*")
    await enter(tab)
    assert await tab.run("document.querySelectorAll('tbody tr').length") == 1
    for button, words in (
        ("Delete…", "Nothing was changed yet"),
        ("Delete 1 tasks", "It was started"),
        ("Undo", "What can be put back"),
    ):
        await to(tab, button)
        await enter(tab)
        assert words in await tab.run("document.querySelector('.said').textContent")
    await tab.until("document.querySelector('h1').textContent.includes('undone')")
    assert (await hx.jobs.inspector.task("default", "t1")).state is State.SCHEDULED
    assert await tab.run("window.hurt") is None


async def test_a_person_is_looked_up_by_keyboard_alone(browser: Chromium, place: str) -> None:
    tab = await signed_in(browser, place)
    await go(tab, place, "/people")
    await fill(tab, {"user": "u1", "phone": PHONE})
    shown = await tab.run("[...document.querySelectorAll('main h2')].map((each) => each.textContent)")
    assert shown == ["In words", "Timeline", "Sessions", "PIN", "Limits", "Idempotency keys", "Channels", "Lanes",
                     "Open codes", "Counted with"]  # fmt: skip
    words = await tab.run("document.querySelector('main').textContent")
    for told in ("POST /pay is denied for", "POST /pay succeeded twice within", "A code was sent"):
        assert told in words, (told, words)
    await to(tab, "place")
    await enter(tab)
    assert "ask" in await tab.run("[...document.querySelectorAll('main th a')].map((each) => each.textContent).join()")
    await to(tab, "All but the tasks")
    await enter(tab)
    assert await tab.run("document.getElementById('phone').value") == PHONE
    assert await tab.run("location.href") == f"{place.partition('/enter')[0]}/people"
    assert await tab.run("window.hurt") is None


async def to(tab: Tab, wanted: str) -> None:
    """Past the navigation by the first link, then Tab until what has this id or these words has the focus."""
    await press(tab, "Tab")
    at = "document.activeElement"
    assert await tab.run(f"({at}.className === 'skip' && {at}.getBoundingClientRect().left >= 0)")
    await press(tab, "Enter")
    await tab.until(f"{at}.id === 'main'")
    passed = list[str]()
    while wanted not in passed:
        await press(tab, "Tab")
        passed.append(await tab.run(f"{at}.id || {at}.textContent.trim()"))
        assert len(passed) < 40, passed


async def test_the_narrow_navigation_says_which_page_is_open(browser: Chromium, place: str) -> None:
    tab = await signed_in(browser, place)
    await tab.look(360, 800, "light")
    for path in ("/queues", "/groups", "/audit", "/tasks/default/t1"):
        await go(tab, place, path)
        inside = "(({left, right}) => left >= 0 && right <= innerWidth)"
        for end in (0, 9999):
            await tab.run(f"document.querySelector('.nav').scrollLeft = {end}")
            assert await tab.run(f"{inside}(document.querySelector('.nav [aria-current]').getBoundingClientRect())")


async def test_keys_are_told_and_can_be_turned_off(browser: Chromium, place: str) -> None:
    tab = await signed_in(browser, place)
    for width, theme in LOOKS:
        await tab.look(width, 800, theme)
        await type_key(tab, "?")
        assert await tab.run("document.getElementById('keys').open")
        found = await tab.run(READ)
        assert not any(found.values()), (width, theme, found)
        if rules := axe.source():
            assert await tab.run(f"{rules}\n{axe.serious('color-contrast', 'region')}") == []
        await tab.run("document.querySelector('#keys form').requestSubmit(document.querySelector('#keys button'))")
    assert not await tab.run("document.getElementById('keys').open")
    await tab.run("document.querySelector('[data-keys-switch]').click()")
    await go(tab, place, "/queues")
    await type_key(tab, "?")
    assert not await tab.run("document.getElementById('keys').open")
    await tab.run("document.querySelector('[data-keys]').click()")
    assert await tab.run("document.querySelector('[data-keys-switch]').textContent") == "Turn the keys on"


async def type_key(tab: Tab, key: str) -> None:
    await tab.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)


async def test_times_are_those_of_who_looks(browser: Chromium, place: str, hx: Any) -> None:
    tab = await signed_in(browser, place)
    await tab.call("Emulation.setTimezoneOverride", timezoneId="Africa/Lagos")
    await go(tab, place, "/tasks/default/t1")
    start = (await hx.jobs.inspector.task("default", "t1")).next_process_at
    local, utc = f"{start + timedelta(hours=1):%H:%M:%S}", f"{start:%Y-%m-%d %H:%M:%S} UTC"
    time = f"[...document.querySelectorAll('main time')].find((each) => each.title.includes('{utc}'))"
    assert f"{local} GMT+1, {utc}" in await tab.run(f"{time}.title")
    assert (await tab.run(f"{time}.textContent")).startswith("in ")
    assert (await tab.run("document.querySelector('footer .clock').textContent")).endswith("GMT+1")
    await tab.run("document.querySelector('[data-clock-switch]').click()")
    assert (await tab.run(f"{time}.textContent")).endswith(local)
    await go(tab, place, "/tasks/default/t1")
    assert (await tab.run(f"{time}.textContent")).endswith(local)
