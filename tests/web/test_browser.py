"""The client module in a real Chromium, against a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
import redis
from fastapi import FastAPI
from starlette.responses import HTMLResponse

from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.drivers.ports import free_port
from hustlex.tokens import Access
from hustlex.web import Allow, Deny, events_router, install, lifespan
from tests.support.browser import Chromium, Tab, connected
from tools.serving import server_of


class Paid(msgspec.Struct, frozen=True, tag="paid"):
    amount: int


PAGE = """<!doctype html><title>events</title><script type="module">
import { Events } from "/events/client.js";
window.got = [];
window.states = [];
window.start = (options = {}) => {
  window.events = new Events("/events/socket", {
    longestDelayMs: 200,
    state: (state, code) => window.states.push(code ? `${state} ${code}` : state),
    ...options,
  });
};
window.listen = (ch) => events.subscribe(ch, (message) => got.push(message.data.amount), {
  gap: (gap) => got.push(gap.reason),
  refused: (refusal) => got.push(refusal.message),
});
window.ready = true;
</script>"""


async def may(access: Access | None, channel: str, values: dict[str, str], action: str) -> Allow | Deny:
    return Deny() if values.get("order_id") == "forbidden" else Allow()


class Site:
    """The application, and the HTTP server before it, which can be stopped and started again on its port."""

    def __init__(self, app: FastAPI, port: int) -> None:
        self.app = app
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._serving = AsyncExitStack()

    @property
    def hx(self) -> HustleX:
        front: HustleX = self.app.state.hustlex
        return front

    @property
    def orders(self) -> Any:
        return self.app.state.orders

    async def start(self) -> None:
        await self._serving.enter_async_context(server_of(self.app, port=self._port))

    async def stop(self) -> None:
        await self._serving.aclose()

    async def tab(self, browser: Chromium) -> Tab:
        tab = await browser.open(self.url)
        await tab.until("window.ready")
        return tab


@pytest.fixture
def beat() -> timedelta:
    return timedelta(seconds=5)


@pytest.fixture
async def site(url: str, clock: FixedClock, beat: timedelta) -> AsyncIterator[Site]:
    secret = b"a test secret of thirty-two bytes or more"
    app = FastAPI(lifespan=lifespan(partial(HustleX, url, secret=secret, clock=clock)))
    install(app, hosts=["*"])

    def channels(hx: HustleX) -> list[Any]:
        app.state.orders = hx.events.channel("orders:{order_id}", Paid, kind="replay")
        return [app.state.orders]

    app.include_router(events_router(channels, authorize=may, heartbeat=beat))

    @app.get("/")
    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE)

    async with app.router.lifespan_context(app):
        channels(app.state.hustlex)
        site = Site(app, free_port())
        await site.start()
        yield site
        await site.stop()


@pytest.fixture
async def browser(browser_address: str) -> AsyncIterator[Chromium]:
    async with connected(browser_address) as running:
        yield running


async def paid(site: Site, *amounts: int, order_id: int | str = 1) -> None:
    for amount in amounts:
        await site.orders.publish(Paid(amount), order_id=order_id)


@asynccontextmanager
async def listening(site: Site, browser: Chromium, options: str = "{}", ch: str = "orders:1") -> AsyncIterator[Tab]:
    tab = await site.tab(browser)
    await tab.run(f"(start({options}), window.stop = listen({json.dumps(ch)}), 0)")
    yield tab


async def heard(tab: Tab, condition: str = "states.includes('open')") -> None:
    """Wait until the page's channel is heard: the server answers a page's requests in their order."""
    await tab.until(condition)
    await tab.run("events.history('orders:1', {limit: 1}).then(() => 0)")


async def test_a_page_hears_publishes_and_misses_nothing(site: Site, browser: Chromium, raw: redis.Redis) -> None:
    async with listening(site, browser) as tab:
        await heard(tab)
        await tab.run("events.publish('orders:1', {type: 'paid', amount: 1}).then(() => 0)")
        await paid(site, 2, 3)
        await tab.until("got.length === 3")
        await site.stop()
        await tab.until("states.some((state) => state.startsWith('closed'))")
        await paid(site, 4, 5)  # while nobody is connected
        await site.start()
        await paid(site, 6)
        await tab.until("got.length === 6")
        assert await tab.run("got") == [1, 2, 3, 4, 5, 6]
        kept = await tab.run("events.history('orders:1', {limit: 2}).then((answer) => answer.msgs.map((m) => m.o))")
        assert kept == [1, 2]
        raw.flushall()
        await paid(site, 7)
        await tab.until("got.includes(7)")
        assert await tab.run("got.slice(6)") == ["epoch", 7]
        await tab.run("(stop(), 0)")
        async with asyncio.timeout(60):
            while raw.pubsub_channels():
                await asyncio.sleep(0.01)


async def test_what_is_refused_is_said_and_final(site: Site, browser: Chromium) -> None:
    async with listening(site, browser, ch="orders:forbidden") as tab:
        await tab.until("got.length === 1")
        assert await tab.run("got") == ["permission denied"]
        await tab.run("(events.close(), start({token: () => 'junk'}), 0)")
        await tab.until("states.includes('stopped 4500')")


async def test_a_page_shows_a_new_token_before_the_old_one_ends(
    site: Site, browser: Chromium, clock: FixedClock
) -> None:
    pair: Any = await site.hx.tokens.login("u1", client_id="app")
    clock.advance(pair.expires_in - timedelta(seconds=1))
    newer: Any = await site.hx.tokens.login("u1", client_id="app")
    tokens = json.dumps([pair.access, newer.access])
    async with listening(
        site, browser, f"{{token: () => {tokens}[Math.min(window.n = (window.n ?? -1) + 1, 1)]}}"
    ) as tab:
        await tab.until("window.n === 1")
        clock.advance(timedelta(seconds=5))
        await paid(site, 1)
        await tab.until("got.length === 1")
        assert await tab.run("states") == ["connecting", "open"]


async def test_tabs_of_one_user_share_a_connection_and_hand_it_on(site: Site, browser: Chromium) -> None:
    tabs = [await site.tab(browser) for _ in range(3)]
    await tabs[0].run("(start({share: 'u1'}), listen('orders:1'), 0)")
    await heard(tabs[0], "events.leading && states.includes('open')")
    for tab in tabs[1:]:
        await tab.run("(start({share: 'u1'}), listen('orders:1'), 0)")
        await heard(tab, "true")
    await paid(site, 1)
    for tab in tabs:
        await tab.until("got.length === 1")
    assert [await tab.run("events.leading") for tab in tabs] == [True, False, False]
    answer = await tabs[1].run("events.publish('orders:1', {type: 'paid', amount: 2})")
    assert answer["o"] == 2
    await tabs[0].close()
    async with asyncio.timeout(60):
        while not any([await tab.run("events.leading") for tab in tabs[1:]]):
            await asyncio.sleep(0.02)
    await paid(site, 3)
    for tab in tabs[1:]:
        await tab.until("got.includes(3)")
        assert await tab.run("got") == [1, 2, 3]


async def test_a_page_that_nobody_looks_at_rests_and_catches_up(site: Site, browser: Chromium) -> None:
    async with listening(site, browser, "{hiddenMs: 50}") as tab:
        show = "(Object.defineProperty(document, 'visibilityState', {{value: '{0}', configurable: true}}),"
        show += " document.dispatchEvent(new Event('visibilitychange')), 0)"
        await tab.run(show.format("visible"))  # the browser may hold that another tab is looked at
        await heard(tab)
        await paid(site, 1)
        await tab.until("got.length === 1")
        await tab.run(show.format("hidden"))
        await tab.until("!events.leading")
        await paid(site, 2)
        await tab.run(show.format("visible"))
        await tab.until("got.length === 2")
        assert await tab.run("got") == [1, 2]


class TestSubscriptionTokens:
    @pytest.fixture
    def beat(self) -> timedelta:
        return timedelta(milliseconds=100)

    async def test_a_page_shows_tokens_for_channels_and_new_ones_in_time(
        self, site: Site, browser: Chromium, clock: FixedClock
    ) -> None:
        """One ends while its successor cannot be had: then the channel is heard again from where it was."""
        ch, tokens = "orders:forbidden", site.hx.tokens
        pair = (await tokens.login("u1", client_id="app")).or_raise()
        user = (await tokens.check(pair.access)).or_raise()

        async def gives(minutes: float) -> str:
            made = await tokens.issue_subscription(user, ch, ttl=timedelta(minutes=minutes))
            return f"(window.give = () => {json.dumps(made.token)}, 0)"

        tab = await site.tab(browser)
        await tab.run(await gives(1))
        await tab.run(
            f"(start({{token: () => '{pair.access}', subscriptionToken: (ch) => give(ch)}}), listen('{ch}'), 0)"
        )
        await tab.until("states.includes('open')")
        await tab.run(f"events.history('{ch}', {{limit: 1}}).then(() => 0)")
        await paid(site, 1, order_id="forbidden")
        await tab.until("got.length === 1")
        await tab.run("(window.give = () => { window.failed = true; throw new Error('not now'); }, 0)")
        clock.advance(timedelta(minutes=2))
        await tab.until("window.failed")
        await paid(site, 2, order_id="forbidden")
        await tab.run(await gives(5))
        await tab.until("got.length === 2")
        assert await tab.run("got") == [1, 2]
        assert await tab.run("states") == ["connecting", "open"]
