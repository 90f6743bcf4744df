"""The console in a real Chromium: every page in both themes and from 360 px on, live, by keyboard, not to be hurt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import uvicorn

from hustlex.app import HustleX
from hustlex.core.op import Effect, command
from hustlex.dashboard import Dashboard, Operator
from hustlex.jobs import Job, State, gather
from hustlex.jobs.keys import parked, queue_keys
from hustlex.jobs.lease import record
from hustlex.jobs.lease.record import FailureCount, FailureKind, QueueMeasure
from tests.support.browser import Chromium, Tab, connected, started

PAGES = ("/", "/queues", "/queues/default", "/tasks", "/tasks?q=state:scheduled,archived+odd:1", "/tasks/default/t1",
         "/bulk", "/errors", "/errors/low/5555555555555555", "/workers", "/cron", "/workflows", "/groups",
         "/workflows/low/w~3a0", "/quarantine", "/people", "/codes", "/limits", "/limits?of=pay", "/cache",
         "/idempotency", "/events", "/redis", "/audit",
         "/confirm?verb=delete_queue&queue=default&back=/queues")  # fmt: skip
ASIDE = parked(queue_keys("low"))
HOSTILE = "<img src=x onerror=window.hurt=1>"
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
]"""


@asynccontextmanager
async def serving(console: Dashboard) -> AsyncIterator[str]:
    """The console on a free port; its address."""
    bounded = 1  # from Python 3.12 on a server is closed when its last connection is, and the tab keeps one open
    config = uvicorn.Config(console, port=0, log_level="warning", lifespan="off", timeout_graceful_shutdown=bounded)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        for connection in [*server.server_state.connections]:
            connection.transport.abort()
        await task


@pytest.fixture(scope="module")
def browser_address() -> Iterator[str]:
    with started() as address:
        yield address


@pytest.fixture
async def browser(browser_address: str) -> AsyncIterator[Chromium]:
    async with connected(browser_address) as found:
        yield found


async def planned(hx: Any) -> str:
    """A bulk act over what somebody hostile wrote, done; its id."""
    bulk = await hx.jobs.inspector.bulk.plan("retry", "state:archived", by=HOSTILE, label=HOSTILE)
    await hx.jobs.inspector.bulk.step(bulk.id)
    await hx.jobs.inspector.bulk.start(bulk.id)
    await hx.jobs.inspector.bulk.step(bulk.id)
    await hx.jobs.inspector.archive("low", HOSTILE)
    return str(bulk.id)


@pytest.fixture
async def place(hx: HustleX) -> AsyncIterator[str]:
    """A link that signs in, to a console over what somebody hostile wrote."""
    await hx.jobs.enqueue("gig:notify", {"note": HOSTILE}, task_id="t1", process_in=timedelta(hours=1))
    await hx.jobs.enqueue(HOSTILE, task_id=HOSTILE, queue="low")
    await hx.jobs.inspector.archive("low", HOSTILE)
    kind = FailureKind(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    await hx.driver.run(record.failures(queue_keys("low"), [FailureCount("5" * 16, kind, 30, (HOSTILE,))], 0))
    measures = [(name, QueueMeasure(9, 3, 1, 1500)) for name in ("default", "low")]
    await hx.driver.run(record.history(measures, 0))
    parts = [Job(name, b"", {"queue": "low"}) for name in (HOSTILE, "gig:pay", "gig:tell")]
    await hx.jobs.start(gather(*parts[:2], then=parts[2]), workflow_id="w")
    await hx.jobs.enqueue(HOSTILE, queue="low", group=HOSTILE)
    await hx.driver.run(command("test.aside", Effect.ONCE, "HSET", ASIDE, HOSTILE, HOSTILE, keys=(ASIDE,), decode=int))
    await planned(hx)
    console = Dashboard(hx)
    async with serving(console) as address:
        yield f"{address}/enter#{await console.sign_in_token(Operator('act', 'ada'))}"


async def signed_in(browser: Chromium, place: str) -> Tab:
    tab = await browser.open(place)
    await tab.until("location.pathname === '/' && document.readyState === 'complete'")
    return tab


async def go(tab: Tab, place: str, path: str) -> None:
    await tab.run("window.old = true")
    await tab.call("Page.navigate", url=place.partition("/enter")[0] + path)
    await tab.until("!window.old && document.readyState === 'complete'")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
async def test_every_page_can_be_read(browser: Chromium, place: str, hx: Any, theme: str, width: int) -> None:
    tab = await signed_in(browser, place)
    await tab.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
    await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    [bulk] = await hx.jobs.inspector.bulk.newest()
    for path in (*PAGES, f"/bulk/{bulk.id}", "/tasks?queue=low&state=archived"):
        await go(tab, place, path)
        assert await tab.run("document.documentElement.scrollWidth <= innerWidth"), f"{path} is wider than the window"
        assert await tab.run(CONTRAST) == [], path
        assert await tab.run(FAULTS) == [], path
        assert await tab.run("window.hurt") is None, path


async def test_an_open_page_follows_what_happens(browser: Chromium, place: str, hx: Any) -> None:
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


async def test_what_is_new_waits_while_somebody_points_at_a_table(browser: Chromium, place: str, hx: Any) -> None:
    tab = await signed_in(browser, place)
    await go(tab, place, "/tasks?queue=default&state=scheduled")
    await tab.until("document.getElementById('state').textContent === 'live'")
    await tab.run("document.querySelector('tbody tr').dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))")
    await hx.jobs.enqueue("gig:notify", task_id="t2", process_in=timedelta(hours=2))
    await tab.until("document.querySelector('button.waiting')")
    assert await tab.run("document.querySelectorAll('tbody tr').length") == 1
    await tab.run("document.querySelector('button.waiting').click()")
    assert await tab.run("document.querySelectorAll('tbody tr').length") == 2


async def test_the_theme_is_chosen_and_kept(browser: Chromium, place: str) -> None:
    tab = await signed_in(browser, place)
    await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    await tab.call("Input.dispatchKeyEvent", type="keyDown", key="t", text="t")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert await tab.run(ground) == "rgb(18, 22, 28)"
    await go(tab, place, "/queues")
    assert await tab.run(ground) == "rgb(18, 22, 28)"


async def test_all_that_match_are_deleted_and_put_back_by_hand(browser: Chromium, place: str, hx: Any) -> None:
    tab = await signed_in(browser, place)
    await go(tab, place, "/tasks")
    await tab.run(
        "window.old = true; q.value = 'state:scheduled type:gig:*'; setTimeout(() => q.form.requestSubmit(), 0)"
    )
    await tab.until("!window.old && document.querySelectorAll('tbody tr').length === 1")
    press = "[...document.querySelectorAll('button')].find((b) => b.textContent === '{}').click()"
    for button, words in (
        ("Delete…", "Nothing was changed yet"),
        ("Delete 1 tasks", "It was started"),
        ("Undo", "What can be put back"),
    ):
        await tab.run(f"window.old = true; setTimeout(() => {press.format(button)}, 0)")
        await tab.until(f"!window.old && document.querySelector('.said')?.textContent.includes('{words}')")
    await tab.until("document.querySelector('h1').textContent.includes('undone')")
    assert (await hx.jobs.inspector.task("default", "t1")).state is State.SCHEDULED
    assert await tab.run("window.hurt") is None
