"""What tests of the console do in a real browser, and what they ask of the page that is open."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from hustlex.dashboard.names import to_url
from hustlex.dashboard.routes import ROUTES
from hustlex.ratelimit import Penalty, parse_rule
from tests.support.browser import Chromium, Tab

HOSTILE = "<img src=x onerror=window.hurt=1>"
SIGNATURE = "5" * 16
PHONE = "+2348031234567"
RULE = "3/minute per user on POST /pay"
BENT = parse_rule("9/minute per user on POST /bend overridable", penalty=Penalty())
ASKED: dict[str, tuple[dict[str, str], ...]] = {
    "/people": ({"user": "u1", "phone": PHONE}, {"place": "payload.user_id"}),
    "/limits": ({"rule": RULE, "who": "u1"}, {"rule": "", "limit": "POST /bend", "who": "banned"}),
    "/cache": ({"name": "user", "key": HOSTILE},),
    "/tasks/default/t1": ({"": "Show what is hidden"},),
    "/events": ({"channel": "orders:42"}, {"": "Show its events"}),
}
"""What is asked on pages that have a form, one after the other, by the ids of its fields; without one the words of a
button, which leads to a page of its own."""
MORE = ("/tasks?q=state:scheduled,archived+odd:1", "/tasks?queue=low&state=archived", "/limits?of=pay",
        "/confirm?verb=delete_queue&queue=default&back=/queues")  # fmt: skip
BUTTON = "[...document.querySelectorAll('main button')].find((each) => each.textContent === %s)"
NEXT = "!window.old && document.readyState === 'complete'"
STATUS = "performance.getEntriesByType('navigation')[0].responseStatus"
BEGIN = """new Promise((onload, onerror) => {
  const { src, nonce } = document.querySelector("script[src]");
  document.head.append(Object.assign(document.createElement("script"), { src, nonce, onload, onerror }));
})"""
DEAD = """[
  ...[...document.querySelectorAll("h1, .nav a")].filter((node) => !node.checkVisibility()),
  ...[...document.querySelectorAll("button")].filter((button) => button.checkVisibility() && !button.form),
].map((node) => node.outerHTML)"""
"""What only a script could show, or serve."""
CONTRAST = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const ground = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const found = rgb(getComputedStyle(one).backgroundColor);
      if (found.length < 4 || found[3] > 0.99) return found;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")].filter((node) => node.offsetParent && !node.disabled
    && [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())).map((node) => {
      const [one, other] = [light(rgb(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => b - a);
      return [(one + 0.05) / (other + 0.05), node.textContent.trim().slice(0, 40)];
    }).filter(([ratio]) => ratio < 4.5);
})()"""
FAULTS = """[
  ...[...document.querySelectorAll("input:not([type=hidden]), select")].filter((n) => !n.labels.length && !n.ariaLabel)
    .map((n) => `no label: ${n.name}`),
  ...[...document.querySelectorAll("button, a")].filter((n) => !n.textContent.trim() && !n.ariaLabel)
    .map((n) => `no name: ${n.outerHTML}`),
  ...[...document.querySelectorAll("table")].filter((n) => !n.caption).map(() => "a table without a caption"),
  ...[...document.querySelectorAll("th")].filter((n) => !n.scope).map((n) => `no scope: ${n.textContent}`),
  ...(document.querySelectorAll("h1").length === 1 ? [] : ["not one h1"]),
  ...[...document.querySelectorAll("[id]")].filter((n, _, all) => all.some((m) => m !== n && m.id === n.id))
    .map((n) => `an id twice: ${n.id}`),
  ...(document.body.textContent.includes("</") ? ["tags of its own as text"] : []),
]"""
READ = f"""({{
  wide: document.documentElement.scrollWidth > innerWidth, faint: {CONTRAST}, faults: {FAULTS}, hurt: window.hurt,
}})"""
UNSEEN = """(() => {
  const found = [];
  for (const node of document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")) {
    if (node.type === "hidden" || node.matches(":disabled") || !node.checkVisibility()) continue;
    node.focus();
    const { left, right, top, bottom } = node.getBoundingClientRect();
    const shown = right - left > 1 && bottom - top > 1 && right > 0 && left < innerWidth && bottom > 0
      && top < innerHeight;
    if (document.activeElement !== node || getComputedStyle(node).outlineStyle !== "solid" || !shown) {
      found.push(node.outerHTML.slice(0, 80));
    }
  }
  document.activeElement.blur();
  scrollTo(0, 0);
  return found;
})()"""
"""What has the focus where nobody sees it."""
PAPER = """(() => {
  const said = (node) => node.outerHTML.slice(0, 80);
  const seen = (node) => node.checkVisibility();
  const found = [...document.querySelectorAll("nav, button, .skip, .jump, .who")].filter(seen)
    .map((node) => `only to be pressed: ${said(node)}`);
  for (const node of document.querySelectorAll("main *, footer")) {
    if (!seen(node) || node.closest("svg, thead, .hidden, input, select, textarea")) continue;
    const hides = getComputedStyle(node).overflow !== "visible";
    const over = node.scrollWidth > node.clientWidth + 1 || node.scrollHeight > node.clientHeight + 1;
    if ((hides && over) || node.getBoundingClientRect().right > innerWidth + 1) found.push(`cut: ${said(node)}`);
  }
  const ink = getComputedStyle(document.body).color;
  return ink === "rgb(27, 34, 44)" ? found : [...found, `ink: ${ink}`];
})()"""
"""What is wrong with the page on paper."""
KEYS = {"Tab": (9, ""), "Enter": (13, "\r")}


