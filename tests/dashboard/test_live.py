"""Open pages: how many a browser may have, and what the one is told that is closed for another."""

from __future__ import annotations

import asyncio
from typing import Any

from hustlex.dashboard.live import LiveHub
from tests.dashboard.browsing import go, signed_in
from tests.support.browser import Chromium


async def yes() -> bool:
    return True


async def test_the_fifth_stream_of_a_browser_ends_the_oldest() -> None:
    hub, begun = LiveHub(), []

    async def page() -> str:
        await asyncio.Event().wait()
        return ""

    async def opened(browser: str, key: int) -> Any:
        stream = hub.stream(key, page, 60.0, yes, browser)
        assert await anext(stream) == b"retry: 3000\n\n"
        begun.append(stream)
        return stream

    first, *rest = [await opened("one", key) for key in range(4)]
    other = await opened("another", 0)
    waits = asyncio.ensure_future(anext(first))
    await opened("one", 4)
    assert await waits == b"event: elsewhere\ndata: live in another tab\n\n"
    assert [event async for event in first] == []
    later = [asyncio.ensure_future(anext(stream)) for stream in (*rest, other)]
    done, _ = await asyncio.wait(later, timeout=0)
    assert not done  # three of the first four, and who looks from elsewhere, go on
    for waiting in later:
        waiting.cancel()
    await asyncio.wait(later)
    for stream in begun:
        await stream.aclose()
    assert hub._of == {} and hub._topics == {} and not hub._streams


async def test_a_tab_that_gave_way_says_so_and_resumes(browser: Chromium, place: str) -> None:
    said = "document.getElementById('state')?.textContent"
    tabs = [await signed_in(browser, place)]
    await tabs[0].until(f"{said} === 'live'")  # or home, which takes longer to judge, begins its stream behind others
    for _ in range(4):
        tabs.append(await browser.open(place.partition("/enter")[0] + "/queues"))
        await tabs[-1].call("Emulation.setFocusEmulationEnabled", enabled=True)
        await tabs[-1].until(f"{said} === 'live'")
    await tabs[0].until(f"{said}?.startsWith('live in another tab')")
    await go(tabs[0], place, "/")  # opened anew it is the newest
    await tabs[0].until(f"{said} === 'live'")
    await tabs[1].until(f"{said}?.startsWith('live in another tab')")
    await tabs[1].run("document.querySelector('#state button').click()")
    await tabs[1].until(f"{said} === 'live'")