async def signed_in(browser: Chromium, place: str) -> Tab:
    tab = await browser.open(place)
    await tab.until("location.pathname === '/' && document.readyState === 'complete'")
    await tab.call("Emulation.setFocusEmulationEnabled", enabled=True)
    return tab


async def go(tab: Tab, place: str, path: str) -> None:
    await tab.run("window.old = true")
    await tab.call("Page.navigate", url=place.partition("/enter")[0] + path)
    await tab.until(NEXT)


async def press(tab: Tab, key: str) -> None:
    """One of ``KEYS``."""
    code, text = KEYS[key]
    kind = "keyDown" if text else "rawKeyDown"
    await tab.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text)


async def enter(tab: Tab, node: str = "document.activeElement") -> None:
    """Press Enter where this expression leads, and wait for the page that comes."""
    await tab.run(f"window.old = true; {node}.focus(); 0")
    await press(tab, "Enter")
    await tab.until(NEXT)


async def fill(tab: Tab, fields: dict[str, str]) -> None:
    """Write into fields by their ids, press Enter in the last of them, and wait for the answer."""
    for field, text in fields.items():
        await tab.run(f"document.getElementById({json.dumps(field)}).value = {json.dumps(text)}")
    await enter(tab, f"document.getElementById({json.dumps(field)})")


async def pages(hx: Any) -> list[tuple[str, tuple[dict[str, str], ...]]]:
    """Every page of the table of routes, and what is asked on it; a new page is looked at by itself."""
    [bulk] = await hx.jobs.inspector.bulk.newest()
    entry = await hx.jobs.schedules.get("hourly")
    ids = {"tasks": "t1", "bulk": bulk.id, "cron": entry.id, "workflows": "w:0"}
    found = list[tuple[str, tuple[dict[str, str], ...]]]()
    for route in ROUTES:
        if "{name}" in route.pattern:  # where a button leads
            continue
        noun = route.pattern.split("/")[1]
        named, queue = to_url(ids[noun]) if "{id}" in route.pattern else "", "low" if noun == "workflows" else "default"
        path = route.pattern.format(queue=queue, signature=SIGNATURE, id=named)
        found.append((path, ASKED[path] if route.asks else ()))
    return [*found, *((path, ()) for path in MORE)]


async def visited(tab: Tab, place: str, found: list[tuple[str, tuple[dict[str, str], ...]]]) -> AsyncIterator[str]:
    """Each page as it is without a script, and after each thing that is asked; ``scripted`` lets the script in."""
    off = partial(tab.call, "Emulation.setScriptExecutionDisabled", value=True)
    for path, asked in found:
        await off()
        await go(tab, place, path)
        assert await tab.run(STATUS) == 200, path
        yield path
        for fields in asked:
            await off()
            await (enter(tab, BUTTON % json.dumps(fields[""])) if "" in fields else fill(tab, fields))
            assert await tab.run(STATUS) == 200, (path, fields)
            yield f"{path}, asked for {', '.join(fields.values() if '' in fields else fields)}"


async def scripted(tab: Tab) -> None:
    """The script of the page that is open begins."""
    await tab.call("Emulation.setScriptExecutionDisabled", value=False)
    await tab.run(BEGIN)
    assert not await tab.run("document.querySelector('[data-theme-switch][hidden]')")
